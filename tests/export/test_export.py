from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from anelab import workloads
from anelab.errors import AnelabError
from anelab.export.manifest import Artifact, content_digest, golden_vectors, make_manifest
from anelab.export.onnx import export_onnx, operators, opset_of, write_model
from anelab.export.parity import compare
from anelab.export.proof import measure_all, require
from anelab.export.quantize import calibration_rows, quantize_int8
from anelab.export.runtime import onnx_predictor
from anelab.files import file_digest
from anelab.learning.affine import fold_into_conv, fold_into_linear
from anelab.learning.base import Graph, Split, Tensor
from anelab.training.evaluate import torch_predictor
from tests.conftest import tiny

WORKLOAD, CONFIG = workloads.get("read_quality"), tiny().section("read_quality")
GRAPH = WORKLOAD.graphs(CONFIG)[0]
META = {"workload": "read_quality", "label": "mean_quality"}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return WORKLOAD.deployed(WORKLOAD.build(CONFIG, Path()), GRAPH)


@pytest.fixture(scope="module")
def split() -> Split:
    rng = np.random.default_rng(0)
    floats = rng.random((500, 300), np.float32)
    return Split({"model": {"input": floats}}, {"label": rng.random(500) < 0.5}, np.arange(500))


def outputs_of(module: nn.Module, split: Split) -> Any:
    return torch_predictor(module, GRAPH)(split.inputs["model"])


def test_the_opset_is_exactly_the_one_asked_and_the_file_tells_nothing_of_this_machine(
    module: nn.Module, tmp_path: Path
) -> None:
    first, again = tmp_path / "a.onnx", tmp_path / "elsewhere" / "b.onnx"
    for path in (first, again):
        write_model(export_onnx(module, GRAPH, 13, META), path)
    content = first.read_bytes()
    assert content == again.read_bytes()
    model = onnx.load(first)
    assert opset_of(model) == 13
    found = operators(model)
    assert (found["Gemm"], found["Relu"], found["Sigmoid"]) == (5, 3, 1)  # no dropout, centring folded into the first
    assert not {"Dropout", "BatchNormalization", "Cast"} & set(found)
    assert {item.key: item.value for item in model.metadata_props} == META
    for trace in (b"anelab/", b"site-packages", b".py", str(Path.home()).encode(), str(tmp_path).encode()):
        assert trace not in content
    assert all(not node.doc_string for node in model.graph.node)


@pytest.mark.parametrize("opset", [13, 15, 17])
def test_other_opsets_are_exact_too(opset: int, module: nn.Module) -> None:
    assert opset_of(export_onnx(module, GRAPH, opset, META)) == opset


def test_names_and_a_dynamic_batch(module: nn.Module, tmp_path: Path) -> None:
    write_model(export_onnx(module, GRAPH, 13, META), tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert [item.name for item in (*model.graph.input, *model.graph.output)] == ["input", "output"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    predict = onnx_predictor(tmp_path / "m.onnx")
    for rows in (1, 3, 5000):
        assert predict({"input": np.zeros((rows, 300), np.float32)})["output"].shape == (rows, 1)


def test_int8_keeps_names_opset_and_decisions_and_is_smaller(module: nn.Module, split: Split, tmp_path: Path) -> None:
    model = export_onnx(module, GRAPH, 13, META)
    rows = calibration_rows(split.inputs["model"], 100, 0)
    assert len(rows["input"]) == 100
    small = quantize_int8(model, GRAPH, rows, META)
    write_model(model, tmp_path / "model.onnx")
    write_model(small, tmp_path / "int8.onnx")
    write_model(quantize_int8(model, GRAPH, rows, META), tmp_path / "again.onnx")
    assert file_digest(tmp_path / "int8.onnx") == file_digest(tmp_path / "again.onnx")
    assert opset_of(small) == 13
    assert operators(small)["QuantizeLinear"] > 0
    per_channel = [node for node in small.graph.node if node.op_type == "DequantizeLinear" and node.attribute]
    assert per_channel
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * (tmp_path / "model.onnx").stat().st_size
    exact = onnx_predictor(tmp_path / "model.onnx")(split.inputs["model"])["output"]
    rounded = onnx_predictor(tmp_path / "int8.onnx")(split.inputs["model"])["output"]
    assert 0 < np.abs(exact - rounded).max() < 0.05


def test_int8_answers_alike_on_every_processor(tmp_path: Path) -> None:
    """x86 without VNNI adds two products in 16 bits, which those of weights of eight bits do not fit."""
    layer = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1]]))
    graph = Graph("model", (Tensor("input", "float32", ("n", 4)),), (Tensor("output", "float32", ("n", 2)),))
    rows = {"input": np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [0.5, 1, 1, 0.5]], np.float32)}
    path = tmp_path / "int8.onnx"
    write_model(quantize_int8(export_onnx(layer, graph, 13, META), graph, rows, META), path)
    wanted = layer(torch.from_numpy(rows["input"])).detach().numpy()
    np.testing.assert_allclose(onnx_predictor(path)(rows)["output"], wanted, atol=0.05)
    stored = [numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer]
    (weights,) = (values for values in stored if values.dtype == np.int8 and values.ndim == 2)
    assert np.abs(weights.astype(int)).max() == 64


def test_parity_of_a_broken_artifact_fails_with_its_worst_examples(module: nn.Module, split: Split) -> None:
    expected = outputs_of(module, split)
    broken = {"output": expected["output"].copy()}
    broken["output"][7] += 1.5
    broken["output"][3] += 0.01
    parity = compare(WORKLOAD, CONFIG, expected, broken, split)
    assert parity.worst_rows[:2] == [7, 3]
    assert parity.max_absolute > 1
    if_flipped = (broken["output"] >= 0.5) != (expected["output"] >= 0.5)
    assert parity.agreement == 1 - if_flipped.sum() / 500
    same = compare(WORKLOAD, CONFIG, expected, expected, split)
    assert same.breaches(CONFIG.export.float_tolerance, 1) == []


def test_an_artifact_that_computes_something_else_stops_the_export(
    module: nn.Module, split: Split, tmp_path: Path
) -> None:
    write_model(export_onnx(module, GRAPH, 13, META), tmp_path / "model.onnx")
    expected = outputs_of(module, split)
    other = {"output": expected["output"].copy()}
    other["output"][7] = 2 - expected["output"][7].round()
    artifact = Artifact("model.onnx", GRAPH, "fp32")
    for outputs, sound in ((expected, True), (other, False)):
        (measured,) = measure_all(WORKLOAD, CONFIG, [artifact], tmp_path, lambda _, outputs=outputs: outputs, split)
        assert measured.executor == "onnxruntime_cpu"
        assert (measured.broken == []) is sound
        if sound:
            require(measured, WORKLOAD, CONFIG, tmp_path, split)
    with pytest.raises(AnelabError) as caught:
        require(measured, WORKLOAD, CONFIG, tmp_path, split)
    text = str(caught.value)
    assert "model.onnx (onnxruntime_cpu) does not match the trained module: max_absolute is " in text
    assert "allowed at most 0.0001" in text
    assert "test row 7, output: module" in text


def test_a_metric_that_is_minimised_may_fall_but_not_rise(module: nn.Module, split: Split) -> None:
    config = tiny("read_quality.metric=min:ece").section("read_quality")
    expected = outputs_of(module, split)
    worse = {"output": np.ones_like(expected["output"])}
    tolerance = config.export.int8_tolerance.model_copy(update={"max_metric_loss": 0.01})
    assert any(
        "metric loss" in text for text in compare(WORKLOAD, config, expected, worse, split).breaches(tolerance, -1)
    )
    better = compare(WORKLOAD, config, worse, expected, split).breaches(tolerance, -1)
    assert not any("metric loss" in text for text in better)


def test_the_manifest_has_what_another_language_needs(module: nn.Module, tmp_path: Path) -> None:
    write_model(export_onnx(module, GRAPH, 13, META), tmp_path / "model.onnx")
    (tmp_path / "index.npy").write_bytes(b"index")
    predict = onnx_predictor(tmp_path / "model.onnx")
    artifact = Artifact("model.onnx", GRAPH, "fp32")
    golden = golden_vectors(WORKLOAD.golden(CONFIG), {artifact: predict})
    manifest = make_manifest(tmp_path, [artifact], META, golden)
    entry = manifest["files"]["model.onnx"]
    assert entry["sha256"] == file_digest(tmp_path / "model.onnx")
    assert entry["size_bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert (entry["opset"], entry["variant"], entry["graph"]) == (13, "fp32", "model")
    assert entry["signature"]["inputs"] == [{"dtype": "float32", "name": "input", "shape": ["n", 300]}]
    assert list(manifest["companions"]) == ["index.npy"]
    for case in manifest["golden"]:
        values = case["inputs"]["model"]["input"]
        array = np.array(values["values"], np.float32).reshape(values["shape"])
        found = predict({"input": array})["output"].ravel()
        np.testing.assert_array_equal(found, np.array(case["outputs"]["model.onnx"]["output"]["values"], np.float32))


def test_folding_is_exact_and_refuses_padding() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(6, 3), torch.randn(5, 6)
    scale, shift = torch.rand(6) + 0.5, torch.randn(6)
    torch.testing.assert_close(fold_into_linear(linear, scale, shift)(x), linear(x * scale + shift))
    conv, image = nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2), torch.randn(4, 4, 9, 9)
    torch.testing.assert_close(fold_into_conv(conv, 0.3, -1.5)(image), conv(image * 0.3 - 1.5), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="without padding"):
        fold_into_conv(nn.Conv2d(1, 1, 3, padding=1), 1.0, 1.0)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(AnelabError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        onnx_predictor(path)


def test_the_exporter_is_held_to_the_opset(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.onnx.export

    def disobedient(*arguments: Any, **options: Any) -> None:
        real(*arguments, **{**options, "opset_version": 17})

    monkeypatch.setattr(torch.onnx, "export", disobedient)
    with pytest.raises(AnelabError, match=r"export\.opset is 13 but the exporter returned opset 17"):
        export_onnx(module, Graph("model", (Tensor("input", "float32", ("n", 300)),), GRAPH.outputs), 13, META)


def test_the_content_of_a_model_is_the_same_whatever_its_metadata(module: nn.Module) -> None:
    plain, other = (export_onnx(module, GRAPH, 13, {"input_key": key}) for key in ("a", "b"))
    assert plain.SerializeToString() != other.SerializeToString()
    assert content_digest(plain) == content_digest(other)
    other.graph.initializer[0].raw_data = bytes(len(other.graph.initializer[0].raw_data))
    assert content_digest(plain) != content_digest(other)


def test_a_relative_error_beyond_its_limit_is_a_breach(module: nn.Module, split: Split) -> None:
    expected = {"output": np.full((500, 1), 0.002, np.float32)}
    found = {"output": expected["output"] * 1.02}
    parity = compare(WORKLOAD, CONFIG, expected, found, split)
    assert parity.max_relative == pytest.approx(0.02, rel=1e-3)
    broken = parity.breaches(CONFIG.export.float_tolerance, 1)
    assert len(broken) == 1
    assert broken[0].startswith("max_relative is 0.0")


def test_scores_that_are_no_probabilities_are_quantised_whole(split: Split) -> None:
    net = nn.Sequential(nn.Linear(300, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    graph = Graph("model", GRAPH.inputs, (Tensor("output", "float32", ("n", 2)),))
    rows = calibration_rows(split.inputs["model"], 50, 0)
    small = quantize_int8(export_onnx(net, graph, 13, {}), graph, rows, {})
    producer = {name: node.op_type for node in small.graph.node for name in node.output}
    assert producer["output"] == "DequantizeLinear"


def test_int8_leaves_arithmetic_and_what_is_precise_in_float(module: nn.Module, split: Split) -> None:
    """The skip path is given a mean, a logarithm and a length, and one layer's 8 bits cannot hold all three."""
    small = quantize_int8(export_onnx(module, GRAPH, 13, {}), GRAPH, calibration_rows(split.inputs["model"], 50, 0), {})
    made_by = {name: node for node in small.graph.node for name in node.output}
    layers = {node.name: node for node in small.graph.node if node.op_type == "Gemm"}
    rounded = {name: made_by[node.input[0]].op_type == "DequantizeLinear" for name, node in layers.items()}
    assert rounded
    assert all(is_rounded != ("/skip/" in name) for name, is_rounded in rounded.items())
    exp = next(node for node in small.graph.node if node.op_type == "Exp")
    assert made_by[exp.input[0]].op_type == "Mul"


def test_inputs_on_a_grid_are_not_rounded(module: nn.Module, split: Split) -> None:
    """Phred scores keep their values; a pad is in range though the calibration has none."""
    small = quantize_int8(export_onnx(module, GRAPH, 13, {}), GRAPH, calibration_rows(split.inputs["model"], 50, 0), {})
    values = {item.name: onnx.numpy_helper.to_array(item) for item in small.graph.initializer}
    node = next(node for node in small.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "input")
    scale, zero = float(values[node.input[1]]), int(values[node.input[2]])
    assert scale == pytest.approx(1 / 93)
    for feature in (-1.0, 0.0, 20 / 93, 41 / 93, 1.0):
        assert (np.clip(round(feature / scale) + zero, 0, 255) - zero) * scale == pytest.approx(feature, abs=1e-6)
