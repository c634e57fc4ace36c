"""Connections as strangers use them: slow, endless, cut, many at a time. None holds up another."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from anelab.serving.limits import RequestLimits
from anelab.serving.protocol import HEADER_LENGTH
from anelab.serving.repository import Repository
from anelab.serving.tasks import STREAMED_PATHS
from tests.serving.conftest import Client, running
from tests.serving.test_inference import INFER, ROWS, request

HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\n{}: 0\r\nContent-Length: {}\r\n\r\n"


def raw_request(rows: int = 1, path: str = INFER) -> bytes:
    body = ROWS[:rows].tobytes()
    return HEAD.format(path, HEADER_LENGTH, len(body)).encode() + body


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.got = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self.got:
            self._more()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(self.got) < length:
            self._more()
        body, self.got = self.got[:length], self.got[length:]
        return int(head[9:12]), body

    def _more(self) -> None:
        more = self.socket.recv(1 << 16)
        assert more, "the connection was closed"
        self.got += more

    def is_closed(self) -> bool:
        """Whether the server closes it, soon."""
        try:
            return self.socket.recv(1 << 16) == b""
        except ConnectionError:
            return True


@pytest.fixture(scope="module")
def strict(models: Repository) -> Iterator[Client]:
    """A server that waits for little."""
    limits = RequestLimits(
        head_bytes=2000, request_s=0.5, idle_s=1.0, stream_bytes_s=1000, streamed_paths=STREAMED_PATHS
    )
    with running(models, requests=limits) as found:
        yield found


def test_a_connection_serves_one_request_after_another(client: Client) -> None:
    one = Connection(client.port)
    for _ in range(3):
        one.send(raw_request())
        assert one.answer()[0] == 200
        one.send(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.answer()[0] == 200
    one.send(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (one.answer()[0], one.is_closed()) == (200, True)


def test_requests_that_come_ahead_of_answers_are_answered_in_order(client: Client) -> None:
    one = Connection(client.port)
    metadata = b"GET /v2/models/mnist HTTP/1.1\r\nHost: localhost\r\n\r\n"
    one.send(
        raw_request(1) + metadata + raw_request(2) + raw_request(1, "/v2/models/no/infer") + metadata + raw_request(3)
    )
    found = [one.answer() for _ in range(6)]
    assert [status for status, _ in found] == [200, 200, 200, 404, 200, 200]
    shapes = [json.JSONDecoder().raw_decode(found[place][1].decode("latin-1"))[0] for place in (0, 2, 5)]
    assert [shape["outputs"][0]["shape"][0] for shape in shapes] == [1, 2, 3]
    assert json.loads(found[1][1])["name"] == "mnist"


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    one = Connection(client.port)
    whole = raw_request()
    for start in range(0, 200, 7):
        one.send(whole[start : start + 7])
    one.send(whole[203:1000])
    one.send(whole[1000:])
    assert one.answer()[0] == 200


def test_a_client_that_asks_first_is_told_to_go_on(client: Client) -> None:
    one = Connection(client.port)
    head, _, body = raw_request().partition(b"\r\n\r\n")
    one.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert one.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.send(body)
    assert one.answer()[0] == 200


def test_what_is_no_http_is_answered_and_closed(client: Client) -> None:
    one = Connection(client.port)
    one.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert (one.answer(), one.is_closed()) == ((400, b'{"error":"Invalid HTTP request received."}'), True)
    cut = Connection(client.port)
    cut.send(raw_request()[:500])
    cut.socket.close()
    assert client.post(INFER, request()).status == 200


def test_headers_have_a_bound(strict: Client) -> None:
    for start in (b"GET /" + b"a" * 4000, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 4000):
        one = Connection(strict.port)
        one.send(start)
        status, body = one.answer()
        assert (status, b"longer than 2,000 bytes" in body, one.is_closed()) == (431, True, True)


@pytest.mark.parametrize("sent", [b"", b"POST /v2/mod", HEAD.format(INFER, HEADER_LENGTH, 3136).encode() + b"x" * 99])
def test_who_does_not_go_on_is_not_waited_for(sent: bytes, strict: Client) -> None:
    one = Connection(strict.port)
    one.send(sent)
    if sent:
        assert one.answer()[0] == 408
    assert one.is_closed()


def test_a_streamed_body_needs_a_rate_not_a_bound(strict: Client) -> None:
    head = b"POST /api/v1/reads/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    slow = Connection(strict.port)
    slow.send(head + b"4\r\n@r1\n\r\n")
    status, body = slow.answer()
    assert (status, b"fewer than 1,000 bytes a second" in body) == (408, True)
    quick = Connection(strict.port)
    quick.send(head)
    record = b"@r\n" + b"A" * 2000 + b"\n+\n" + b"I" * 1999 + b"\n"
    for _ in range(8):  # far longer than any other request may take
        quick.send(b"%x\r\n%s\r\n" % (len(record), record))
        time.sleep(0.2)
    quick.send(b"0\r\n\r\n")
    assert quick.socket.recv(100).startswith(b"HTTP/1.1 422 ")  # as sequence and quality differ


def test_many_slow_clients_hold_up_nobody(client: Client) -> None:
    slow = [Connection(client.port) for _ in range(300)]
    for one in slow:
        one.send(raw_request()[:300])
    for _ in range(20):
        started = time.perf_counter()
        assert client.post(INFER, request()).status == 200
        assert time.perf_counter() - started < 5
    for one in slow:
        one.send(raw_request()[300:])
    assert {one.answer()[0] for one in slow} == {200}


def test_a_client_that_reads_nothing_is_not_computed_for_without_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends one request after another. What it would have to read first fills no more than the sockets' buffers."""
    rows: list[int] = []
    monkeypatch.setattr(client.models.version("mnist").batcher, "_on_batch", rows.append)
    one = Connection(client.port)
    one.socket.settimeout(2)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 100_000:
            one.send(raw_request(3) * 10)
            sent += 10
    computed = sum(rows)
    time.sleep(0.5)
    assert sum(rows) == computed
    for _ in range(5):  # it goes on when the client does
        assert one.answer()[0] == 200
    one.socket.close()


def test_many_small_requests_at_once_are_all_answered(client: Client) -> None:
    one = Connection(client.port)
    metadata = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sending = threading.Thread(target=one.send, args=((raw_request(1) + metadata * 40) * 60,))
    sending.start()
    assert {one.answer()[0] for _ in range(41 * 60)} == {200}
    sending.join()


def test_what_follows_a_request_and_is_no_http_harms_nobody_else(client: Client) -> None:
    others = [Connection(client.port) for _ in range(10)]
    for _ in range(20):
        bad = Connection(client.port)
        bad.send(raw_request() * 2 + b"garbage\r\n\r\n")
        for other in others:
            other.send(raw_request())
        assert {other.answer()[0] for other in others} == {200}
        bad.socket.close()


def test_headers_behind_a_chunked_body_are_not_kept(client: Client) -> None:
    one = Connection(client.port)
    head = b"POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    one.send(head + b"0\r\n" + b"Authorization: x\r\n" * 2000 + b"\r\n")
    assert one.answer()[0] == 200


def test_who_sends_reads_and_reads_nothing_does_not_stay(strict: Client) -> None:
    stalled = [Connection(strict.port) for _ in range(4)]
    head = b"POST /api/v1/reads/score?phred=33 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    record = b"@r\n" + b"ACGT" * 30 + b"\n+\n" + b"I" * 120 + b"\n"
    part = record * 4000

    def send(one: Connection) -> None:
        with suppress(OSError):
            one.send(head)
            while True:
                one.send(b"%x\r\n%s\r\n" % (len(part), part))

    threads = [threading.Thread(target=send, args=(one,), daemon=True) for one in stalled]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    statuses = []
    while 200 not in statuses and len(statuses) < 100:  # what they held is free a moment later
        statuses.append(strict.post("/api/v1/reads/score?phred=33", record).status)
        time.sleep(0.1)
    assert statuses[-1] == 200
