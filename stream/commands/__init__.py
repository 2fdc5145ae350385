"""The worker's side of the command line, a module a command, and what they share."""
