"""Errors that are the user's to mend: shown as one message, without a traceback."""

from anelab.texts import notify


class AnelabError(Exception):
    """Something failed. The message says what, where, what is allowed and how to mend it."""

    exit_code = 1


class UsageError(AnelabError):
    """The command or its configuration is not valid."""

    exit_code = 2


class DamagedFileError(AnelabError, ValueError):
    """A file of ours does not hold what it should."""


def warn(message: str) -> None:
    """Tell of what does not stop the work."""
    notify(f"anelab: warning: {message}")
