"""Recurrent layers in the order of Apple's own tests of Core ML, and states from call to call."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anelab.export.mil.evaluator import Evaluator
from anelab.export.mil.predictor import mil_predictor
from anelab.export.mil.table import OPERATORS
from anelab.export.toolkit import toolkit
from tests.commands import anelab

TIME, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4


def run(kind: str, **inputs: Any) -> list[Any]:
    operator = OPERATORS[kind]
    return [value.numpy() for value in operator.run(**{k: operator.converters[k](v) for k, v in inputs.items()})]


def drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("every", [True, False])
def test_gru_resets_before_the_product(direction: str, every: bool) -> None:
    """As coremltools' ops/tests/iOS14/test_recurrent.py describes what Core ML computes."""
    x, start = drawn(TIME, BATCH, FEATURES), drawn(BATCH, HIDDEN)
    inner, hidden, bias = drawn(3 * HIDDEN, FEATURES), drawn(3 * HIDDEN, HIDDEN), drawn(3 * HIDDEN)
    h, wanted = start, []
    for now in x if direction == "forward" else x[::-1]:
        r, o, z = np.split(now @ inner.T + bias, 3, axis=1)
        reset, output, update = np.split(hidden, 3)
        r, z = sigmoid(r + h @ reset.T), sigmoid(z + h @ update.T)
        h = (1 - z) * np.tanh(o + (h * r) @ output.T) + z * h
        wanted.append(h)
    given = {"x": x, "initial_h": start, "weight_ih": inner, "weight_hh": hidden, "bias": bias}
    states, last = run("gru", **given, direction=direction, output_sequence=every)
    np.testing.assert_allclose(states, np.stack(wanted if every else wanted[-1:]), atol=1e-6)
    np.testing.assert_allclose(last, h, atol=1e-6)


def test_gru_that_resets_after_is_torchs() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(FEATURES, HIDDEN)
    x, start = drawn(TIME, BATCH, FEATURES), drawn(BATCH, HIDDEN)

    def reordered(weight: torch.Tensor) -> Any:
        r, z, o = weight.detach().chunk(3)
        return torch.cat([r, o, z]).numpy()

    wanted, _ = layer(torch.from_numpy(x), torch.from_numpy(start)[None])
    given = {
        "weight_ih": reordered(layer.weight_ih_l0),
        "weight_hh": reordered(layer.weight_hh_l0),
        "bias": reordered(layer.bias_hh_l0),
        "input_bias": reordered(layer.bias_ih_l0),
    }
    states, _ = run("gru", x=x, initial_h=start, **given, reset_after=True, output_sequence=True)
    np.testing.assert_allclose(states, wanted.detach().numpy(), atol=1e-6)


def test_what_goes_backwards_alone_gives_its_outputs_in_that_order() -> None:
    """Apple's test compares a reversed LSTM with torch's outputs for the reversed input, not reversed back."""
    torch.manual_seed(0)
    layer = nn.LSTM(FEATURES, HIDDEN)
    x, zero = drawn(TIME, BATCH, FEATURES), np.zeros((BATCH, HIDDEN), np.float32)

    def reordered(weight: torch.Tensor) -> Any:
        i, f, z, o = weight.detach().chunk(4)
        return torch.cat([i, f, o, z]).numpy()

    wanted, (h, _) = layer(torch.from_numpy(x).flip(0))
    given = {
        "weight_ih": reordered(layer.weight_ih_l0),
        "weight_hh": reordered(layer.weight_hh_l0),
        "bias": reordered(layer.bias_ih_l0 + layer.bias_hh_l0),
    }
    states, last, _ = run(
        "lstm", x=x, initial_h=zero, initial_c=zero, **given, direction="reverse", output_sequence=True
    )
    np.testing.assert_allclose(states, wanted.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(last, h.detach().numpy()[0], atol=1e-6)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that adds up what it is given; the output is twice the sum."""
    path = tmp_path_factory.mktemp("state") / "counting.mlpackage"
    with toolkit() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import types

        specs = [Builder.TensorSpec((1, 2), types.fp16), Builder.StateTensorSpec((1, 2), types.fp16)]

        @Builder.program(input_specs=specs, opset_version=ct.target.iOS18)
        def program(x: Any, total: Any) -> Any:
            before = Builder.read_state(input=total)
            after = Builder.coreml_update_state(state=total, value=Builder.add(x=x, y=before))
            return Builder.mul(x=after, y=np.float16(2), name="output")

        ct.convert(program, minimum_deployment_target=ct.target.iOS18, skip_model_load=True).save(str(path))
    return path


def test_a_state_goes_on_from_call_to_call_until_it_is_made_anew(counting: Path, tmp_path: Path) -> None:
    evaluator = Evaluator(counting)
    assert [port.name for port in evaluator.inputs] == ["x"]
    one = {"x": np.float32([[1, 10]])}
    assert [evaluator(one)["output"].tolist() for _ in range(3)] == [[[2, 20]], [[4, 40]], [[6, 60]]]
    evaluator.reset_states()
    assert evaluator(one)["output"].tolist() == [[2, 20]]
    assert evaluator.stacked({"x": np.ones((4, 1, 2), np.float32)}) is None
    predict = mil_predictor(counting)
    rows = {"x": np.float32([[1, 1], [2, 2], [3, 3]])}
    for _ in range(2):
        assert predict(rows)["output"].tolist() == [[2, 2], [6, 6], [12, 12]]
    np.savez(tmp_path / "rows.npz", **rows)
    named = (str(counting), "--input", str(tmp_path / "rows.npz"))
    done = anelab(tmp_path, "model", "eval", *named)
    assert done.returncode == 0 and "12" in done.stdout, done.stderr
    for command in ("lint", "blame"):
        checked = anelab(tmp_path, "model", command, *named)
        assert checked.returncode == 0, (command, checked.stderr)
    assert anelab(tmp_path, "model", "placement", str(counting)).returncode == 0
