"""What is mutated, and the command that then gets it."""

import gzip
import hashlib
import io
import json
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from anelab import workloads
from anelab.bench.results.bundle import CONTENTS, REPORT, SAMPLES, write_bundle
from anelab.bench.results.report import identity, read_report
from anelab.bench.results.schema import Report as BenchReport
from anelab.config import load_params
from anelab.export.examples import read_examples
from anelab.files import canonical_json, sha256_text
from anelab.tracking.promotion_record import read_promotions
from anelab.tracking.receipt import Receipt, receipt_path
from anelab.tracking.registration import champion_file, read_registry
from anelab.training.checkpoint import load_checkpoint
from anelab.workloads.read_quality.truth import read_truth
from anelab.workspace import Workspace
from tests.conftest import ROOT, TINY
from tests.fuzz.mutations import json_bytes, odd_bytes, odd_json, odd_text
from tests.fuzz.worker import Command

WORKLOAD = "mnist"


class Target(ABC):
    """`sample` is a workspace with a champion of mnist, `folder` where the inputs lie."""

    def __init__(self, sample: Path, folder: Path) -> None:
        self.sample, self.folder, self.written = sample, folder, folder
        self.export = sample / "models" / WORKLOAD / "export"
        self.set_up()

    @abstractmethod
    def set_up(self) -> None:
        """Copy what is needed, and read what is mutated."""

    @abstractmethod
    def input(self, random: Random) -> Command:
        """Write an input; the command for it."""

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.written = path

    def size(self) -> int:
        """Bytes of the last input."""
        return self.written.stat().st_size if self.written.is_file() else 0


class Bundle(Target):
    """Bytes of the archive; or its report or samples, with digests and signature made anew."""

    store_from = 0.985
    """Share of the inputs beyond which they go to a store."""

    def set_up(self) -> None:
        made = self.folder / "made.zip"
        shutil.copytree(self.sample, self.folder / "home")
        write_bundle(
            read_report(self.sample / "reports" / WORKLOAD / "bench.json"),
            self.sample / "models" / WORKLOAD / "bench" / "samples.parquet",
            made,
        )
        self.names = (CONTENTS, REPORT, SAMPLES)
        with zipfile.ZipFile(made) as archive:
            self.parts = {name: archive.read(name) for name in self.names}
        self.whole = made.read_bytes()

    def input(self, random: Random) -> Command:
        path, kind = self.folder / "b.zip", random.random()
        self.write(path, odd_bytes(random, self.whole) if kind < 0.3 else self._signed(random, kind))
        if random.random() > self.store_from:
            return ["bench", "import", str(path), "--workspace", str(self.folder / "home")]
        return ["bench", "show", str(path)]

    def _signed(self, random: Random, kind: float) -> bytes:
        contents_name, report_name, samples_name = self.names
        contents, parts = json.loads(self.parts[contents_name]), dict(self.parts)
        if kind < 0.75:
            report = odd_json(random, json.loads(parts[report_name]))
            with suppress(Exception):  # most are none any more
                report["id"] = identity(BenchReport.model_validate(report))
            parts[report_name] = json_bytes(random, report, changed=True)
        elif kind < 0.9:
            parts[samples_name] = odd_bytes(random, parts[samples_name])
        contents["files"] = {name: hashlib.sha256(parts[name]).hexdigest() for name in (report_name, samples_name)}
        unsigned = {key: value for key, value in contents.items() if key != "signature"}
        if kind > 0.9:
            unsigned = odd_json(random, unsigned)
        try:
            contents = {**unsigned, "signature": sha256_text(canonical_json(unsigned))}
        except (UnicodeEncodeError, TypeError):
            contents = unsigned
        parts[contents_name] = json.dumps(contents).encode("utf-8", "surrogatepass")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
        return packed.getvalue()


class Manifest(Target):
    def set_up(self) -> None:
        shutil.copytree(self.export, self.folder / "export")
        self.value = json.loads((self.export / "manifest.json").read_text())

    def input(self, random: Random) -> Command:
        text = canonical_json(self.value).encode()
        data = odd_bytes(random, text) if random.random() < 0.2 else json_bytes(random, self._near(random))
        self.write(self.folder / "export" / "manifest.json", data)
        words = random.choice((["predict", "export", "--golden"], ["model", "inspect", "export"]))
        return words if random.random() < 0.8 else ["predict", "export", "--golden", "--file", "model.int8.onnx"]

    def _near(self, random: Random) -> Any:
        """Golden vectors are most of its values, but not most of what is read."""
        return self.value if random.random() < 0.3 else {**self.value, "golden": self.value["golden"][:0]}


class Record(Target):
    """A file that records something, read by what reads it, or by `anelab sync`."""

    path: str
    sync_from = 0.99

    def set_up(self) -> None:
        shutil.copytree(self.sample, self.folder / "home", dirs_exist_ok=True)
        self.home = self.folder / "home"
        shutil.copy(ROOT / "params.yaml", self.home)
        self.workspace = Workspace(self.home, self.home)
        self.target = self.home / self.path
        self.value = json.loads(self.target.read_text())

    def input(self, random: Random) -> Command:
        text = canonical_json(self.value).encode()
        self.write(self.target, odd_bytes(random, text) if random.random() < 0.2 else json_bytes(random, self.value))
        if random.random() > self.sync_from:
            return ["sync", "--workspace", str(self.home)]
        return self.use()

    @abstractmethod
    def use(self) -> Command:
        """What reads it."""


class Registry(Record):
    path = f"reports/{WORKLOAD}/registry.json"

    def use(self) -> Command:
        return lambda: read_registry(self.workspace, WORKLOAD)


class Champion(Record):
    path = f"reports/{WORKLOAD}/champion.json"

    def use(self) -> Command:
        return lambda: read_promotions(champion_file(self.workspace, WORKLOAD), f"{WORKLOAD}-onnx")


class TrainReceipt(Record):
    path = f"models/{WORKLOAD}/receipts/train.json"

    def use(self) -> Command:
        return lambda: Receipt.read(receipt_path(self.workspace, WORKLOAD, "train"))


class SearchReceipt(Record):
    path = f"models/{WORKLOAD}/receipts/search.json"

    def set_up(self) -> None:
        super().set_up()
        trial = {"number": 0, "value": 0.5, "values": {"training.learning_rate": 0.01}, "curve": [0.1, 0.5]}
        self.value["trials"] = [trial]

    def use(self) -> Command:
        return lambda: Receipt.read(receipt_path(self.workspace, WORKLOAD, "search"))


class Report(Record):
    """bench.json, which `bench show` prints."""

    path = f"reports/{WORKLOAD}/bench.json"
    sync_from = 0.995

    def use(self) -> Command:
        return ["bench", "show", str(self.target)]


class Idx(Target):
    def set_up(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
        label = (np.arange(60) % 10).astype(np.uint8)
        for part in ("train", "t10k"):
            for name, values in (("images-idx3-ubyte", image), ("labels-idx1-ubyte", label)):
                head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
                (self.folder / f"{part}-{name}").write_bytes(head + values.tobytes())
        self.files = sorted(self.folder.glob("*ubyte"))
        self.parts = {path: path.read_bytes() for path in self.files}
        self.config = load_params(ROOT / "params.yaml", TINY).section(WORKLOAD)

    def input(self, random: Random) -> Command:
        path = random.choice(self.files)
        for other, data in self.parts.items():
            other.write_bytes(data)
        head = random.random() < 0.6
        data = self.parts[path]
        data = odd_bytes(random, data[:16], 2) + data[16:] if head else odd_bytes(random, data)
        if random.random() < 0.3:
            data = gzip.compress(data, 1)
            data = odd_bytes(random, data, 1) if random.random() < 0.5 else data
        self.write(path, data)
        out = self.folder / "prepared"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return partial(workloads.get(WORKLOAD).prepare, self.config, self.files, out)


class Fastq(Target):
    def set_up(self) -> None:
        rows = [f"@r{row}/1 x\n{'ACGTN' * (row + 1)}\n+\n{'#5?II' * (row + 1)}\n" for row in range(40)]
        plain = "".join(rows)
        self.texts = [plain.encode(), plain.replace("\n", "\r\n").encode(), plain[:120].encode()]

    def input(self, random: Random) -> Command:
        data = random.choice(self.texts)
        kind = random.random()
        if kind < 0.8:
            data = odd_bytes(random, data)
        if kind > 0.6:
            data = gzip.compress(data, 1)
            data = odd_bytes(random, data, 1) if kind > 0.8 else data
        self.write(self.folder / "r.fq", data)
        rule = random.choice(("mean_quality", "expected_errors"))
        layout = random.choice(([], [], ["--interleaved"], ["--pass-fastq", "p.fq"], ["--phred", "33"]))
        project = ["--workspace", str(ROOT)]
        return ["score", "r.fq", "--rule", rule, "-o", "o.tsv", *layout, *project]


class Package(Target):
    """Its spec, weights and Manifest.json."""

    def set_up(self) -> None:
        self.package = self.folder / "m.mlpackage"
        shutil.copytree(self.export / "model.mlpackage", self.package)
        data = self.package / "Data/com.apple.CoreML"
        self.parts = {path: path.read_bytes() for path in (data / "model.mlmodel", data / "weights/weight.bin")}
        self.items = json.loads((self.package / "Manifest.json").read_text())
        np.save(self.folder / "rows.npy", np.zeros((2, 1, 28, 28), np.float32))

    def input(self, random: Random) -> Command:
        for path, data in self.parts.items():
            path.write_bytes(data)
        (self.package / "Manifest.json").write_text(json.dumps(self.items))
        kind = random.random()
        if kind < 0.15:
            self.write(self.package / "Manifest.json", json_bytes(random, self.items))
        else:
            path = list(self.parts)[kind > 0.85]
            self.write(path, odd_bytes(random, self.parts[path]))
        evaluated = ["model", "eval", "m.mlpackage", "--input", "rows.npy", "--timeout", "5"]
        return random.choice((["model", "inspect", "m.mlpackage"], evaluated, ["model", "lint", "m.mlpackage"]))


class Onnx(Target):
    def set_up(self) -> None:
        self.data = (self.export / "model.onnx").read_bytes()
        np.save(self.folder / "rows.npy", np.zeros((2, 1, 28, 28), np.float32))

    def input(self, random: Random) -> Command:
        weights = random.random() < 0.2
        data = odd_bytes(random, self.data)
        if not weights:  # the graph is at the beginning and at the end
            data = (
                odd_bytes(random, self.data[:4000], 2) + self.data[4000:-2000] + odd_bytes(random, self.data[-2000:], 1)
            )
        self.write(self.folder / "m.onnx", data)
        predicted = ["predict", "m.onnx", "rows.npy", "-o", "o.npz", "--timeout", "5"]
        return random.choice((predicted, ["model", "inspect", "m.onnx"]))


class Rows(Target):
    """.npy and .npz for a model."""

    def set_up(self) -> None:
        rows, packed = np.zeros((3, 1, 28, 28), np.float32), io.BytesIO()
        np.savez(packed, input=rows)
        plain = io.BytesIO()
        np.save(plain, rows)
        self.texts = {"r.npz": packed.getvalue(), "r.npy": plain.getvalue()}
        shutil.copy(self.export / "model.onnx", self.folder / "m.onnx")

    def input(self, random: Random) -> Command:
        name = random.choice(list(self.texts))
        data = self.texts[name]
        near = random.random() < 0.7
        self.write(
            self.folder / name, odd_bytes(random, data[:140], 2) + data[140:] if near else odd_bytes(random, data)
        )
        return ["predict", "m.onnx", name, "-o", "o.npz"]


class Params(Target):
    def set_up(self) -> None:
        self.text = (ROOT / "params.yaml").read_text()

    def input(self, random: Random) -> Command:
        path = self.folder / "params.yaml"
        text = odd_text(random, self.text).encode("utf-8", "surrogatepass")
        self.write(path, odd_bytes(random, text, 1) if random.random() < 0.2 else text)
        return ["check", "--workspace", str(self.folder)]


class Arrays(Target):
    """What `prepare` wrote, the example rows of an export, and a checkpoint."""

    def set_up(self) -> None:
        source = self.sample / "data/prepared" / WORKLOAD
        shutil.copytree(source, self.folder / "prepared")
        shutil.copy(self.export / "examples.npz", self.folder)
        shutil.copy(self.sample / f"models/{WORKLOAD}/train/best.ckpt", self.folder)
        prepared = self.folder / "prepared"
        config = load_params(ROOT / "params.yaml", TINY).section(WORKLOAD)
        load = partial(workloads.get(WORKLOAD).load, config, prepared, "test")
        examples, checkpoint = self.folder / "examples.npz", self.folder / "best.ckpt"
        self.readers: dict[Path, Callable[[], object]] = {
            prepared / "test.image.npy": load,
            prepared / "test.label.npy": load,
            examples: partial(read_examples, examples),
            checkpoint: partial(load_checkpoint, checkpoint),
        }
        self.parts = {path: path.read_bytes() for path in self.readers}

    def input(self, random: Random) -> Command:
        for path, data in self.parts.items():
            path.write_bytes(data)
        path = random.choice(list(self.readers))
        data, near = self.parts[path], random.random() < 0.6
        self.write(path, odd_bytes(random, data[:140], 2) + data[140:] if near else odd_bytes(random, data))
        return self.readers[path]


class Truth(Target):
    def set_up(self) -> None:
        rows = "".join(f"r{row}\t2\t3,{row + 4}\t0.1\n" for row in range(30))
        self.text = f"read_id\terrors\tplaces\tchance_of_none\n{rows}".encode()

    def input(self, random: Random) -> Command:
        path = self.folder / "r.truth.tsv.gz"
        data = gzip.compress(odd_bytes(random, self.text), 1)
        self.write(path, odd_bytes(random, data, 1) if random.random() < 0.3 else data)
        return partial(read_truth, path)
