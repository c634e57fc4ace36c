"""Errors that are the user's to mend: shown as one message, without a traceback."""


class AnelabError(Exception):
    """Something failed. The message says what, where, what is allowed and how to mend it."""

    exit_code = 1


class UsageError(AnelabError):
    """The command or its configuration is not valid."""

    exit_code = 2


def one_of(name: str, value: object, allowed: object) -> str:
    """'name must be one of a, b but got c', for values that come from a closed set."""
    choices = ", ".join(map(str, allowed)) if isinstance(allowed, list | tuple | set) else allowed
    return f"{name} must be one of {choices} but got {value}"
