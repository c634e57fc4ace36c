"""anelab-client, installed alone into an empty environment, asks a server."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anelab.serving.access import add_key
from anelab.serving.repository import Repository
from tests.conftest import ROOT
from tests.serving.conftest import Client, home, models, running
from tests.serving.test_reads import fastq

__all__ = ["home", "models"]
SCRIPT = """
import asyncio, sys
import numpy as np
from anelab_client import AsyncClient, Client, Prediction, ServerError
url, key, reads = sys.argv[1:]
rows = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
with Client(url, key) as client:
    assert client.ready()
    assert {entry.name for entry in client.models()} == {"mnist", "reads", "simple"}
    assert client.metadata("mnist")["inputs"][0]["shape"] == [-1, 1, 28, 28]
    output = client.predict("mnist", rows)["output"]
    assert output.shape == (3, 10) and np.allclose(output.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(client.predict("mnist", {"input": rows}, "1", ["output"])["output"], output)
    ones = np.ones((2, 16), np.int32)
    both = client.predict("simple", {"INPUT0": ones * 5, "INPUT1": ones})
    assert (both["OUTPUT0"] == 6).all() and (both["OUTPUT1"] == 4).all() and both["OUTPUT1"].dtype == np.int32
    found = client.classify(rows[0], top_k=2)
    assert [one.label for one in found] == np.argsort(-output[0])[:2].tolist() and isinstance(found[0], Prediction)
    with open(reads, "rb") as file:
        scored = list(client.score_reads(file))
    assert len(scored) == 20000 and {read.verdict for read in scored} == {"PASS", "FAIL"}
    record = chr(10).join(["@r%d", "ACGT" * 30, "+", "I5" * 60, ""])
    endless = ("".join(record % number for _ in range(2000)).encode() for number in range(10**9))
    early = client.score_reads(endless, phred="33")
    assert next(early).name == "r0"
    del early
    assert (scored[7].name, 0 <= scored[7].probability <= 1) == ("read_7", True)
    for call, status in (
        (lambda: client.predict("nobody", {"input": rows}), 404),
        (lambda: client.predict("mnist", rows[:, :, 1:]), 400),
        (lambda: list(client.score_reads([b">fasta"])), 422),
        (lambda: Client(url, "wrong").models(), 401),
    ):
        try:
            call()
        except ServerError as error:
            assert error.status == status and error.reason, error
        else:
            raise AssertionError(status)
    try:
        client.predict("simple", ones)
    except ValueError as error:
        assert "INPUT0, INPUT1" in str(error)

async def many():
    async with AsyncClient(url, key) as client:
        for found in await asyncio.gather(*(client.predict("mnist", rows) for _ in range(20))):
            assert np.allclose(found["output"], output, atol=1e-6)
asyncio.run(many())
print("PASS")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with nothing but the client and what it needs."""
    folder = tmp_path_factory.mktemp("alone")
    source = shutil.copytree(ROOT / "clients" / "python", folder / "source")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    found = folder / "env" / "bin" / "python"
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(found), str(source)], check=True)
    return found


@pytest.fixture
def served(models: Repository, tmp_path: Path) -> Iterator[tuple[Client, str]]:
    key = add_key(tmp_path / "keys", "client")
    with running(models, keys=tmp_path / "keys") as client:
        yield client, key


def test_it_asks_a_server_alone(python: Path, served: tuple[Client, str], tmp_path: Path) -> None:
    client, key = served
    (tmp_path / "reads.fastq").write_bytes(fastq(20_000))
    url = f"http://127.0.0.1:{client.port}"
    done = subprocess.run(
        [str(python), "-c", SCRIPT, url, key, str(tmp_path / "reads.fastq")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "PASS\n"), done.stderr


def test_it_needs_httpx_and_numpy_only(python: Path) -> None:
    listing = subprocess.run(["uv", "pip", "list", "--quiet", "--python", str(python)], capture_output=True, text=True)
    names = {line.split()[0] for line in listing.stdout.splitlines()[2:]}
    assert {"anelab-client", "httpx", "numpy"} <= names
    assert names - {"anelab-client", "httpx", "numpy"} <= {
        "anyio",
        "certifi",
        "h11",
        "httpcore",
        "idna",
        "sniffio",
        "typing-extensions",
    }
