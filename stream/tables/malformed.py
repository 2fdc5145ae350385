"""The error of a text that does not have its format."""


class MalformedError(ValueError):
    """A text that does not have its format; the reader adds the name of the file.

    Args:
        cause: the position and the fault, in one line.
        fix: the action that corrects it, in one line.
        command: the shell command that does so, from its standard input to its standard output.
    """

    def __init__(self, cause: str, fix: str, command: str = "") -> None:
        super().__init__(cause)
        self.fix = fix
        self.command = command
