"""One line of JSON for each request: who asked what, and how it went. Never what was sent or answered."""

import logging
import os
import time
from pathlib import Path

import msgspec

from anelab.errors import AnelabError

MOST_LINES = 100_000
"""That wait to be written; beyond them lines are lost, not requests."""
log = logging.getLogger("anelab.serving")


class RequestLog:
    """A file that lines are added to, also by other processes. `add` and `take` are for the event loop; `write` may be
    called in a thread."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except OSError as error:
            raise AnelabError(f"--request-log {path}: cannot be written ({error.strerror})") from None
        self._path, self._lines, self._unwritten = path, list[bytes](), list[bytes]()
        self._encoder = msgspec.json.Encoder()

    def add(self, request_id: str, key: str, method: str, path: str, status: int, seconds: float, rows: int) -> None:
        if len(self._lines) < MOST_LINES:
            line = {
                "time": round(time.time(), 3),
                "id": request_id,
                "key": key,
                "method": method,
                "path": path[:300],
                "status": status,
                "rows": rows,
                "ms": round(seconds * 1e3, 3),
            }
            self._lines.append(self._encoder.encode(line))

    def take(self) -> list[bytes]:
        """The lines to be written next."""
        taken, self._lines = self._lines, []
        return taken

    def write(self, lines: list[bytes]) -> None:
        """Lines that cannot be written are kept for the next time, and the log says so once."""
        lines = [*self._unwritten, *lines]
        if not lines:
            return
        rest = memoryview(b"\n".join([*lines, b""]))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._unwritten = []
        except OSError as error:
            if not self._unwritten:
                log.error("the request log %s cannot be written: %s", self._path, error.strerror)
            self._unwritten = lines[:MOST_LINES]

    def close(self) -> None:
        self.write(self.take())
        os.close(self._file)
