"""HyenaDNA's backbone: its operator, its fixed forms, and weights of the published layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anelab.errors import AnelabError
from anelab.export.onnx import export_onnx, write_model
from anelab.export.runtime import onnx_predictor
from anelab.learning.base import Graph, Tensor
from anelab.workloads.splice.encoders import OneHot, make_encoder
from anelab.workloads.splice.hyena import SIZES, HyenaBackbone, HyenaOperator, HyenaShape, fixed
from anelab.workloads.splice.hyena_weights import load_backbone
from tests.conftest import tiny

SHAPE = HyenaShape(width=16, layers=2, inner=32, longest=130, filter_order=8)


def backbone(shape: HyenaShape = SHAPE) -> HyenaBackbone:
    torch.manual_seed(0)
    return HyenaBackbone(shape).eval()


def bases(rows: int = 3, length: int = 101) -> torch.Tensor:
    codes = np.random.default_rng(0).choice([0, 4, 5, 6, 7, 8], (rows, length)).astype(np.int32)
    return OneHot()(torch.from_numpy(codes))


def test_the_operator_is_that_of_its_definition() -> None:
    """y[t] = x0[t] * (sum over s of k[t - s] (x1 v)[s] + bias (x1 v)[t]), each of them a short convolution's."""
    torch.manual_seed(1)
    operator = HyenaOperator(SHAPE).double()
    given = torch.randn(1, 40, 16, dtype=torch.float64)
    with torch.no_grad():
        mixed = operator.in_proj(given)[0]
        short = torch.zeros_like(mixed)
        weight, shift = operator.short_filter.weight[:, 0], operator.short_filter.bias
        for place in range(40):
            for back in range(3):
                if place - back >= 0:
                    short[place] += weight[:, 2 - back] * mixed[place - back]
        short += shift
        gate, inner, value = short[:, :16], short[:, 16:32], short[:, 32:]
        product, taps = value * inner, operator.filter_fn.filters(40).double()
        found = torch.stack([sum(taps[:, place - s] * product[s] for s in range(place + 1)) for place in range(40)])
        expected = operator.out_proj((found + operator.filter_fn.bias * product) * gate)
        torch.testing.assert_close(operator(given)[0], expected, atol=1e-6, rtol=1e-5)


def test_a_place_sees_only_those_before_it() -> None:
    net, given = backbone(), bases()
    changed = given.clone()
    changed[:, :, 60:] = given[:, :, 60:].flip(1)
    with torch.inference_mode():
        before, after = net(given), net(changed)
    torch.testing.assert_close(before[:, :60], after[:, :60], atol=1e-5, rtol=1e-5)
    assert (before[:, 60:] - after[:, 60:]).abs().max() > 1e-2


@pytest.mark.parametrize("form", ["dft", "convolution"])
def test_fixed_forms_compute_the_same_and_are_exported(tmp_path: Path, form: str) -> None:
    net, given = backbone(), bases()
    made = fixed(net, 101, form)  # type: ignore[arg-type]
    with torch.inference_mode():
        wanted, found = net(given), made(given)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert not any("filter_fn" in name for name, _ in made.named_parameters())
    graph = Graph("model", (Tensor("bases", "float32", ("n", 6, 101)),), (Tensor("out", "float32", ("n", 101, 16)),))
    write_model(export_onnx(made, graph, 13, {}), tmp_path / "m.onnx")
    np.testing.assert_allclose(onnx_predictor(tmp_path / "m.onnx")({"bases": given.numpy()})["out"], wanted, atol=1e-5)


@pytest.mark.parametrize("prefix", ["backbone.", "hyena.backbone.", "model.backbone."])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_of_the_published_layout_is_read_whole(
    tmp_path: Path, prefix: str, suffix: str, wrapped: bool
) -> None:
    net, path = backbone(), tmp_path / f"weights{suffix}"

    def published(name: str) -> str:
        inside = name.replace(".mixer.", ".mixer.layer.").replace(".mlp.", ".mlp.layer.") if wrapped else name
        return prefix + inside

    weights = {published(name): values.clone() for name, values in net.state_dict().items()}
    weights["head.weight"] = torch.zeros(2)
    if suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({"state_dict": weights, "epoch": 3}, path)
    found = load_backbone(path).eval()
    assert found.shape == SHAPE
    given = bases()
    with torch.inference_mode():
        torch.testing.assert_close(found(given), net(given))


def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "weights.ckpt"
    with pytest.raises(AnelabError, match=r"is not there; splice.model.encoder.pretrained"):
        load_backbone(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(AnelabError, match="is no checkpoint that can be read"):
        load_backbone(path)
    torch.save({"other": torch.zeros(2)}, path)
    with pytest.raises(AnelabError, match="it has no word embeddings"):
        load_backbone(path)
    weights = {f"backbone.{name}": values for name, values in backbone().state_dict().items()}
    del weights["backbone.layers.1.norm1.weight"]
    torch.save(weights, path)
    with pytest.raises(AnelabError, match=r"does not fit HyenaDNA's backbone: layers.1.norm1.weight"):
        load_backbone(path)


def test_a_frozen_encoder_learns_only_what_comes_after_it() -> None:
    config = tiny("splice.model.encoder={kind: hyenadna, freeze: true, output_dim: 8}").section("splice").model.encoder
    encoder = make_encoder(config, 101)
    assert isinstance(encoder, nn.Module)
    vector, places = encoder(bases())
    assert vector.shape == (3, 8) and places.shape == (3, 4, 8)
    trained = {name for name, one in encoder.named_parameters() if one.requires_grad}
    assert trained == {"out.1.weight", "out.1.bias", "place.weight", "place.bias"}
    with pytest.raises(AnelabError, match=r"takes 1026 bases here, but data.window is 2001"):
        make_encoder(config, 2001)


def test_the_tiny_model_has_as_many_weights_as_the_published_one() -> None:
    parameters = sum(one.numel() for one in HyenaBackbone(SIZES["tiny"]).parameters())
    assert 430_000 < parameters < 460_000
