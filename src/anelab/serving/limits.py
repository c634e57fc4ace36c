"""What a client may ask of the server, and for how long."""

from dataclasses import dataclass

KIBI = 1 << 10
MEBI = 1 << 20


@dataclass(frozen=True)
class RequestLimits:
    """`head_bytes`: address and headers. `body_bytes`: of a request at most, but for `streamed_paths`, whose bodies
    have no end: they must bring `stream_bytes_s` bytes a second. `request_s`: for the request to come, and for its
    answer to be found. `idle_s`: that a connection stays open without a request."""

    head_bytes: int = 64 * KIBI
    body_bytes: int = 64 * MEBI
    request_s: float = 60.0
    idle_s: float = 75.0
    stream_bytes_s: int = KIBI
    streamed_paths: frozenset[bytes] = frozenset()
