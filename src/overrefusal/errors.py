"""The one error a user can cause."""


class OverrefusalError(Exception):
    """A call or an input that cannot be served.

    The message is one line: it names the file, row, field or option at fault and the mend.
    The command line prints it and exits with code 2.
    """
