"""Affine scaling folded into the layer that follows it, so that preprocessing costs nothing.

Folding is done on the CPU in double precision (mps has none) and gives a new layer there."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


@torch.no_grad()
def fold_into_linear(layer: nn.Linear, scale: torch.Tensor, shift: torch.Tensor) -> nn.Linear:
    """A layer g with g(x) = layer(scale * x + shift); `scale` and `shift` are [in_features] or scalars."""
    folded = deepcopy(layer).cpu()
    weight, bias = folded.weight.double(), folded.bias.double()
    folded.weight.copy_(weight * scale.cpu().double())
    folded.bias.copy_(bias + weight @ shift.cpu().double().expand(layer.in_features))
    return folded.eval()


@torch.no_grad()
def fold_into_conv(layer: nn.Conv2d, scale: float, shift: float) -> nn.Conv2d:
    """A layer g with g(x) = layer(scale * x + shift). Exact only without padding, so that is required."""
    if layer.padding != (0, 0):
        raise ValueError(f"an affine map folds only into a convolution without padding but got {layer.padding}")
    folded = deepcopy(layer).cpu()
    assert folded.bias is not None
    weight, bias = folded.weight.double(), folded.bias.double()
    folded.weight.copy_(weight * scale)
    folded.bias.copy_(bias + shift * weight.sum(dim=(1, 2, 3)))
    return folded.eval()


class ToFloat(nn.Module):
    """Bytes to float32 of the same value, for graphs that take bytes."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(torch.float32)


def fold_into_first(layers: Iterable[nn.Module], scale: float, shift: float) -> list[nn.Module]:
    """`layers` without dropout and batch normalisation, which goes into the convolution before it, and with
    x -> scale * x + shift folded into the first that has weights."""
    useful = _without_batch_norm(layer for layer in layers if not isinstance(layer, nn.Dropout))
    first = next(index for index, layer in enumerate(useful) if isinstance(layer, nn.Linear | nn.Conv2d))
    layer = useful[first]
    if isinstance(layer, nn.Conv2d):
        useful[first] = fold_into_conv(layer, scale, shift)
    elif isinstance(layer, nn.Linear):
        useful[first] = fold_into_linear(layer, torch.tensor(scale), torch.tensor(shift))
    return useful


def _without_batch_norm(layers: Iterable[nn.Module]) -> list[nn.Module]:
    fused: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and fused and isinstance(fused[-1], nn.Conv2d):
            fused[-1] = fuse_conv_bn_eval(deepcopy(fused[-1]).eval(), deepcopy(layer).eval())
        else:
            fused.append(layer)
    return fused
