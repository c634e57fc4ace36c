"""Loading, running, modes and errors of the evaluator, on saved packages."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anelab.errors import AnelabError
from anelab.export.coreml import LADDER, Size, fixed_size
from anelab.export.mil import table
from anelab.export.mil.blame import find_blame
from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.modes import ane_range
from anelab.export.mil.predictor import mil_predictor
from anelab.export.mil.program import load_package
from anelab.export.mlpackage import MODEL, WEIGHTS
from anelab.export.toolkit import toolkit
from tests.export.mil.converting import TRACE, converter_of, error_of, packaged


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)).eval()


@pytest.fixture(scope="module")
def package(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = np.zeros((1, 6), np.float32)
    return packaged(net, x, tmp_path_factory.mktemp("net") / "model.mlpackage", LADDER[0], "fp16")


ROWS = np.random.default_rng(0).standard_normal((11, 6)).astype(np.float32)


def test_log_softmax_in_16_bits_is_caught_and_mended(tmp_path: Path) -> None:
    """coremltools#2728: the softmax of a far class underflows, and its logarithm is -103, not -50."""
    x = np.float32([[0, 0, 0, 50]])
    module = nn.LogSoftmax(-1)
    path = packaged(module, x, tmp_path / "model.mlpackage", LADDER[0], "fp16")
    exact, halves, engine = (Evaluator(path, mode=mode)({"input": x})["output"][0] for mode in ("fp32", "fp16", "ane"))
    assert exact.tolist() == [-50, -50, -50, 0]
    assert halves.tolist() == [-103.25, -103.25, -103.25, 0]
    assert engine[0] < -40_000
    blame = find_blame(path, {"input": x}, 5e-3)
    assert blame.first is not None
    assert (blame.first.kind, blame.first.value, blame.first.exact) == ("log", -103.25, -50)
    assert "fp32_operators: [log_softmax, log_softmax_softmax] mends it" in blame.advice()
    assert blame.keep is not None
    mended = converter_of(module, x, fp32_operators=list(blame.keep))
    mended.write(tmp_path / "mended.mlpackage", LADDER[0], fixed_size(mended.graph), "fp16")
    assert Evaluator(tmp_path / "mended.mlpackage")({"input": x})["output"][0].tolist() == [-50, -50, -50, 0]
    by_type = converter_of(module, x, fp32_operators=["log", "softmax"])
    by_type.write(tmp_path / "by_type.mlpackage", LADDER[0], fixed_size(by_type.graph), "fp16")
    assert error_of(tmp_path / "by_type.mlpackage", module, x, "fp16") < 1e-3


def test_blame_names_an_overflow_in_the_middle_and_nothing_in_a_sound_net(package: Path, tmp_path: Path) -> None:
    class Overflowing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sqrt((x * 300).square() + 1) / 300

    x = np.float32([[1.0, 2.0, -3.0]])
    path = packaged(Overflowing(), x, tmp_path / "model.mlpackage", LADDER[0], "fp16")
    assert np.isinf(Evaluator(path)({"input": x})["output"]).any()
    blame = find_blame(path, {"input": x}, 5e-3)
    assert blame.first is not None
    assert blame.first.kind in ("square", "mul")
    assert blame.first.error == np.inf
    assert blame.keep
    for rung in (LADDER[0], TRACE):  # a trace gives operators numbers for names, which a package cannot have
        path = packaged(Overflowing(), x, tmp_path / "model.mlpackage", rung, "fp16")
        advised = find_blame(path, {"input": x}, 5e-3).keep
        assert advised
        mended = converter_of(Overflowing(), x, fp32_operators=list(advised))
        mended.write(tmp_path / "mended.mlpackage", rung, fixed_size(mended.graph), "fp16")
        assert error_of(tmp_path / "mended.mlpackage", Overflowing(), x, "fp16") < 5e-3
    sound = find_blame(package, {"input": ROWS[:1]}, 5e-3)
    assert (sound.first, sound.advice()) == (None, "no operator drifts beyond 0.005 in 16 bits")


def test_each_operators_output_is_rounded_in_16_bits_and_sums_are_wide(tmp_path: Path) -> None:
    """4096 and 1024 ones: a 16-bit accumulator would stop at 4096."""
    layer = nn.Linear(1025, 1, bias=False)
    nn.init.ones_(layer.weight)
    x = np.ones((1, 1025), np.float32)
    x[0, 0] = 4096
    path = packaged(layer, x, tmp_path / "model.mlpackage", LADDER[0], "fp16")
    assert Evaluator(path, mode="fp32")({"input": x})["output"].item() == 5120
    assert Evaluator(path, mode="fp16")({"input": x})["output"].item() == 5120
    seen: list[tuple[str, float]] = []

    def observe(operation: Any, _: Any, outputs: Any) -> None:
        seen.append((operation.op_type, float(outputs[0].reshape(-1)[-1])))

    third = np.full((1, 1025), 1 / 3, np.float32)
    Evaluator(path, mode="fp16")({"input": third}, observe)
    assert seen[0] == ("cast", float(np.float16(1 / 3)))


def test_the_neural_engines_range_is_a_mode_of_its_own(tmp_path: Path) -> None:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    path = packaged(layer, np.zeros((1, 2), np.float32), tmp_path / "model.mlpackage", LADDER[0], "fp16")
    x = {"input": np.float32([[20_000, 20_000]])}
    assert Evaluator(path, mode="fp16")(x)["output"].item() == 40_000
    assert Evaluator(path, mode="ane")(x)["output"].item() == np.inf
    assert Evaluator(path, mode="ane")({"input": np.float32([[np.nan, 0]])})["output"].item() == np.inf
    halves = torch.tensor([5000.0, 1.0])
    inside = {"begin": (0, 2), "begin_mask": ()}
    assert ane_range("slice_by_index", inside, halves).tolist() == [np.inf, 1]
    assert ane_range("slice_by_index", {"begin": (2, 0)}, halves).tolist() == [5000, 1]
    assert ane_range("slice_by_index", {"begin": (0, 2), "begin_mask": (0, 1)}, halves).tolist() == [5000, 1]
    assert ane_range("softplus", {"x": torch.tensor([11.0, 1.0])}, torch.tensor([11.0, 1.3])).tolist()[0] == 0
    assert ane_range("sub", {}, torch.tensor([np.nan])).item() == 0


def test_a_package_of_several_functions_shares_its_weights_and_takes_any_number_of_rows(
    net: nn.Module, package: Path, tmp_path: Path
) -> None:
    converter = converter_of(net, ROWS[:1])
    path = tmp_path / "several.mlpackage"
    converter.write_buckets(path, LADDER[0], [Size(1), Size(4), Size(8)])
    assert load_package(path).functions == ("rows_1", "rows_4", "rows_8")
    assert load_package(path).spec.description.defaultFunctionName == "rows_1"
    assert (path / WEIGHTS).stat().st_size < 1.2 * (package / WEIGHTS).stat().st_size
    assert Evaluator(path).inputs[0].shape == (1, 6)
    assert Evaluator(path, "rows_4")({"input": ROWS[:4]})["output"].shape == (4, 3)
    with pytest.raises(AnelabError, match="has no function rows_2; its functions are rows_1, rows_4, rows_8"):
        Evaluator(path, "rows_2")
    alone = mil_predictor(package)({"input": ROWS})["output"]
    for rows in (1, 3, 8, 11):
        found = mil_predictor(path)({"input": ROWS[:rows]})["output"]
        np.testing.assert_array_equal(found, alone[:rows])


def test_an_operator_to_keep_that_there_is_none_of_is_an_error(net: nn.Module, tmp_path: Path) -> None:
    converter = converter_of(net, ROWS[:1], fp32_operators=["sofmax"])
    with pytest.raises(AnelabError, match="fp32_operators: model has no operator sofmax; did you mean softmax"):
        converter.climb({"input": ROWS})


def test_outputs_are_the_callers_own(tmp_path: Path) -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(1, 3, 2)

    path = packaged(Constant(), ROWS[:1], tmp_path / "m.mlpackage", LADDER[0])
    x = ROWS[:1].copy()
    Evaluator(path, mode="fp32")({"input": x})["output"][:] = 9
    np.testing.assert_array_equal(x, ROWS[:1])


def test_whole_numbers_are_checked_for_what_the_package_holds(tmp_path: Path) -> None:
    path = packaged(nn.Embedding(5, 2), np.int64([[1, 2]]), tmp_path / "m.mlpackage", LADDER[0])
    evaluator = Evaluator(path)
    for wrong in (np.float32([[0.9, 1]]), np.int64([[2**31, 0]]), np.array([["a", "b"]])):
        with pytest.raises(AnelabError, match=r"input input has .* values; it takes input int32 1x2"):
            evaluator({"input": wrong})
    assert evaluator({"input": np.array([[1, 2]], ">i4")})["output"].shape == (1, 2, 2)
    with pytest.raises(AnelabError, match=r"an index is outside -5 \.\.\. 4"):
        evaluator({"input": np.int32([[7, 0]])})


def test_an_output_that_is_not_by_rows_is_not_cut(tmp_path: Path) -> None:
    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.T

    path = packaged(Turned(), ROWS[:1], tmp_path / "m.mlpackage", LADDER[0])
    assert mil_predictor(path)({"input": ROWS[:1]})["output"].shape == (6, 1), "one call for the whole input"
    with pytest.raises(AnelabError, match=r"output output has shape \(6, 1\) for 1 rows; its first axis must be"):
        mil_predictor(path)({"input": ROWS[:2]})


def test_wrong_arrays_are_refused_with_what_is_taken(package: Path) -> None:
    evaluator = Evaluator(package)
    with pytest.raises(AnelabError, match=r"input input has shape \(2, 6\); it takes input fp32 1x6"):
        evaluator({"input": ROWS[:2]})
    with pytest.raises(AnelabError, match="input input is missing"):
        evaluator({})
    with pytest.raises(AnelabError, match="has no input more"):
        evaluator({"input": ROWS[:1], "more": ROWS[:1]})
    with pytest.raises(AnelabError, match=r"no function takes input \(2, 5\); it has input 1x6"):
        mil_predictor(package)({"input": ROWS[:2, :5]})
    with pytest.raises(AnelabError, match="one row at least"):
        mil_predictor(package)({"input": ROWS[:0]})


def test_an_operator_that_is_not_there_is_named_with_its_place(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = {name: item for name, item in table.OPERATORS.items() if name != "softmax"}
    monkeypatch.setattr("anelab.export.mil.evaluator.OPERATORS", without)
    with pytest.raises(AnelabError) as caught:
        Evaluator(package)
    assert "model.mlpackage, function main, operation 4: softmax (" in str(caught.value)
    assert "the evaluator has no such operator" in str(caught.value)


def test_an_input_of_an_operator_that_is_not_known_is_an_error_too(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer coremltools may give an operator another input: it must not be passed over."""
    known = table.OPERATORS["linear"]
    fewer = {key: value for key, value in known.converters.items() if key != "bias"}
    changed = {**table.OPERATORS, "linear": type(known)(known.run, fewer, False)}
    monkeypatch.setattr("anelab.export.mil.evaluator.OPERATORS", changed)
    with pytest.raises(AnelabError, match=r"linear \(.*\): the evaluator does not support its input bias"):
        Evaluator(package)


@pytest.mark.parametrize("harm", ["model cut", "weights cut", "weights gone", "no package", "absent"])
def test_a_damaged_package_is_an_error_that_names_it(harm: str, package: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage"
    if harm != "absent":
        shutil.copytree(package, path)
    if harm == "model cut":
        (path / MODEL).write_bytes((path / MODEL).read_bytes()[:200])
    elif harm == "weights cut":
        (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:100])
    elif harm == "weights gone":
        (path / WEIGHTS).unlink()
    elif harm == "no package":
        (path / "Manifest.json").unlink()
    with pytest.raises(AnelabError, match=r"model\.mlpackage: "):
        Evaluator(path)({"input": ROWS[:1]})


def test_an_older_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    with toolkit() as ct:
        from coremltools.models import datatypes
        from coremltools.models.neural_network import NeuralNetworkBuilder

        array = datatypes.Array(3)
        builder = NeuralNetworkBuilder([("x", array)], [("y", array)])
        builder.add_activation("relu", "RELU", "x", "y")
        ct.models.MLModel(builder.spec, skip_model_load=True).save(str(tmp_path / "old.mlpackage"))
    with pytest.raises(AnelabError, match="is a Core ML neuralNetwork; only an ML program"):
        Evaluator(tmp_path / "old.mlpackage")


def test_whole_numbers_in_and_two_inputs(tmp_path: Path) -> None:
    class Look(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(7, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.table(ids).mean(1)

    ids = np.int64([[1, 6, 0]])
    module = Look().eval()
    for rung in (LADDER[0], TRACE):
        path = packaged(module, ids, tmp_path / f"{rung[0]}.mlpackage", rung)
        assert Evaluator(path).inputs[0].dtype == "int32"
        assert error_of(path, module, ids, "fp32") < 1e-6


SIZES = st.integers(1, 3)


@settings(max_examples=12, deadline=None)
@given(
    kernel=st.tuples(SIZES, SIZES),
    stride=st.tuples(SIZES, SIZES),
    padding=st.one_of(st.just("same"), st.tuples(st.integers(0, 2), st.integers(0, 2))),
    dilation=st.tuples(st.integers(1, 2), SIZES),
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
def test_convolutions(
    kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, seed: int, tmp_path_factory: Any
) -> None:
    torch.manual_seed(seed)
    stride = (1, 1) if padding == "same" else stride
    module = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups)
    x = np.random.default_rng(seed).standard_normal((1, 4, 9, 8)).astype(np.float32)
    path = packaged(module, x, tmp_path_factory.mktemp("conv") / "model.mlpackage")
    assert error_of(path, module, x, "fp32") < 1e-5


@settings(max_examples=10, deadline=None)
@given(
    kernel=st.tuples(SIZES, SIZES),
    stride=st.tuples(SIZES, SIZES),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), SIZES),
    groups=st.sampled_from([1, 2]),
    extra=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    seed=st.integers(0, 99),
)
def test_transposed_convolutions(
    kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, extra: Any, seed: int, tmp_path_factory: Any
) -> None:
    torch.manual_seed(seed)
    limits = zip(extra, stride, dilation, padding, strict=True)
    extra = tuple(min(more, max(step, gap) - 1, pad) for more, step, gap, pad in limits)  # coremltools refuses others
    module = nn.ConvTranspose2d(4, 6, kernel, stride, padding, extra, groups, True, dilation)
    x = np.random.default_rng(seed).standard_normal((1, 4, 7, 6)).astype(np.float32)
    path = packaged(module, x, tmp_path_factory.mktemp("conv") / "model.mlpackage")
    assert error_of(path, module, x, "fp32") < 1e-5


@settings(max_examples=10, deadline=None)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    ceil=st.booleans(),
    kind=st.sampled_from(["max", "average", "average of what is there"]),
    seed=st.integers(0, 99),
)
def test_pools(kernel: int, stride: int, padding: int, ceil: bool, kind: str, seed: int, tmp_path_factory: Any) -> None:
    padding = min(padding, kernel // 2)
    if kind == "max":
        module: nn.Module = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    else:
        module = nn.AvgPool2d(kernel, stride, padding, ceil, count_include_pad=kind == "average")
    x = np.random.default_rng(seed).standard_normal((1, 2, 9, 8)).astype(np.float32)
    path = packaged(module, x, tmp_path_factory.mktemp("pool") / "model.mlpackage")
    assert error_of(path, module, x, "fp32") < 1e-5


def _embedding(width: int, more: int) -> nn.Module:
    """Whole numbers come out of floats, because a drawn layer gets floats."""

    class Look(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table((x.abs() * 2).clamp(max=8).long()).sum(-2)

    return Look()


class First(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[0]


LAYERS: dict[str, Any] = {
    "linear": lambda width, more: nn.Linear(width, more),
    "layer norm": lambda width, more: nn.LayerNorm(width),
    "batch norm": lambda width, more: nn.BatchNorm1d(more),
    "group norm": lambda width, more: nn.GroupNorm(1, more),
    "embedding": _embedding,
    "lstm": lambda width, more: First(nn.LSTM(width, more, batch_first=True)),
    "lstm both ways": lambda width, more: First(nn.LSTM(width, more, 2, batch_first=True, bidirectional=True)),
    "gru": lambda width, more: First(nn.GRU(width, more, batch_first=True)),
    "softmax": lambda width, more: nn.Softmax(1),
    "log softmax": lambda width, more: nn.LogSoftmax(-1),
    "encoder": lambda width, more: nn.TransformerEncoderLayer(2 * width, 2, more, 0.0, batch_first=True),
}


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=3, deadline=None)
@given(width=st.integers(1, 7), more=st.integers(1, 6), seed=st.integers(0, 99))
def test_layers_of_any_width(kind: str, width: int, more: int, seed: int, tmp_path_factory: Any) -> None:
    torch.manual_seed(seed)
    module = LAYERS[kind](width, more).eval()
    columns = {"encoder": 2 * width, "group norm": width + 1}.get(kind, width)  # one value has no variance
    x = np.random.default_rng(seed).standard_normal((1, more, columns)).astype(np.float32)
    path = packaged(module, x, tmp_path_factory.mktemp("layer") / "model.mlpackage")
    assert error_of(path, module, x, "fp32") < 1e-4


def built(path: Path, program: Any) -> Path:
    """A package of a program written in MIL's own builder."""
    with toolkit() as ct:
        model = ct.convert(
            program,
            minimum_deployment_target=ct.target.macOS14,
            compute_precision=ct.precision.FLOAT32,
            skip_model_load=True,
        )
        model.save(str(path))
    return path


def test_branches_and_loops_within_loops(tmp_path: Path) -> None:
    with toolkit():
        from coremltools.converters.mil import Builder

        @Builder.program([Builder.TensorSpec((2,)), Builder.TensorSpec((1,))])
        def program(x: Any, limit: Any) -> Any:
            def inner(y: Any) -> Any:
                def small(z: Any) -> Any:
                    return Builder.less(x=Builder.reduce_sum(x=z, axes=[0]), y=10.0)

                return Builder.while_loop(_cond=small, _body=lambda z: Builder.add(x=z, y=x), loop_vars=(y,))

            def more(y: Any, count: Any) -> Any:
                return Builder.less(x=Builder.squeeze(x=count), y=2.0)

            def again(y: Any, count: Any) -> Any:
                return Builder.mul(x=inner(y), y=0.5), Builder.add(x=count, y=1.0)

            y, _ = Builder.while_loop(_cond=more, _body=again, loop_vars=(x, Builder.mul(x=limit, y=0.0)))
            large = Builder.greater(x=Builder.squeeze(x=limit), y=0.0)
            return Builder.cond(
                pred=large, _true_fn=lambda: Builder.add(x=y, y=100.0), _false_fn=lambda: Builder.sub(x=y, y=x)
            )

    evaluator = Evaluator(built(tmp_path / "loops.mlpackage", program), mode="fp32")

    def expected(x: Any, limit: float) -> Any:
        y = x
        for _ in range(2):
            while y.sum() < 10:
                y = y + x
            y = y * 0.5
        return y + 100 if limit > 0 else y - x

    (name,) = [port.name for port in evaluator.outputs]
    for x, limit in (([1, 2], 1), ([1, 2], -1), ([7, 8], 1), ([0.3, 0.1], -1)):
        given = np.float32(x)
        found = evaluator({"x": given, "limit": np.float32([limit])})[name]
        np.testing.assert_allclose(found, expected(given, limit), rtol=1e-5)
    several = {"x": np.float32([[1, 2], [7, 8]]), "limit": np.float32([[1], [-1]])}
    assert evaluator.stacked(several) is None, "each call loops as often as its values ask for"


def test_many_calls_at_once_give_what_each_gives_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = np.random.default_rng(0).normal(size=(2500, 6)).astype(np.float32)
    evaluator = Evaluator(packaged(net, x[:1], path), mode="fp32")
    alone = np.concatenate([evaluator({"input": row[None]})["output"] for row in x[:50]])
    many = mil_predictor(path, "fp32")({"input": x})["output"]
    assert many.shape == (2500, 3)
    np.testing.assert_allclose(many[:50], alone, atol=1e-6)
    assert 1 < evaluator.calls_at_once < 2500, "in several parts"
    wrong = evaluator.stacked({"input": x[:4, None, :5]})
    assert wrong is None, "a call says what is wrong"


def test_a_graph_with_quantised_values_in_it(tmp_path: Path) -> None:
    with toolkit() as ct:
        from coremltools.converters.mil import Builder

        @Builder.program([Builder.TensorSpec((1, 4))], opset_version=ct.target.macOS14)
        def program(x: Any) -> Any:
            small = Builder.quantize(input=x, scale=np.float32(0.1), zero_point=np.int8(0), output_dtype="int8")
            return Builder.dequantize(input=small, scale=np.float32(0.1), zero_point=np.int8(0), name="y")

    evaluator = Evaluator(built(tmp_path / "q.mlpackage", program), mode="fp32")
    found = evaluator({"x": np.float32([[0.04, 0.06, 12.68, -99]])})["y"]
    np.testing.assert_allclose(found, [[0, 0.1, 12.7, -12.8]], atol=1e-6)
