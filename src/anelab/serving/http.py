"""HTTP on a connection: uvicorn's, but for inference, which is answered here, without a task and messages for each
request: four times as fast. Slow and endless requests are ended here, too, whoever answers them."""

from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from anelab.serving.answers import JSON, Answer, cors_headers, encoded, error_answer
from anelab.serving.batching import Waiting
from anelab.serving.errors import (
    BAD_REQUEST,
    GATEWAY_TIMEOUT,
    HEADERS_TOO_LARGE,
    REQUEST_TIMEOUT,
    RequestError,
)
from anelab.serving.inference import Caller
from anelab.serving.service import Head, Service

LINGER_S = 2.0
"""For which a client may read why it was refused while it still sends."""
NO_HEAD = Head(None, "", {}, None, "", False)
IDLE, HEAD, BODY, ANSWERING, ENDED = range(5)
"""What a connection is at."""


class _NoEvent:
    """In place of the event that uvicorn sets for its tasks."""

    def set(self) -> None:
        pass


class InferenceCycle:
    """One request of inference on a connection, and its answer. uvicorn treats it as one of its own."""

    __slots__ = (
        "body",
        "disconnected",
        "head",
        "is_complete",
        "keep_alive",
        "request_id",
        "response_complete",
        "waiting",
    )
    message_event = _NoEvent()

    def __init__(self, head: Head, request_id: str, keep_alive: bool) -> None:
        self.head, self.request_id, self.keep_alive = head, request_id, keep_alive
        self.body: bytes | bytearray = b""
        self.is_complete = self.disconnected = self.response_complete = False
        self.waiting: Waiting | None = None


class InferenceProtocol(HttpToolsProtocol):
    """A connection. `service` is set by `protocol_of`."""

    service: Service

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.phase, self.since = IDLE, self.loop.time()
        self.url, self.headers = b"", []
        self.head = NO_HEAD
        self.answering: Any = None  # the request whose answer comes next
        self.messages = self.unread_bytes = 0
        self.unread_since = self.since
        self.head_bytes = self.body_bytes = self.checked_bytes = self.slow_checks = 0
        self.refused: RequestError | None = None

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self.phase == ENDED:
            return
        own = self.messages + (self.phase != HEAD)
        super().data_received(data)
        if self.phase == HEAD and self.messages == own:  # what has another request in it, too, is not counted
            self.head_bytes += len(data)
            if self.head_bytes > self.service.limits.head_bytes:
                most = self.service.limits.head_bytes
                self.end(RequestError(HEADERS_TOO_LARGE, f"address and headers are longer than {most:,} bytes"))

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self.phase, self.since = HEAD, self.loop.time()
        self.messages += 1
        self.head_bytes = self.body_bytes = self.checked_bytes = self.slow_checks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase == HEAD:  # a chunked body may end with more of them, which nobody wants
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """An error that is raised here stops the parser, which calls `send_400_response`."""
        try:
            head = self.service.head(self.parser.get_method(), self.url, self.headers)
        except RequestError as error:
            self.refused = error
            raise
        self.head, self.phase = head, BODY
        if head.route is None:
            self._begin_as_uvicorn(head)
            return
        cycle = InferenceCycle(head, self.service.request_id(head.headers), self.parser.should_keep_alive())
        before: Any = self.cycle
        self.cycle = cycle  # type: ignore[assignment]
        if b"expect" in head.headers:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if before is None or before.response_complete:
            self.answering = cycle
        else:  # answers keep the order of their requests
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))  # type: ignore[arg-type]

    def _begin_as_uvicorn(self, head: Head) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.scope["state"]["caller"] = Caller(self.service.request_id(head.headers), head.key, head.path)
        self.url = url
        for name, value in headers:
            if name.lower() != b"content-type" or head.is_streamed:
                super().on_header(name, value)
        if not head.is_streamed:
            super().on_header(b"content-type", JSON)  # whatever it is called: `check_headers` allowed it
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        if self.body_bytes > self.service.limits.body_bytes and not self.head.is_streamed:
            self.refused = self.service.too_long()
            raise self.refused
        cycle: Any = self.cycle
        if type(cycle) is not InferenceCycle:
            super().on_body(body)
        elif not cycle.body:
            cycle.body = body
        else:
            if type(cycle.body) is bytes:
                cycle.body = bytearray(cycle.body)
            cycle.body += body

    def on_message_complete(self) -> None:
        cycle: Any = self.cycle
        self.phase, self.since = IDLE if cycle.response_complete else ANSWERING, self.loop.time()
        if type(cycle) is not InferenceCycle:
            super().on_message_complete()
            return
        cycle.is_complete = True
        if cycle is self.answering:
            self._start(cycle)

    # Answers

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """uvicorn's, when a request is the first that is not answered."""
        self.answering = cycle
        if type(cycle) is not InferenceCycle:
            super()._start_asgi_task(cycle, app)
            return
        if cycle.is_complete:
            self._start(cycle)
        else:
            self.flow.resume_reading()

    def _start(self, cycle: InferenceCycle) -> None:
        head = cycle.head
        assert head.route is not None
        caller = Caller(cycle.request_id, head.key, head.path)
        cycle.waiting = self.service.inference.start(
            head.route, caller, head.length, cycle.body, partial(self._answer, cycle)
        )

    def _answer(self, cycle: InferenceCycle, answer: Answer) -> None:
        if cycle.disconnected or cycle.response_complete or self.phase == ENDED or self.transport.is_closing():
            return
        cycle.response_complete, cycle.waiting = True, None
        origin = cycle.head.headers.get(b"origin")
        if origin is not None:
            answer = answer._replace(headers=(*answer.headers, *cors_headers(origin)))
        self.transport.write(encoded(answer, cycle.request_id, cycle.keep_alive))
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for its timer: `check` ends what is idle."""
        self.server_state.total_requests += 1
        is_unread = self.phase == BODY and self.cycle.response_complete
        if self.phase == ANSWERING:
            self.phase, self.since = IDLE, self.loop.time()
        if self.transport.is_closing():
            return
        if is_unread:
            self.flow.resume_reading()
            self._end_sending()  # nobody wants the rest of the body
        else:
            self._go_on()

    def _go_on(self) -> None:
        """The next request, unless the client does not read its answers."""
        if self.flow.write_paused:
            return
        if self.pipeline:
            self.loop.call_soon(self._start_asgi_task, *self.pipeline.pop())  # not at once: there may be thousands
        else:
            self.flow.resume_reading()

    # The end

    def send_400_response(self, msg: str) -> None:
        """uvicorn's, for what is no HTTP, or what a method above refused."""
        self.end(self.refused or RequestError(BAD_REQUEST, msg))

    def end(self, error: RequestError) -> None:
        """Answer with an error, whatever still comes. The client can read it before the connection is closed."""
        cycle, is_new = self.cycle, self.phase == HEAD
        waits = self.answering is not None and not self.answering.response_complete
        if waits:
            self._forget()
        is_begun = waits and getattr(self.answering, "response_started", False)
        is_earlier = waits and (is_new or self.answering is not cycle)
        if is_begun or is_earlier or (self.phase == BODY and not waits):
            self.transport.abort()  # the error would be taken for the answer of another request
            return
        headers = {name.lower(): value for name, value in self.headers}
        answer, origin = error_answer(error), headers.get(b"origin", b"")
        if origin.lower() in self.service.access.origins:
            answer = answer._replace(headers=(*answer.headers, *cors_headers(origin)))
        request_id = self.service.request_id(headers)
        self.transport.write(encoded(answer, request_id, keep_alive=False))
        self._end_sending()
        self.service.inference.record_refused(request_id, self.url, error.status)

    def _end_sending(self) -> None:
        """The client is to read the answer while it still sends; `check` closes the connection later."""
        self.phase, self.since = ENDED, self.loop.time()
        self.transport.write_eof()

    def check(self, now: float) -> None:
        """End what takes too long. Is called about once a second."""
        waited, most = now - self.since, self.service.limits.request_s
        if self._is_stalled(now):
            self.transport.abort()
        elif self.phase == ENDED:
            if waited > LINGER_S:
                self.transport.abort()
        elif self.phase == IDLE:
            if waited > self.service.limits.idle_s and not self.unread_bytes:
                self.transport.abort()
        elif self.phase == BODY and self.head.is_streamed:
            self._check_rate()
        elif waited > most and self.phase == ANSWERING:
            if not self.head.is_streamed:
                self.end(RequestError(GATEWAY_TIMEOUT, f"no answer was found in {most:g} s"))
        elif waited > most:
            self.end(RequestError(REQUEST_TIMEOUT, f"the request was not complete after {most:g} s"))

    def _is_stalled(self, now: float) -> bool:
        """Whether the client has read nothing of its answers for as long as a request may take."""
        unread: int = self.transport.get_write_buffer_size()
        if not unread or unread < self.unread_bytes:
            self.unread_since = now
        self.unread_bytes = unread
        return bool(now - self.unread_since > self.service.limits.request_s)

    def _check_rate(self) -> None:
        if self.flow.read_paused or self.body_bytes - self.checked_bytes >= self.service.limits.stream_bytes_s:
            self.slow_checks = 0
        else:
            self.slow_checks += 1
        self.checked_bytes = self.body_bytes
        if self.slow_checks > self.service.limits.request_s:
            least = self.service.limits.stream_bytes_s
            self.end(RequestError(REQUEST_TIMEOUT, f"fewer than {least:,} bytes a second came; send faster"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _forget(self) -> None:
        """Nobody waits for the answer that would come next."""
        if self.answering is not None:
            self.answering.disconnected = True
            self.answering.message_event.set()
            if type(self.answering) is InferenceCycle and self.answering.waiting is not None:
                self.answering.waiting.is_cancelled = True

    def pause_writing(self) -> None:
        """A client that does not read its answers is not asked for more."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.answering is not None and not self.answering.response_complete:
            self.flow.resume_reading()
        else:
            self._go_on()


def protocol_of(service: Service) -> type[InferenceProtocol]:
    """What uvicorn makes of each connection."""
    return type("ServiceProtocol", (InferenceProtocol,), {"service": service})
