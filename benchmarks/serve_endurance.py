"""Whether `anelab serve` stays right, small and quick under what strangers do to it. It prints a line for each check.

    python benchmarks/serve_endurance.py EXPORT [--idx FOLDER] [--bodies 10000] [--slow 1000] [--minutes 10]

EXPORT: the folder of an export of mnist. --idx: a folder of MNIST's IDX files, whose 10,000 test images are asked by
values from 0 to 1 and by bytes, and must have the accuracy of the same files without a server. Then: bodies that are
damaged at random, clients that send a byte now and then, the end of the process by SIGKILL, an exchanged file under
load, and minutes at half load. wrk makes the load.
"""

import argparse
import http.client
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from anelab.export.runtime import onnx_predictor
from anelab.learning.idx import read_idx
from anelab.sequences.streams import read_bytes

INFER = "/v2/models/{}/infer"
RAW = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}


class Server:
    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "anelab", "serve", "--port", str(self.port), *options]
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not self.is_ready():
            assert self.process.poll() is None
            time.sleep(0.01)
        self.start_s = time.perf_counter() - started

    def is_ready(self) -> bool:
        with suppress(OSError):
            return self.ask("GET", "/v2/health/ready", b"", {})[0] == 200
        return False

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def memory_mb(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    server = Server(*options)
    try:
        yield server
    finally:
        server.end()


def accuracy(export: Path, folder: Path, server: Server) -> None:
    def idx(name: str, rank: int) -> Any:
        path = next(path for path in folder.iterdir() if path.name.startswith(name))
        return read_idx(path, read_bytes(path), rank)

    images, labels = idx("t10k-images", 3), idx("t10k-labels", 1)
    raw = images.reshape(-1, 1, 28, 28)
    floats = raw.astype(np.float32) / np.float32(255)
    plain = onnx_predictor(export / "model.onnx")({"input": floats})["output"]
    bytes_ = onnx_predictor(export / "model.raw.onnx")({"input": raw})["output"]
    by_values, by_bytes = [], []
    for start in range(0, len(raw), 500):
        body = {"image_data": floats[start : start + 500].reshape(-1, 784).tolist(), "top_k": 1}
        status, answer = server.ask("POST", "/api/v1/ml/classify", json.dumps(body).encode(), JSON)
        assert status == 200, answer[:300]
        by_values += [row[0]["class"] for row in json.loads(answer)["predictions"]]
        status, answer = server.ask("POST", INFER.format("raw"), raw[start : start + 500].tobytes(), RAW)
        assert status == 200, answer[:300]
        by_bytes.append(np.frombuffer(answer[-500 * 40 :], "<f4").reshape(500, 10).argmax(axis=1))
    found = {
        "without a server": plain.argmax(axis=1),
        "HTTP, values from 0 to 1": np.array(by_values),
        "without a server, bytes": bytes_.argmax(axis=1),
        "HTTP, bytes": np.concatenate(by_bytes),
    }
    for name, decisions in found.items():
        print(f"accuracy of {len(labels)} test images, {name}: {(decisions == labels).mean():.4f}")


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, removed, repeated, or the body cut."""
    found = bytearray(body)
    for _ in range(rng.randint(1, 8)):
        place, size = rng.randrange(len(found) or 1), rng.randint(1, 20)
        kind = rng.randrange(4)
        if kind == 0:
            found[place : place + size] = rng.randbytes(size)
        elif kind == 1:
            del found[place : place + size]
        elif kind == 2:
            found[place:place] = found[place : place + size] * rng.randint(1, 30)
        else:
            found[place : place + 1] = rng.choice([b"[" * 50, b'"', b"1e999", b"-1", b"null", b"{}", b"\x00", b","])
    return bytes(found)


def damaged_bodies(count: int, server: Server) -> None:
    rng = random.Random(7)
    tensor = {"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784}
    text = json.dumps({"inputs": [tensor | {"data": None, "parameters": {"binary_data_size": 3136}}]}).encode()
    samples = [
        (INFER.format("mnist"), json.dumps({"inputs": [tensor], "id": "1"}).encode(), JSON),
        (INFER.format("mnist"), text + bytes(3136), {"Inference-Header-Content-Length": str(len(text))}),
        (INFER.format("raw"), bytes(784), RAW),
        ("/api/v1/ml/classify", json.dumps({"image_data": [0.5] * 784, "top_k": 3}).encode(), JSON),
        ("/api/v1/ml/inference", json.dumps({"input_data": [0.5] * 784, "input_shape": [1, 784]}).encode(), JSON),
        ("/api/v1/reads/score", b"@r\nACGT\n+\nIIII\n" * 50, RAW),
    ]
    statuses: Counter[int] = Counter()
    for number in range(count // 10):  # what a process needs anyway
        path, body, headers = samples[number % len(samples)]
        server.ask("POST", path, mutated(body, rng), headers)
    before, longest = server.memory_mb, 0.0
    for number in range(count):
        path, body, headers = samples[number % len(samples)]
        started = time.perf_counter()
        status, answer = server.ask("POST", path, mutated(body, rng), headers)
        longest = max(longest, time.perf_counter() - started)
        assert status < 500 or status == 503, (status, answer[:300])
        statuses[status] += 1
    grown = server.memory_mb - before
    print(f"{count} damaged bodies: {dict(sorted(statuses.items()))}, longest {longest:.2f} s, memory {grown:+.1f} MB")


def slow_clients(count: int, server: Server) -> None:
    def p99() -> float:
        taken = []
        for _ in range(300):
            started = time.perf_counter()
            assert server.ask("POST", INFER.format("raw"), bytes(784), RAW)[0] == 200
            taken.append((time.perf_counter() - started) * 1e3)
        return float(np.percentile(taken, 99))

    alone = p99()
    head = f"POST {INFER.format('raw')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 784\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
    for one in slow:
        one.sendall(head[:30])

    is_ending = threading.Event()

    def drip() -> None:
        place = 30
        while not is_ending.wait(1) and place < len(head):
            for one in slow:
                with suppress(OSError):
                    one.sendall(head[place : place + 1])
            place += 1

    dripping = threading.Thread(target=drip)
    dripping.start()
    print(f"{count} slow clients: p99 of another {p99():.1f} ms, {alone:.1f} ms without them")
    is_ending.set()
    dripping.join()
    for one in slow:
        one.close()


def wrk(server: Server, seconds: float, clients: int, script: Path, path: str) -> "subprocess.Popen[str]":
    url = f"http://127.0.0.1:{server.port}{path}"
    command = ["wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "-s", str(script), url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def killed_under_load(options: list[str], script: Path) -> None:
    server = Server(*options)
    load = wrk(server, 5, 64, script, INFER.format("raw"))
    time.sleep(2)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = Server(*options)
    load.wait()
    again.end()
    print(f"after SIGKILL under load: ready again {again.start_s:.2f} s after the start")


def exchanged_under_load(export: Path, script: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "raw.onnx"
        shutil.copy(export / "model.raw.onnx", file)
        with serving("--model", str(file), "--poll", "0.2") as server:
            load = wrk(server, 10, 64, script, INFER.format("raw"))
            swaps = 0
            while load.poll() is None:
                time.sleep(1)
                shutil.copy(export / "model.raw.onnx", Path(folder) / "new")
                (Path(folder) / "new").replace(file)
                swaps += 1
            text = load.stdout.read() if load.stdout else ""
    failed = re.findall(r"Non-2xx.*|Socket errors.*", text)
    requests = re.findall(r"(\d+) requests in", text)[0]
    print(f"{swaps} exchanges of the file under load: {requests} requests, failed: {failed or 'none'}")


def half_load(minutes: float, server: Server) -> None:
    """As many requests a second as half of what one client at a time gets."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    path, body = INFER.format("raw"), bytes(784)
    started, count = time.perf_counter(), 0
    memory = []
    while time.perf_counter() - started < minutes * 60:
        begun = time.perf_counter()
        connection.request("POST", path, body, RAW)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (200, True)
        count += 1
        time.sleep(time.perf_counter() - begun)
        if count % 5000 == 0:
            memory.append(server.memory_mb)
    memory.append(server.memory_mb)
    print(
        f"{minutes:g} minutes at half load: {count} requests, memory {memory[0]:.1f} to {memory[-1]:.1f} MB "
        f"({(memory[-1] / memory[0] - 1) * 100:+.1f} %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--idx", type=Path)
    parser.add_argument("--reads", type=Path, help="a model of reads, to be asked with damaged bodies, too")
    parser.add_argument("--bodies", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    options = ["--model", f"mnist={given.export}", "--model", f"raw={given.export}/model.raw.onnx"]
    options += ["--model", f"reads={given.reads}"] if given.reads else []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in RAW.items()]
        script.write("\n".join(['wrk.method = "POST"', *lines, 'wrk.body = string.rep("x", 784)', ""]))
        script.flush()
        with serving(*options) as server:
            print(f"ready {server.start_s:.2f} s after the start, {server.memory_mb:.0f} MB")
            if given.idx:
                accuracy(given.export, given.idx, server)
            damaged_bodies(given.bodies, server)
            slow_clients(given.slow, server)
            half_load(given.minutes, server)
        killed_under_load(options, Path(script.name))
        exchanged_under_load(given.export, Path(script.name))


if __name__ == "__main__":
    main()
