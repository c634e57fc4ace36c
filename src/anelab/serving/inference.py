"""What `POST /v2/models/NAME[/versions/N]/infer` does: from a request's headers and body to the parts of its answer."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from anelab.errors import AnelabError
from anelab.learning.base import Arrays
from anelab.serving.answers import BYTES, JSON, Answer, error_answer
from anelab.serving.batching import Waiting
from anelab.serving.errors import BAD_REQUEST, INTERNAL, UNAVAILABLE, UNSUPPORTED_MEDIA, RequestError
from anelab.serving.metrics import Metrics
from anelab.serving.protocol import HEADER_LENGTH, InferRequest
from anelab.serving.repository import Repository, Version
from anelab.serving.request_log import RequestLog

INFER = re.compile(rb"/v2/models/([^/?]+)(?:/versions/([^/?]+))?/infer")
READ_TYPES = (JSON, BYTES, b"application/x-www-form-urlencoded")
"""The last is what curl says of all that it sends."""
LENGTH_HEADER = HEADER_LENGTH.encode()
REFUSED = "refused"
"""In place of a path, which would be the client's own choice."""
Headers = Mapping[bytes, bytes]
log = logging.getLogger("anelab.serving")


class Route(NamedTuple):
    name: str
    number: str | None


class Caller(NamedTuple):
    """Whose request it is: its id, and the name of the API key."""

    request_id: str
    key: str
    path: str


@dataclass(frozen=True)
class Inference:
    """Of the models of a repository. Every answer is counted, and logged if there is a log."""

    models: Repository
    metrics: Metrics
    log: RequestLog | None = None

    def route(self, path: bytes) -> Route | None:
        """The model that a path asks to predict; None for any other path."""
        found = INFER.fullmatch(path)
        if found is None:
            return None
        return Route(_text(found[1]), None if found[2] is None else _text(found[2]))

    def start(
        self, route: Route, caller: Caller, length: int | None, body: bytes | bytearray, done: Callable[[Answer], None]
    ) -> Waiting | None:
        """Predict the rows of a request; `done` gets the answer, at once if something is wrong with the request.
        `length`: of the JSON in the body, as `header_length` found it."""
        call = _Call(self, caller, done)
        try:
            call.version = version = self.models.version(route.name, route.number)
            call.request = request = version.codec.read(body, length)
            return version.submit(request.arrays, request.rows, call)
        except Exception as error:
            call.finish(error_answer(problem_of(error)))
            return None

    def record_refused(self, request_id: str, url: bytes, status: int) -> None:
        """A request that was ended before anybody saw it whole."""
        self.metrics.others[REFUSED, status] += 1
        if self.log is not None:
            self.log.add(request_id, "", "", url.partition(b"?")[0].decode("latin-1"), status, 0.0, 0)


class _Call:
    """A request on its way; called with the model's answer."""

    __slots__ = ("caller", "done", "inference", "request", "started", "version")

    def __init__(self, inference: Inference, caller: Caller, done: Callable[[Answer], None]) -> None:
        self.inference, self.caller, self.done = inference, caller, done
        self.started = perf_counter()
        self.version: Version | None = None
        self.request: InferRequest | None = None

    def __call__(self, found: Arrays | Exception) -> None:
        assert self.version is not None and self.request is not None
        self.finish(_answer(self.version, self.request, found))

    def finish(self, answer: Answer) -> None:
        seconds = perf_counter() - self.started
        self.done(answer)
        name, number = (self.version.name, self.version.number) if self.version else ("", "")
        counts = self.inference.metrics.of(name, number)
        counts.statuses[answer.status] += 1
        counts.seconds.add(seconds)
        if self.inference.log is not None:
            rows = self.request.rows if self.request else 0
            self.inference.log.add(
                self.caller.request_id, self.caller.key, "POST", self.caller.path, answer.status, seconds, rows
            )


def _text(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


def check_headers(headers: Headers) -> None:
    """Raises RequestError for a body that is not read: compressed, or of a type that no client of ours sends."""
    kind = headers.get(b"content-type", JSON)
    if kind not in READ_TYPES and kind.partition(b";")[0].strip().lower() not in READ_TYPES:
        raise RequestError(UNSUPPORTED_MEDIA, "Content-Type must be application/json or application/octet-stream")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestError(UNSUPPORTED_MEDIA, "Content-Encoding: send the body as it is, not compressed")


def header_length(headers: Headers) -> int | None:
    """Raises RequestError."""
    text = headers.get(LENGTH_HEADER)
    if text is None:
        return None
    if not (text.isdigit() and len(text) < 16):
        raise RequestError(BAD_REQUEST, "the header Inference-Header-Content-Length must be a number of bytes")
    return int(text)


def _answer(version: Version, request: InferRequest, found: Arrays | Exception) -> Answer:
    try:
        if isinstance(found, Exception):
            return error_answer(problem_of(found))
        body, length = version.codec.write(request, found)
    except Exception as error:
        return error_answer(problem_of(error))
    if length is None:
        return Answer(200, JSON, body)
    return Answer(200, BYTES, body, ((LENGTH_HEADER, b"%d" % length),))


def problem_of(error: Exception) -> RequestError:
    """What a client may read of an error that is not its own: that it happened, no more."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, AnelabError):
        log.error("a model could not answer: %s", error)
        return RequestError(UNAVAILABLE, "the model could not answer; the reason is in the server's log")
    log.error("a request failed", exc_info=error)
    return RequestError(INTERNAL, "the server failed; the reason is in its log")
