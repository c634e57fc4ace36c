"""The server as a process, asked over HTTP."""

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from anelab.serving.protocol import HEADER_LENGTH
from tests.commands import Running, anelab, start_anelab
from tests.serving.test_inference import ROWS, request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path, *options: str) -> Iterator[tuple[str, Running]]:
    """The address of a server of mnist, and its process."""
    port = free_port()
    running = start_anelab(home, "serve", "--model", "mnist=models:/mnist-onnx@champion", "--port", str(port), *options)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                ask(f"{address}/v2/health/ready")
                break
            except OSError:
                assert running.process.is_alive(), running.wait()
                time.sleep(0.1)
        yield address, running
    finally:
        if running.process.is_alive():
            running.process.terminate()
            running.process.join(60)


def ask(url: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, content, timeout=30) as answer:
        return json.loads(answer.read())


def test_it_serves_and_ends_when_it_is_asked_to(home: Path) -> None:
    with serving(home) as (address, running):
        assert ask(f"{address}/v2/models/mnist/infer", request())["model_name"] == "mnist"
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{address}/v2/models/mnist/infer", {"inputs": []})
        assert caught.value.code == 400
        running.process.terminate()
        done = running.wait()
    assert done.returncode in (0, -signal.SIGTERM)
    assert "mnist version 1: model.onnx on CPUExecutionProvider" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_finishes_what_it_accepted(home: Path) -> None:
    """A request of many rows is on its way when it is asked to end."""
    rows = ROWS[:1].repeat(15_000, axis=0)
    with serving(home) as (address, running):
        answers: list[bytes] = []
        asked = urllib.request.Request(f"{address}/v2/models/mnist/infer", rows.tobytes(), {HEADER_LENGTH: "0"})
        asking = threading.Thread(target=lambda: answers.append(urllib.request.urlopen(asked, timeout=60).read()))
        asking.start()
        time.sleep(0.3)
        os.kill(running.process.pid, signal.SIGTERM)
        asking.join(60)
    assert len(answers[0]) > 15_000 * 10 * 4


def test_after_a_kill_it_starts_again_at_once(home: Path) -> None:
    with serving(home) as (address, running):
        running.kill()
        with pytest.raises(OSError, match="refused"):
            ask(f"{address}/v2")
    with serving(home) as (address, _):
        assert ask(f"{address}/v2/health/live") == {"live": True}


def test_what_cannot_be_served_is_said_before_it_listens(home: Path) -> None:
    missing = anelab(home, "serve", "--model", "mnist=models:/mnist-onnx/77")
    assert (missing.returncode, "has no version or alias 77" in missing.stderr) == (1, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = anelab(home, "serve", "--model", "mnist=models:/mnist-onnx@champion", "--port", str(port))
    assert (refused.returncode, f"--port {port + 1}" in refused.stderr) == (1, True)


def test_workers_share_a_port_and_one_that_dies_is_replaced(home: Path) -> None:
    with serving(home, "--workers", "2") as (address, running):
        first = workers_of(running)
        assert len(first) == 2
        for _ in range(10):
            ask(f"{address}/v2/models/mnist/infer", request())
        time.sleep(1.5)  # they write their counts once a second
        assert requests_in(address) == 10
        os.kill(first[0], signal.SIGKILL)
        for _ in range(20):
            with suppress(ConnectionError, urllib.error.URLError):  # that which the dead one had accepted
                ask(f"{address}/v2/models/mnist/infer", request())
        for _ in range(300):
            if len(now := workers_of(running)) == 2 and set(now) != set(first):
                break
            time.sleep(0.1)
        assert len(set(now) - set(first)) == 1
        assert requests_in(address) >= 10
        running.process.terminate()
        assert running.wait().returncode in (0, -signal.SIGTERM)
    assert not any(psutil.pid_exists(one) for one in now)


def test_workers_end_with_their_parent(home: Path) -> None:
    with serving(home, "--workers", "2") as (_, running):
        workers = workers_of(running)
        running.kill()
        _, alive = psutil.wait_procs([psutil.Process(one) for one in workers if psutil.pid_exists(one)], 20)
    assert not alive


def test_a_worker_that_cannot_start_ends_the_server(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = anelab(home, "serve", "--model", "mnist=models:/mnist-onnx/77", "--workers", "2", "--port", "0")
    said = capfd.readouterr().err  # by the workers, which are processes of their own
    assert (missing.returncode, "has no version or alias 77" in said) == (1, True)
    assert "Traceback" not in said + missing.stderr
    assert "a worker could not start" in missing.stderr


def workers_of(running: Running) -> list[int]:
    found = []
    for one in psutil.Process(running.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it ended, or is a zombie until the server looks
            if "anelab.serving.worker" in one.cmdline():
                found.append(one.pid)
    return found


def requests_in(address: str) -> int:
    """Of inference, by the metrics of any worker."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("anelab_inference_requests_total{")))
