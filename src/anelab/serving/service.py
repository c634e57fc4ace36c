"""What the connections of a server share."""

import itertools
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from anelab.serving.access import Access
from anelab.serving.errors import TOO_LARGE, RequestError
from anelab.serving.inference import Headers, Inference, Route, check_headers, header_length
from anelab.serving.limits import RequestLimits

HEADS_KEPT = 1000
MOST_HEAD = 2000
"""Bytes of one that is kept."""
REQUEST_ID = re.compile(rb"[A-Za-z0-9][\w.:-]{0,127}")


class Head(NamedTuple):
    """A request's first lines, when they are allowed. `route`: the model that is asked to predict, if one is; `length`:
    of the JSON of its body, if a header says so; `key`: the name of the API key."""

    route: Route | None
    path: str
    headers: Headers
    length: int | None
    key: str
    is_streamed: bool


@dataclass(frozen=True)
class Service:
    """`heads`: those that came before. A client sends the same with all its requests."""

    inference: Inference
    access: Access = field(default_factory=Access)
    limits: RequestLimits = field(default_factory=RequestLimits)
    heads: dict[tuple[object, ...], Head] = field(default_factory=dict)
    prefix: str = field(default_factory=lambda: f"{secrets.token_hex(4)}-")
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def head(self, method: bytes, url: bytes, lines: Sequence[tuple[bytes, bytes]]) -> Head:
        """Raises RequestError for what may not be asked, or not in this way."""
        key = (method, url, *lines)
        found = self.heads.get(key)
        if found is None:
            found = self._checked(method, url, {name.lower(): value for name, value in lines})
            if len(self.heads) >= HEADS_KEPT:
                self.heads.clear()
            if len(url) + sum(len(name) + len(value) for name, value in lines) < MOST_HEAD:
                self.heads[key] = found
        return found

    def _checked(self, method: bytes, url: bytes, headers: Headers) -> Head:
        path = url.partition(b"?")[0]
        is_streamed = path in self.limits.streamed_paths
        if not is_streamed:
            stated = headers.get(b"content-length", b"0")
            if len(stated) > 9 or int(stated) > self.limits.body_bytes:
                raise self.too_long()
            check_headers(headers)
        key = self.access.check(method, path, headers)
        route = self.inference.route(path) if method == b"POST" else None
        length = None if route is None else header_length(headers)
        return Head(route, path.decode("latin-1"), headers, length, key, is_streamed)

    def too_long(self) -> RequestError:
        most = self.limits.body_bytes
        return RequestError(TOO_LARGE, f"the body is longer than {most:,} bytes; send fewer rows at a time")

    def refresh_keys(self, file: Path) -> None:
        """What was allowed by a key that is withdrawn is not any more."""
        self.access.refresh(file)
        self.heads.clear()

    def request_id(self, headers: Headers) -> str:
        """The client's own, or a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self.prefix}{next(self.numbers)}"
