"""The commands of the worker's package, one module per command, and their shared parts."""
