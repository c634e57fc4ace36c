"""Arms that run no exported file: the trained module by torch, the workload's classical rule, a served model."""

import http.client
import json
import os
import shutil
import sys
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from anelab import workloads
from anelab.bench.arms.contract import Arm, Call, Opened, Subject, UnavailableError
from anelab.errors import AnelabError
from anelab.learning.base import Array, Arrays, Graph, Rule, Split

if TYPE_CHECKING:
    import torch

HTTP_TYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "uint8": "UINT8"}
HTTP_SECONDS = 30


@dataclass(frozen=True)
class TorchArm(Arm):
    """The trained module as it is deployed, outside any training."""

    torch_device: ClassVar[str] = "cpu"

    def unavailable(self, subject: Subject) -> str | None:
        if subject.checkpoint is None or subject.prepared is None:
            return "the trained module stays in the project: a registered version holds its exported files only"
        if not subject.checkpoint.is_file():
            return f"{subject.checkpoint} is not there; train first"
        return super().unavailable(subject)

    def finish(self, module: "torch.nn.Module", subject: Subject, graph: Graph) -> "tuple[Any, int | None]":
        """What to call, and how long compiling it took."""
        return module, None

    def load_libraries(self, subject: Subject) -> None:
        import anelab.training.trained  # noqa: F401

        workloads.get(subject.workload)

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        import torch

        from anelab.training.trained import trained_module

        assert subject.checkpoint is not None and subject.prepared is not None
        torch.set_num_threads(self.threads or 1)
        workload = workloads.get(subject.workload)
        graph = next(one for one in workload.graphs(subject.config) if one.name == self.graph)
        started = time.perf_counter_ns()
        trained, _ = trained_module(workload, subject.config, subject.prepared, subject.checkpoint)
        module = workload.deployed(trained, graph).to(self.torch_device).eval().requires_grad_(False)
        load_ns = time.perf_counter_ns() - started
        ready, compile_ns = self.finish(module, subject, graph)

        def prepare(rows: Split) -> Call:
            given = [torch.from_numpy(np.ascontiguousarray(rows.inputs[graph.name][one.name])) for one in graph.inputs]
            return self.call(ready, given)

        def read(found: Any) -> Arrays:
            outputs = found if isinstance(found, tuple) else (found,)
            return {one.name: value.cpu().numpy() for one, value in zip(graph.outputs, outputs, strict=True)}

        return Opened(prepare, read, load_ns, compile_ns)

    def call(self, module: Any, given: "list[torch.Tensor]") -> Call:
        return partial(module, *given)


@dataclass(frozen=True)
class TorchEager(TorchArm):
    kind: ClassVar[str] = "torch-eager"
    options: ClassVar[tuple[str, ...]] = ("threads",)


@dataclass(frozen=True)
class TorchCompile(TorchArm):
    """torch.compile with fixed shapes; a batch size is compiled when it is first prepared."""

    kind: ClassVar[str] = "torch-compile"
    options: ClassVar[tuple[str, ...]] = ("threads",)

    def unavailable(self, subject: Subject) -> str | None:
        if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")):
            return "torch.compile needs a C++ compiler (g++ or clang++), and there is none on the PATH"
        return super().unavailable(subject)

    def finish(self, module: "torch.nn.Module", subject: Subject, graph: Graph) -> "tuple[Any, int | None]":
        import torch

        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(subject.cache / "torch-compile" / self.option)
        compiled = torch.compile(module, dynamic=False, fullgraph=True)
        sizes = {"n": 1, "L": graph.buckets[0] if graph.buckets else 1}
        shapes = [[sizes[size] if isinstance(size, str) else size for size in one.shape] for one in graph.inputs]
        given = [torch.from_numpy(np.zeros(shape, one.dtype)) for shape, one in zip(shapes, graph.inputs, strict=True)]
        started = time.perf_counter_ns()
        compiled(*given)
        return compiled, time.perf_counter_ns() - started

    def call(self, module: Any, given: "list[torch.Tensor]") -> Call:
        module(*given)
        return partial(module, *given)


@dataclass(frozen=True)
class TorchMps(TorchArm):
    """On the GPU of a Mac; a call includes the way there and back, as the other arms' calls do."""

    kind: ClassVar[str] = "torch-mps"
    asks_for: ClassVar[str] = "GPU"
    torch_device: ClassVar[str] = "mps"

    def unavailable(self, subject: Subject) -> str | None:
        if sys.platform != "darwin":
            return "torch has mps on macOS only"
        return super().unavailable(subject)

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        import torch

        if not torch.backends.mps.is_available():
            raise UnavailableError("torch says that mps is not available on this Mac")
        return super().open(subject, observe)

    def call(self, module: Any, given: "list[torch.Tensor]") -> Call:
        def there_and_back() -> Any:
            found = module(*(one.to("mps") for one in given))
            return tuple(one.cpu() for one in found) if isinstance(found, tuple) else found.cpu()

        return there_and_back


@dataclass(frozen=True)
class Classical(Arm):
    """The workload's rule in NumPy on the same rows: is the network worth it at all? The variant is its name, and the
    first one's by default."""

    kind: ClassVar[str] = "classical"
    variant_default: ClassVar[str] = "first"

    @property
    def tolerance_of(self) -> tuple[str, str] | None:
        return None

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        return list(_rules(subject)) or [cls.variant_default]

    def resolved(self, subject: Subject) -> Arm:
        first = next(iter(_rules(subject)), self.variant)
        return replace(self, variant=first) if self.variant == self.variant_default else self

    def unavailable(self, subject: Subject) -> str | None:
        if subject.prepared is None or not subject.prepared.is_dir():
            return "the rules are made of the prepared data, which stay in the project"
        found = _rules(subject)
        if self.variant in found:
            return None
        return f"{subject.workload} has no classical rule {self.variant}; it has {', '.join(found) or 'none'}"

    def load_libraries(self, subject: Subject) -> None:
        _rules(subject)

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        started = time.perf_counter_ns()
        rule = _rules(subject)[self.variant]
        return Opened(lambda rows: partial(rule, rows), lambda found: dict(found), time.perf_counter_ns() - started)


def _rules(subject: Subject) -> Mapping[str, Rule]:
    if subject.prepared is None or not subject.prepared.is_dir():
        return {}
    return workloads.rules(subject.workload, subject.config, subject.prepared)


@dataclass(frozen=True)
class Http(Arm):
    """A served model by the Open Inference Protocol, version 2: a JSON request on one kept connection. Encoding the
    request and decoding the answer are not timed."""

    kind: ClassVar[str] = "http"
    asks_for: ClassVar[str] = "server"

    def unavailable(self, subject: Subject) -> str | None:
        if subject.url is None:
            return "no server is named; give --url http://host:port/v2/models/NAME"
        if not subject.url.startswith("http://"):
            return f"only http:// is spoken here, but the server is {subject.url}"
        return None

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        assert subject.url is not None
        address = urllib.parse.urlsplit(subject.url)
        started = time.perf_counter_ns()
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=HTTP_SECONDS)
        path = f"{address.path.rstrip('/')}/infer"

        def ask(body: bytes) -> bytes:
            """On a connection that the server may have closed meanwhile: then on a new one, which the sample shows."""
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise AnelabError(f"{subject.url}: answered {answer.status}: {content[:200].decode(errors='replace')}")
            return content

        try:
            connection.connect()
        except OSError as error:
            raise UnavailableError(f"{subject.url} does not answer ({error})") from None
        load_ns = time.perf_counter_ns() - started
        return Opened(lambda rows: partial(ask, _request(rows.inputs[self.graph])), _answer, load_ns)


def _request(arrays: Arrays) -> bytes:
    inputs = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": HTTP_TYPES[str(array.dtype)],
            "data": array.ravel().tolist(),
        }
        for name, array in arrays.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def _answer(content: bytes) -> dict[str, Array]:
    return {item["name"]: np.asarray(item["data"]).reshape(item["shape"]) for item in json.loads(content)["outputs"]}


ARMS = (TorchEager, TorchCompile, TorchMps, Classical, Http)
