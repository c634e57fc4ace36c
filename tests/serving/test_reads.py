"""Reads over HTTP: the verdicts of `anelab score`, while the body still comes."""

import gzip
import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import anelab
from tests.serving.conftest import Client, repository, running

SCORE = "/api/v1/reads/score"


def fastq(count: int, start: int = 0) -> bytes:
    """Reads whose quality falls from one to the next."""
    return b"".join(
        b"@read_%d\n%s\n+\n%s\n" % (number, b"ACGT" * 30, bytes([33 + 40 - number % 40]) * 120)
        for number in range(start, start + count)
    )


@pytest.fixture(scope="module")
def table(home: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the command writes of 20,000 reads."""
    folder = tmp_path_factory.mktemp("reads")
    (folder / "reads.fastq").write_bytes(fastq(20_000))
    model = home / "models/read_quality/export/model.raw.onnx"
    done = anelab(home, "score", str(folder / "reads.fastq"), "-o", str(folder / "table.tsv"), "--model", str(model))
    assert done.returncode == 0, done.stderr
    return (folder / "table.tsv").read_bytes()


def test_verdicts_are_those_of_the_command(client: Client, table: bytes) -> None:
    for body in (fastq(20_000), gzip.compress(fastq(20_000), 1)):
        answer = client.post(SCORE, body)
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/tab-separated-values")
        assert answer.body == table
    assert client.post(SCORE, fastq(40), {"Content-Type": "text/plain"}).status == 200


def test_the_answer_begins_before_the_body_ends(client: Client, table: bytes) -> None:
    """Of a body without a length, longer than what any other may have."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.putrequest("POST", SCORE)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    sent = 0
    with socket.socket(fileno=connection.sock.detach()) as raw:
        raw.settimeout(0.2)
        got = b""
        while not got and sent < 400:
            part = fastq(1000, sent * 1000)
            raw.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            sent += 1
            with suppress(TimeoutError):
                got = raw.recv(1 << 16)
        assert got.startswith(b"HTTP/1.1 200 ")
        raw.settimeout(30)
        raw.sendall(b"0\r\n\r\n")
        while not got.endswith(b"0\r\n\r\n"):
            got += raw.recv(1 << 16)
    assert f"read_{sent * 1000 - 1}\t".encode() in got


def test_a_threshold_and_a_model_are_chosen(client: Client) -> None:
    lines = client.post(f"{SCORE}?model=reads&threshold=0.999999", fastq(40)).body.decode().splitlines()[1:]
    assert {line.split("\t")[2] for line in lines} == {"FAIL"}
    for query, status in (("threshold=1.5", 422), ("model=nobody", 404), ("model=mnist", 422)):
        assert client.post(f"{SCORE}?{query}", fastq(40)).status == status


def test_what_is_no_fastq_is_said(client: Client) -> None:
    for body, says in (
        (b">fasta\nACGT\n", "body: record 1, line 1: this is FASTA"),
        (b"@r\nACGT\n+\nII\n", "sequence and quality differ in length"),
        (fastq(40)[:-200], "the file ends inside a record"),
    ):
        answer = client.post(SCORE, body)
        assert (answer.status, says in answer.json()["error"]) == (422, True), answer.body
    doubtful = client.post(SCORE, fastq(2))
    assert (doubtful.status, "say which: phred=33 or phred=64" in doubtful.json()["error"]) == (422, True)
    assert client.post(f"{SCORE}?phred=33", fastq(2)).status == 200
    assert client.post(SCORE, b"").body == b"read_id\tprobability\tverdict\n"


def test_a_record_that_is_broken_later_cuts_the_answer(client: Client) -> None:
    def body() -> Iterator[bytes]:
        for part in range(20):
            yield fastq(10_000, part * 10_000)
        yield b"broken\n" * 8

    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.request("POST", SCORE, body())
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    last = caught.value.partial.splitlines()[-1]
    assert last.startswith(b"# error: body: record 200001, line 800001: the header must start with '@'")
    assert client.post(SCORE, fastq(40)).status == 200


def test_without_a_model_of_reads_it_says_so(home: Path) -> None:
    models = repository(home, "mnist=models:/mnist-onnx@champion")
    with running(models) as client:
        assert client.post(SCORE, fastq(40)).status == 404
    models.close()
