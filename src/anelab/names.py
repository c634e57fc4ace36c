"""What names and digests that come from elsewhere may be. They become paths and questions to the store, so each is
checked where it enters: these are the patterns of whole texts."""

import re

WORKLOAD = "^[a-z][a-z0-9_]{0,63}$"
MODEL = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
"""Of a registered model."""
VERSION = "^[0-9]{1,9}$"
ARM = "^[a-z-]{1,40}(/[A-Za-z0-9_]{1,40})?(:[A-Za-z0-9_]{1,40})?$"
SHA256 = "^[0-9a-f]{64}$"
DATA_DIGEST = r"^([0-9a-f]{32}(\.dir)?)?$"
"""DVC's md5 of a file or folder, or nothing."""
HOST = "^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$"
FILE = r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}$"
"""In a folder; it leads nowhere else."""


def fits(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
