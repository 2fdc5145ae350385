"""`python -m stream` is `labelstream`."""

from stream.cli import main

main()
