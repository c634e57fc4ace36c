"""Packages as files: equal bytes, what they say of themselves, their variants; rounding to 16 bits; quiet."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.errors import AnelabError
from anelab.export.compress import compress
from anelab.export.conversions import CONVERSIONS
from anelab.export.coreml import LADDER, Converter, Size, fixed_size, sizes_of
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mlpackage import MODEL, WEIGHTS, describe_package, input_names, package_content, read_spec
from anelab.export.rounding import rounded_to_half
from anelab.export.slabs import Bucket, in_slabs
from anelab.files import path_digest, path_size
from anelab.learning.base import Graph, Tensor
from anelab.learning.config import CoreMLConfig

METADATA = {"workload": "toy", "licence": "Apache-2.0", "input_key": "0123456789abcdef", "data_digest": "d1"}
GRAPH = Graph(
    "model",
    (Tensor("tokens", "float32", ("n", 40), meaning="forty numbers"),),
    (Tensor("score", "float32", ("n", 3), meaning="three scores"),),
)
CONFIG = CoreMLConfig()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 3)).eval()


@pytest.fixture(scope="module")
def converter(net: nn.Module) -> Converter:
    return Converter({"fp32": net, "fp16": net}, GRAPH, CONFIG, METADATA)


@pytest.fixture(scope="module")
def packages(converter: Converter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    converter.write(folder / "model.mlpackage", LADDER[0], fixed_size(GRAPH), "fp16")
    converter.write(folder / "model.fp32.mlpackage", LADDER[0], fixed_size(GRAPH), "fp32")
    converter.write_buckets(folder / "model.buckets.mlpackage", LADDER[0], sizes_of(GRAPH, CONFIG.buckets))
    for variant in CONFIG.variants:
        target = folder / f"model.{variant}.mlpackage"
        compress(folder / "model.mlpackage", target, variant, CONFIG, METADATA)
    return folder


def files_of(package: Path) -> set[str]:
    return {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}


def test_a_package_has_the_graphs_names_a_fixed_shape_and_says_what_it_is(packages: Path) -> None:
    path = packages / "model.mlpackage"
    assert files_of(path) == {"Manifest.json", MODEL.as_posix(), WEIGHTS.as_posix()}
    described = describe_package(path)
    assert described["functions"] == {
        "main": {
            "inputs": [{"dtype": "float32", "name": "tokens", "shape": [1, 40]}],
            "outputs": [{"dtype": "float32", "name": "score", "shape": [1, 3]}],
        }
    }
    assert (described["precision"], described["minimum_deployment_target"]) == ("fp16", "macOS14")
    assert described["operators"] == {"cast": 2, "linear": 2, "relu": 1}
    assert described["coremltools_version"] == "9.0"
    spec = read_spec(path).description
    assert (spec.metadata.author, spec.metadata.license) == ("anelab", "Apache-2.0")
    assert (spec.metadata.shortDescription, spec.metadata.versionString) == ("toy: model", "0123456789ab")
    assert (spec.input[0].shortDescription, spec.output[0].shortDescription) == ("forty numbers", "three scores")
    assert dict(spec.metadata.userDefined).items() >= METADATA.items()
    assert describe_package(packages / "model.fp32.mlpackage")["precision"] == "fp32"


def test_equal_models_are_equal_bytes_and_tell_nothing_of_this_machine(
    converter: Converter, packages: Path, tmp_path: Path
) -> None:
    converter.write(tmp_path / "model.mlpackage", LADDER[0], fixed_size(GRAPH), "fp16")
    converter.write_buckets(tmp_path / "model.buckets.mlpackage", LADDER[0], sizes_of(GRAPH, CONFIG.buckets))
    compress(tmp_path / "model.mlpackage", tmp_path / "model.palette4.mlpackage", "palette4", CONFIG, METADATA)
    for name in ("model.mlpackage", "model.buckets.mlpackage", "model.palette4.mlpackage"):
        assert path_digest(tmp_path / name) == path_digest(packages / name), name
    content = b"".join(path.read_bytes() for path in packages.rglob("*") if path.is_file())
    for trace in (b"site-packages", b".py", b"/tmp", str(Path.home()).encode(), b"conversion_date"):
        assert trace not in content, trace


class Wrapped(nn.Module):
    """The first rung fails at its padding, half-way through the conversion."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(torch.relu(tokens[:, :3] + 1), (1, 1), mode="circular")[:, :3]


def test_a_failed_conversion_leaves_no_trace_in_the_next(tmp_path: Path) -> None:
    converter = Converter({"fp16": Wrapped().eval()}, GRAPH, CONFIG, METADATA)
    fails, works = LADDER[:2]
    for name in ("before", "after"):
        converter.write(tmp_path / name, works, fixed_size(GRAPH), "fp16")
        with pytest.raises(ValueError, match="Pad mode"):
            converter.write(tmp_path / "failed", fails, fixed_size(GRAPH), "fp16")
    assert path_digest(tmp_path / "before") == path_digest(tmp_path / "after")


def test_the_manifest_is_one_that_coremltools_opens(packages: Path) -> None:
    manifest = json.loads((packages / "model.mlpackage" / "Manifest.json").read_text())
    paths = {item["path"] for item in manifest["itemInfoEntries"].values()}
    assert paths == {"com.apple.CoreML/model.mlmodel", "com.apple.CoreML/weights"}
    assert manifest["rootModelIdentifier"] in manifest["itemInfoEntries"]
    x = np.zeros((1, 40), np.float32)
    assert Evaluator(packages / "model.mlpackage")({"tokens": x})["score"].shape == (1, 3)


def test_the_content_of_a_package_is_the_same_whatever_its_metadata(
    net: nn.Module, packages: Path, tmp_path: Path
) -> None:
    other = Converter({"fp16": net}, GRAPH, CONFIG, {**METADATA, "input_key": "another"})
    other.write(tmp_path / "model.mlpackage", LADDER[0], fixed_size(GRAPH), "fp16")
    assert path_digest(tmp_path / "model.mlpackage") != path_digest(packages / "model.mlpackage")
    assert package_content(tmp_path / "model.mlpackage") == package_content(packages / "model.mlpackage")
    weights = tmp_path / "model.mlpackage" / WEIGHTS
    harmed = bytearray(weights.read_bytes())
    harmed[-70] ^= 1
    weights.write_bytes(bytes(harmed))
    assert package_content(tmp_path / "model.mlpackage") != package_content(packages / "model.mlpackage")


def test_several_functions_have_an_empty_description_of_the_whole_and_share_weights(packages: Path) -> None:
    path = packages / "model.buckets.mlpackage"
    assert list(read_spec(path).description.input) == []
    described = describe_package(path)
    assert list(described["functions"]) == ["rows_1", "rows_512", "rows_64", "rows_8"]
    assert described["functions"]["rows_8"]["inputs"][0]["shape"] == [8, 40]
    assert described["minimum_deployment_target"] == "macOS15"
    assert input_names(path) == ["tokens"]
    metadata = read_spec(path).description.metadata
    assert (metadata.author, metadata.versionString) == ("anelab", "0123456789ab")
    assert metadata.shortDescription == "toy: model"
    assert (path / WEIGHTS).stat().st_size == (packages / "model.mlpackage" / WEIGHTS).stat().st_size


def test_every_weight_is_compressed_however_small(packages: Path) -> None:
    sizes = {variant: path_size(packages / f"model.{variant}.mlpackage") for variant in CONFIG.variants}
    for variant in CONFIG.variants:
        found = describe_package(packages / f"model.{variant}.mlpackage")["weights"]
        assert found == {"all": 2, "compressed": 2}
    assert describe_package(packages / "model.mlpackage")["weights"] == {"all": 2, "compressed": 0}
    weights = {
        variant: (packages / f"model.{variant}.mlpackage" / WEIGHTS).stat().st_size for variant in CONFIG.variants
    }
    assert weights["palette4"] < weights["palette6"] < weights["int8"]
    assert max(weights.values()) < (packages / "model.mlpackage" / WEIGHTS).stat().st_size
    assert len(set(sizes.values())) == len(sizes)


def test_a_variant_that_changes_nothing_is_an_error(packages: Path, tmp_path: Path) -> None:
    """coremltools' own default would skip both layers without a word."""
    config = CoreMLConfig(weight_threshold=2048)
    with pytest.raises(AnelabError, match="no weight has more than 2048 elements, so int8 changes nothing"):
        compress(packages / "model.mlpackage", tmp_path / "model.int8.mlpackage", "int8", config, METADATA)


def test_sizes_of_rows_and_lengths() -> None:
    graph = Graph(
        "model", (Tensor("ids", "int64", ("n", "L")),), (Tensor("out", "float32", ("n", 2)),), buckets=(64, 128)
    )
    assert [size.function for size in sizes_of(graph, [1, 8])] == [
        "rows_1_length_64",
        "rows_1_length_128",
        "rows_8_length_64",
        "rows_8_length_128",
    ]
    assert fixed_size(graph) == Size(1, 128)
    assert Size(8, 64).shape(graph.inputs[0]) == (8, 64)
    with pytest.raises(AnelabError, match="Core ML needs fixed sizes"):
        Size(8).shape(graph.inputs[0])


def test_lengths_become_functions_too(tmp_path: Path) -> None:
    graph = Graph(
        "model", (Tensor("ids", "int64", ("n", "L")),), (Tensor("out", "float32", ("n", 16)),), buckets=(3, 6)
    )
    module = Look().eval()
    converter = Converter({"fp16": module, "fp32": module}, graph, CONFIG, {})
    converter.write_buckets(tmp_path / "b.mlpackage", LADDER[0], sizes_of(graph, [1, 2]))
    from anelab.export.mil.predictor import mil_predictor

    predict = mil_predictor(tmp_path / "b.mlpackage", "fp32")
    for length in (3, 6):
        ids = np.random.default_rng(0).integers(0, 5, (5, length))
        want = module(torch.from_numpy(ids)).detach().numpy()
        np.testing.assert_allclose(predict({"ids": ids})["out"], want, atol=1e-3)
    with pytest.raises(AnelabError, match=r"no function takes ids \(1, 4\)"):
        predict({"ids": np.zeros((1, 4), np.int64)})


def test_bytes_are_refused_with_the_way_out(net: nn.Module, tmp_path: Path) -> None:
    graph = Graph("model", (Tensor("raw", "uint8", ("n", 40)),), GRAPH.outputs)
    with pytest.raises(AnelabError, match="Core ML takes no uint8 arrays; leave coreml out of the graph's formats"):
        Converter({"fp16": net}, graph, CONFIG, {}).write(tmp_path / "m.mlpackage", LADDER[0], Size(1), "fp16")


def test_alias_is_converted(tmp_path: Path) -> None:
    """torch 2.13 exports it; coremltools 9 lacks it."""

    class Aliased(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten.alias(x) * 2

    exported = torch.export.export(Aliased(), (torch.zeros(1, 4),)).run_decompositions({})
    assert "aten.alias.default" in {str(node.target) for node in exported.graph.nodes}
    assert set(CONVERSIONS) == {"alias"}
    graph = Graph("model", (Tensor("x", "float32", ("n", 4)),), (Tensor("y", "float32", ("n", 4)),))
    converter = Converter({"fp32": Aliased()}, graph, CONFIG, {})
    converter.write(tmp_path / "m.mlpackage", LADDER[0], Size(1), "fp32")
    x = np.float32([[1, 2, 3, 4]])
    assert Evaluator(tmp_path / "m.mlpackage", mode="fp32")({"x": x})["y"].tolist() == [[2, 4, 6, 8]]


def naive_half(module: nn.Module) -> nn.Module:
    from copy import deepcopy

    copy = deepcopy(module)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.copy_(parameter.half().float())
    return copy


@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d", "grouped", "same", "shared"])
def test_rounded_weights_are_16_bits_and_err_less_than_each_alone(kind: str) -> None:
    torch.manual_seed(0)
    shared = nn.Linear(24, 24)
    module = {
        "linear": lambda: nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 4)),
        "conv1d": lambda: nn.Sequential(nn.Conv1d(4, 8, 5, 2, 2, 2), nn.ReLU(), nn.Conv1d(8, 2, 3)),
        "conv2d": lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, (1, 3), bias=False)),
        "grouped": lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 4, 3, (2, 1))),
        "same": lambda: nn.Sequential(nn.Conv1d(4, 8, 4, padding="same"), nn.ReLU(), nn.Conv1d(8, 2, 3)),
        "shared": lambda: nn.Sequential(shared, nn.ReLU(), shared),
    }[kind]().eval()
    shape = {"linear": (24,), "shared": (24,), "conv1d": (4, 40), "same": (4, 40)}.get(kind, (3, 12, 12))
    shape = (4, 12, 12) if kind == "grouped" else shape
    # As in real data, values are of one sign and neighbours alike.
    seen, fresh = (20 + torch.randn(200, *shape).cumsum(-1).cumsum(1) for _ in range(2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    rounded = rounded_to_half(module, [seen])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    for name, parameter in rounded.named_parameters():
        if name.endswith("weight"):
            assert torch.equal(parameter, parameter.half().float()), name
    with torch.no_grad():
        want = module(fresh)
        ours, alone = ((net(fresh) - want).abs().mean() for net in (rounded, naive_half(module)))
    assert ours < 0.7 * alone
    assert not torch.equal(rounded.state_dict()["0.weight"], module.state_dict()["0.weight"]), (
        "the module is left as it was"
    )


def test_inputs_that_never_vary_break_no_rounding() -> None:
    module = nn.Linear(6, 2).eval()
    rows = torch.zeros(50, 6)
    rows[:, 0] = 3
    rounded = rounded_to_half(module, [rows])
    assert all(parameter.isfinite().all() for parameter in rounded.parameters())
    torch.testing.assert_close(rounded(rows), module(rows), atol=1e-5, rtol=1e-5)


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.unused = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(input=x)


def test_odd_modules_and_rows_are_rounded_without_harm() -> None:
    torch.manual_seed(0)
    for module, shape in (
        (nn.Sequential(nn.Conv1d(6, 4, 9, padding="same")), (6, 8)),
        (nn.Conv2d(1, 2, 3, padding=2, padding_mode="circular"), (1, 5, 5)),
        (ByName(), (6,)),
        (torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 2)), (6,)),
    ):
        rows = torch.rand(20, *shape)
        rounded = rounded_to_half(module.eval(), [rows])
        torch.testing.assert_close(rounded(rows), module(rows), atol=2e-3, rtol=1e-3)
    large = nn.Linear(2, 1).eval()
    with torch.no_grad():
        large.weight.copy_(torch.tensor([[7e4, 1.0]]))
    assert rounded_to_half(large, [torch.rand(9, 2)]).weight.isfinite().all()
    broken = torch.rand(20, 2)
    broken[3] = torch.nan
    assert rounded_to_half(large, [broken]).weight.isfinite().all()
    assert rounded_to_half(large, [torch.rand(0, 2)]).weight.isfinite().all()


def test_rows_are_cut_into_the_functions_there_are() -> None:
    calls: list[int] = []

    def run(arrays: Any) -> Any:
        calls.append(len(arrays["x"]))
        return {"y": arrays["x"] * 2}

    buckets = [Bucket(run, {"x": (size, 1)}) for size in (2, 8)]
    x = np.arange(19, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(in_slabs(buckets, "toy")({"x": x})["y"], x * 2)
    assert calls == [8, 8, 2, 2]
    free = [Bucket(run, {"x": (None, 1)})]
    np.testing.assert_array_equal(in_slabs(free, "toy")({"x": x})["y"], x * 2)
    assert calls[-1] == 19


def test_a_function_that_makes_many_calls_at_once_is_given_all_that_it_fills() -> None:
    stacks: list[tuple[int, ...]] = []

    def run_many(arrays: Any) -> Any:
        stacks.append(arrays["x"].shape)
        return {"y": arrays["x"] * 2}

    buckets = [Bucket(lambda arrays: {"y": arrays["x"] * 2}, {"x": (size, 1)}, run_many) for size in (2, 8)]
    x = np.arange(37, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(in_slabs(buckets, "toy")({"x": x})["y"], x * 2)
    assert stacks == [(4, 8, 1), (2, 2, 1)]
    whole = [Bucket(lambda arrays: arrays, {"x": (1, 1)}, lambda arrays: {"y": np.zeros(len(arrays["x"]))})]
    with pytest.raises(AnelabError, match="its first axis must be the rows"):
        in_slabs(whole, "toy")({"x": x})


CONVERT = """
import sys, pathlib, torch
from torch import nn
from anelab.export.coreml import LADDER, Converter, Size
from anelab.learning.base import Graph, Tensor
from anelab.learning.config import CoreMLConfig
graph = Graph("model", (Tensor("x", "float32", ("n", 4)),), (Tensor("y", "float32", ("n", 4)),))
net = nn.Linear(4, 4)
Converter({"fp16": net}, graph, CoreMLConfig(), {}).write(pathlib.Path(sys.argv[1]), LADDER[0], Size(1), "fp16")
import anelab.tracking.coreml, mlflow, sklearn
"""

LOUD = """
import logging
from anelab.export.toolkit import toolkit
logging.getLogger("anelab").setLevel(10)
with toolkit():
    pass
"""


def test_a_process_that_converts_says_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONVERT, str(tmp_path / "m.mlpackage")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = subprocess.run([sys.executable, "-c", LOUD], capture_output=True, text=True)
    assert "has not been tested with coremltools" in told.stderr


class Look(nn.Module):
    """An embedding, whose weight no layer calls a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(64, 16)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table(ids).mean(1)


def test_weights_by_any_name_are_compressed_and_counted(tmp_path: Path) -> None:
    graph = Graph("model", (Tensor("ids", "int64", ("n", 5)),), (Tensor("y", "float32", ("n", 16)),))
    converter = Converter({"fp16": Look().eval()}, graph, CONFIG, {})
    converter.write(tmp_path / "m.mlpackage", LADDER[0], Size(1), "fp16")
    compress(tmp_path / "m.mlpackage", tmp_path / "small.mlpackage", "palette4", CONFIG, {})
    assert describe_package(tmp_path / "small.mlpackage")["weights"] == {"all": 1, "compressed": 1}


def test_a_model_without_weights_is_a_whole_package(tmp_path: Path) -> None:
    graph = Graph("model", (Tensor("x", "float32", ("n", 4)),), (Tensor("y", "float32", ("n", 4)),))
    Converter({"fp16": nn.Softmax(-1)}, graph, CONFIG, {}).write(tmp_path / "m.mlpackage", LADDER[0], Size(1), "fp16")
    assert files_of(tmp_path / "m.mlpackage") == {"Manifest.json", MODEL.as_posix()}
    x = np.zeros((1, 4), np.float32)
    assert Evaluator(tmp_path / "m.mlpackage")({"x": x})["y"].tolist() == [[0.25] * 4]


def test_a_package_that_gives_no_numbers_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.nan

    net, graph = nn.ReLU(), Graph("model", (Tensor("x", "float32", ("n", 4)),), (Tensor("y", "float32", ("n", 4)),))
    bad = ("bad", lambda _, example: LADDER[0][1](Broken(), example))
    monkeypatch.setattr("anelab.export.coreml.LADDER", (bad, LADDER[1]))
    converter = Converter({"fp32": net}, graph, CONFIG, {})
    assert converter.climb({"x": np.ones((2, 4), np.float32)})[0] == LADDER[1][0]


class Logarithms(nn.Module):
    """Of small numbers, which 16 bits do not hold, beside ordinary ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, small: torch.Tensor, ordinary: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(torch.log(small + 1e-10) / 10 + ordinary)
        return found


@pytest.mark.parametrize("wide", [False, True])
def test_what_is_computed_of_an_input_that_16_bits_cannot_hold_stays_in_32(tmp_path: Path, wide: bool) -> None:
    inputs = (Tensor("small", "float32", ("n", 3), float32=wide), Tensor("ordinary", "float32", ("n", 3)))
    graph = Graph("model", inputs, (Tensor("score", "float32", ("n", 2)),))
    net = Logarithms().eval()
    converter = Converter({"fp32": net, "fp16": net}, graph, CONFIG, METADATA)
    converter.write(tmp_path / "model.mlpackage", LADDER[0], fixed_size(graph), "fp16")
    rows = {"small": np.float32([[1e-9, 3e-8, 0.5]]), "ordinary": np.float32([[0.1, 0.2, 0.3]])}
    found = Evaluator(tmp_path / "model.mlpackage", mode="fp16")(rows)["score"]
    with torch.inference_mode():
        expected = net(torch.from_numpy(rows["small"]), torch.from_numpy(rows["ordinary"])).numpy()
    assert (bool(np.isfinite(found).all()) and np.abs(found - expected).max() < 5e-3) == wide
