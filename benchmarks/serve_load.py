"""Requests a second and latencies of `anelab serve` beside other ways to serve the same model, in one run.

    python benchmarks/serve_load.py EXPORT [--clients 64 1] [--seconds 5] [--mlflow] [--litserve PYTHON]

EXPORT: the folder of an export of mnist. A server runs on core 0, wrk on core 1, over the loopback. Every request has
one image: as JSON, as float32 bytes, or as uint8 bytes. Before anything is timed all servers must give the answers of
the model itself. Servers take turns, three rounds; medians, and ratios to FastAPI within the round.

`FastAPI` is a route with a pydantic body around the same file, in one process like ours. `--mlflow`: `mlflow models
serve` of this environment. `--litserve`: a Python with litserve, onnxruntime and numpy. All servers have one process or
worker, and ONNX Runtime one thread.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anelab.export.runtime import onnx_predictor

SERVER_CORE, CLIENT_CORE = 0, 1
ROUNDS = 3
SESSION = """
import sys
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1] + "/model.onnx", options, providers=["CPUExecutionProvider"])
def predict(image):
    return session.run(None, {"input": np.array(image, np.float32).reshape(-1, 1, 28, 28)})[0]
"""
FASTAPI = f"""{SESSION}
import uvicorn, fastapi, pydantic
from fastapi import FastAPI
from pydantic import BaseModel
app = FastAPI()
class Body(BaseModel):
    image: list[float]
class Answer(BaseModel):
    output: list[float]
@app.post("/predict")
def answer(body: Body) -> Answer:
    return Answer(output=predict(body.image)[0].tolist())
print({{one.__name__: one.__version__ for one in (uvicorn, fastapi, pydantic, ort)}}, file=sys.stderr)
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", loop="uvloop", http="httptools")
"""
LITSERVE = f"""{SESSION}
import litserve as ls
class Api(ls.LitAPI):
    def setup(self, device): pass
    def decode_request(self, request): return request["image"]
    def predict(self, image): return predict(image)[0]
    def encode_response(self, output): return {{"output": output.tolist()}}
if __name__ == "__main__":
    print({{"litserve": ls.__version__}}, file=sys.stderr)
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), log_level="error", generate_client_file=False)
"""


@dataclass(frozen=True)
class Way:
    """How to ask a server; `read` finds the ten probabilities in the answer's body."""

    name: str
    port: int
    path: str
    headers: dict[str, str]
    body: bytes
    read: Callable[[bytes], Any]


def ways(image: Any, others: list[str]) -> list[Way]:
    values = image.ravel().tolist()
    tensor = {"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": values}
    text = {"Content-Type": "application/json"}
    raw = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
    plain = json.dumps({"image": values}).encode()
    infer = "/v2/models/{}/infer"

    def floats(body: bytes) -> Any:
        return np.frombuffer(body[-40:], "<f4")

    def of_ours(body: bytes) -> Any:
        return json.loads(body)["outputs"][0]["data"]

    def output(body: bytes) -> Any:
        return json.loads(body)["output"]

    def of_mlflow(body: bytes) -> Any:
        return json.loads(body)["predictions"]["output"][0]

    mlflow = json.dumps({"inputs": {"input": image.tolist()}}).encode()
    found = [
        Way("FastAPI, JSON", 8102, "/predict", text, plain, output),
        Way("anelab, JSON", 8101, infer.format("mnist"), text, json.dumps({"inputs": [tensor]}).encode(), of_ours),
        Way("anelab, float32 bytes", 8101, infer.format("mnist"), raw, image.tobytes(), floats),
        Way("anelab, uint8 bytes", 8101, infer.format("raw"), raw, as_bytes(image).tobytes(), floats),
        Way("mlflow models serve, JSON", 8103, "/invocations", text, mlflow, of_mlflow),
        Way("LitServe, JSON", 8104, "/predict", text, plain, output),
    ]
    return [way for way in found if way.name.startswith(("FastAPI", "anelab", *others))]


def as_bytes(image: Any) -> Any:
    return np.rint(image * 255).astype(np.uint8)


@contextmanager
def server(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(1200):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.connect()
                connection.close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{' '.join(command)} ended with {process.returncode}") from None
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def first(way: Way) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", way.port, timeout=60)
    connection.request("POST", way.path, way.body, way.headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (way.name, answer.status, body[:300])
    return way.read(body)


@dataclass(frozen=True)
class Load:
    per_s: float
    p50_ms: float
    p99_ms: float


def load(way: Way, clients: int, seconds: float) -> Load:
    """By wrk, every answer of which must be 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in way.headers.items())
        body = "".join(f"\\{byte:03d}" for byte in way.body)
        script.write(f'wrk.method = "POST"\n{headers}wrk.body = "{body}"\n')
        script.flush()
        url = f"http://127.0.0.1:{way.port}{way.path}"
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--latency", "-s", script.name, url]
        text = subprocess.run(
            ["taskset", "-c", str(CLIENT_CORE), *command], capture_output=True, text=True, check=True
        ).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, (way.name, text)
    return Load(float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]), milliseconds(text, 50), milliseconds(text, 99))


def milliseconds(text: str, percentile: int) -> float:
    value, unit = re.findall(rf"{percentile}%\s+([\d.]+)(us|ms|s)", text)[0]
    return float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def report(clients: int, todo: list[Way], rounds: dict[str, list[Load]]) -> None:
    print(f"{clients} clients: median of {ROUNDS} rounds, ratio to FastAPI within the round")
    base = rounds[todo[0].name]
    for name, found in rounds.items():
        ratios = sorted(one.per_s / other.per_s for one, other in zip(found, base, strict=True))
        per_s, p50, p99 = (statistics.median(getattr(one, field) for one in found) for field in Load.__annotations__)
        print(
            f"  {name:26} {per_s:9,.0f} requests/s  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  "
            f"x {ratios[len(ratios) // 2]:6.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"
        )


def start_all(stack: ExitStack, given: argparse.Namespace, folder: Path) -> None:
    python, export = sys.executable, str(given.export)
    for name, text in (("fastapi_server", FASTAPI), ("litserve_server", LITSERVE)):
        (folder / f"{name}.py").write_text(text)
    models = ["--model", f"mnist={export}", "--model", f"raw={export}/model.raw.onnx"]
    stack.enter_context(server([python, "-m", "anelab", "serve", "--port", "8101", *models], 8101))
    stack.enter_context(server([python, str(folder / "fastapi_server.py"), export, "8102"], 8102))
    if given.mlflow:
        save_for_mlflow(given.export, folder / "model")
        words = ["models", "serve", "-m", str(folder / "model"), "-p", "8103", "--env-manager", "local", "-w", "1"]
        stack.enter_context(server([python, "-m", "mlflow", *words], 8103))
    if given.litserve:
        stack.enter_context(server([given.litserve, str(folder / "litserve_server.py"), export, "8104"], 8104))


def save_for_mlflow(export: Path, folder: Path) -> None:
    import mlflow.onnx
    import onnx

    mlflow.onnx.save_model(
        onnx.load(export / "model.onnx"), folder, onnx_execution_providers=["CPUExecutionProvider"], pip_requirements=[]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[64, 1])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--mlflow", action="store_true")
    parser.add_argument("--litserve", metavar="PYTHON")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this needs wrk; on Debian: apt-get install wrk")
    image = as_bytes(np.random.default_rng(0).random((1, 1, 28, 28))).astype(np.float32) / np.float32(255)
    wanted = onnx_predictor(given.export / "model.onnx")({"input": image})["output"][0]
    todo = ways(image, ["mlflow"] * given.mlflow + ["LitServe"] * bool(given.litserve))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        start_all(stack, given, Path(folder))
        for way in todo:
            np.testing.assert_allclose(first(way), wanted, atol=1e-5, err_msg=way.name)
        for clients in given.clients:
            rounds: dict[str, list[Load]] = {way.name: [] for way in todo}
            for _ in range(ROUNDS):
                for way in todo:
                    rounds[way.name].append(load(way, clients, given.seconds))
            report(clients, todo, rounds)


if __name__ == "__main__":
    main()
