"""Errors that are the user's to mend: shown as one message, without a traceback."""


class AnelabError(Exception):
    """Something failed. The message says what, where, what is allowed and how to mend it."""

    exit_code = 1


class UsageError(AnelabError):
    """The command or its configuration is not valid."""

    exit_code = 2
