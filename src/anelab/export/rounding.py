"""Weights as 16-bit floats that together compute what the float32 ones did.

Rounded one by one, weights move every output by the sum of their errors. Here each column's error is made
good by the columns not yet rounded, as the layer's own inputs on training rows weigh them (Frantar et al.
2022, arXiv 2210.17323, for integers), and what is left of the mean goes into the bias (Nagel et al. 2019,
arXiv 1906.04721).
"""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
DAMPING = 1e-6
"""Of the mean of the diagonal, so that inputs which never vary divide nothing by zero."""
MOST_POSITIONS = 20_000
"""Input vectors of a layer that are looked at: a convolution has one at each place of each row."""


@torch.no_grad()
def rounded_to_half(module: nn.Module, rows: Iterable[Tensor]) -> nn.Module:
    """A copy whose linear and convolutional weights 16 bits hold exactly. `rows` are the module's inputs in order.
    Layers are rounded first to last, each behind those before it."""
    inputs = tuple(rows)
    module, copy = module.eval(), deepcopy(module).eval()
    for name, layer in copy.named_modules():
        if not isinstance(layer, LAYERS):
            continue
        seen = _seen(copy, name, inputs)
        if not seen:  # the layer is not called as a module: a fused attention reads its weights itself
            continue
        vectors = torch.cat([_vectors(layer, given) for given, _ in seen], dim=1)
        layer.weight.copy_(_compensated(layer.weight, vectors))
        if layer.bias is not None:
            wanted, found = (_mean(layer, _seen(one, name, inputs)) for one in (module, copy))
            layer.bias.add_(wanted - found)
    return copy


def _seen(module: nn.Module, name: str, inputs: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    """Input and output of every call of the named layer."""
    calls: list[tuple[Tensor, Tensor]] = []
    hook = module.get_submodule(name).register_forward_hook(lambda _, given, output: calls.append((given[0], output)))
    try:
        module(*inputs)
    finally:
        hook.remove()
    return calls


def _mean(layer: nn.Module, calls: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean output, one a channel."""
    axis = -1 if isinstance(layer, nn.Linear) else 1
    return torch.cat([output.movedim(axis, 0).flatten(1) for _, output in calls], 1).mean(1)


def _vectors(layer: nn.Module, given: Tensor) -> Tensor:
    """What the layer multiplies its weights with: [groups, positions, inputs of a group]. Only a weighing of the
    errors hangs on it, so padding that is no number of zeros is left out."""
    if isinstance(layer, nn.Linear):
        found = given.reshape(1, -1, layer.in_features)
    else:
        assert isinstance(layer, nn.Conv1d | nn.Conv2d)
        flat = isinstance(layer, nn.Conv1d)
        image = given.unsqueeze(2) if flat else given
        line = (lambda pair: (1, *pair)) if flat else (lambda pair: pair)
        pads = (0, 0) if isinstance(layer.padding, str) else layer.padding
        padding = (0, *pads) if flat and not isinstance(layer.padding, str) else pads
        patches = unfold(image, line(layer.kernel_size), line(layer.dilation), padding, line(layer.stride))
        grouped = patches.reshape(len(image), layer.groups, -1, patches.shape[-1])  # (rows, groups, inputs, positions)
        found = grouped.permute(1, 0, 3, 2).flatten(1, 2)
    step = -(-found.shape[1] // MOST_POSITIONS)
    return found[:, ::step]


def _compensated(weight: Tensor, vectors: Tensor) -> Tensor:
    """`weight` [outputs, ...] in 16 bits; `vectors` [groups, positions, inputs]."""
    groups = weight.double().flatten(1).chunk(len(vectors))
    rounded = [_compensated_group(part.clone(), inputs.double()) for part, inputs in zip(groups, vectors, strict=True)]
    return torch.cat(rounded).reshape(weight.shape).float()


def _compensated_group(weight: Tensor, inputs: Tensor) -> Tensor:
    """Columns are rounded in order; each one's error moves on to those after it."""
    square = inputs.T @ inputs
    damping = DAMPING * float(square.diagonal().mean()) + torch.finfo(torch.float64).tiny
    inverse = torch.linalg.inv(square + damping * torch.eye(len(square), dtype=torch.float64))
    upper = torch.linalg.cholesky(inverse, upper=True)
    for column in range(weight.shape[1]):
        exact = weight[:, column].clone()
        weight[:, column] = exact.half().double()
        error = (exact - weight[:, column]) / upper[column, column]
        weight[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return weight
