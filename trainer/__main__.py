"""`python -m trainer` is `labelstream`."""

from stream.cli import main

main()
