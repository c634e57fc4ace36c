"""What the allocator does with blocks that come and go by the megabyte."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3)."""
LARGEST_BLOCK, KEPT_BYTES = 32 << 20, 256 << 20
"""The former is the most that glibc allows."""


def keep_memory() -> None:
    """Let this process keep what it frees. glibc gives large blocks back to the system and fetches them anew, page by
    page, which takes a tenth of the time of scoring. Where there is no mallopt, nothing is done."""
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        if library.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK):
            library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
