"""Answers of inference, and their bytes on a connection."""

from http import HTTPStatus
from typing import NamedTuple

import msgspec

from anelab.serving.errors import RequestError
from anelab.serving.protocol import HEADER_LENGTH

JSON, BYTES = b"application/json", b"application/octet-stream"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
EXPOSED_HEADERS = (HEADER_LENGTH, "x-request-id")
"""That pages of other sites may send and read, too."""


class Answer(NamedTuple):
    status: int
    content_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error_answer(error: RequestError) -> Answer:
    headers = tuple((name.lower().encode(), value.encode()) for name, value in error.headers.items())
    return Answer(error.status, JSON, msgspec.json.encode({"error": str(error)}), headers)


def cors_headers(origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """For an origin that `Access` allowed."""
    exposed = ", ".join(EXPOSED_HEADERS).encode()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", exposed),
        (b"vary", b"Origin"),
    )


def encoded(answer: Answer, request_id: str, keep_alive: bool) -> bytes:
    """The bytes of an answer."""
    status, content_type, body, headers = answer
    head = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
    parts = [STATUS_LINES[status], head % (content_type, len(body), request_id.encode())]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
    return b"".join(parts)
