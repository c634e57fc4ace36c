"""MLflow's filters, made here alone. A quote in a value would end the filter's own text, and match anything."""

import re

from anelab.errors import AnelabError

PLAIN = re.compile(r"[\w.:/@+#-]{0,250}", re.ASCII)
"""Digests, ids, and names of models, stages, hosts and claims."""
FINISHED = "attributes.status = 'FINISHED'"


def is_plain(value: str) -> bool:
    """Whether a filter can hold the value."""
    return PLAIN.fullmatch(value) is not None


def tagged(key: str, value: str) -> str:
    """Matches what has the tag. Raises AnelabError for text that is no digest, id or name."""
    return f"tags.`{_checked(key)}` = '{_checked(value)}'"


def not_tagged(key: str, value: str) -> str:
    """Matches what has another value of the tag. Raises as `tagged` does."""
    return f"tags.`{_checked(key)}` != '{_checked(value)}'"


def named(name: str) -> str:
    """Matches the model of that name. Raises as `tagged` does."""
    return f"name = '{_checked(name)}'"


def all_of(*conditions: str) -> str:
    return " and ".join(conditions)


def _checked(value: str) -> str:
    if is_plain(value):
        return value
    raise AnelabError(
        f"{value[:80]!r} is no name, id or digest: the store is asked for letters, digits and . : / @ + # - _, and "
        "for 250 of them at most"
    )
