"""Weights as 16-bit floats that together compute what the float32 ones did.

Rounded one by one, weights move every output by the sum of their errors. Here each column's error is made
good by the columns not yet rounded, as the layer's own inputs on training rows weigh them (Frantar et al.
2022, arXiv 2210.17323, for integers), and what is left of the mean goes into the bias (Nagel et al. 2019,
arXiv 1906.04721).
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
LARGEST = 65504.0
"""A 16-bit float's."""
DAMPING = 1e-6
"""Of the mean of the diagonal, so that inputs which never vary divide nothing by zero."""
MOST_POSITIONS = 20_000
"""Input vectors of a layer that are looked at: a convolution has one at each place of each row."""


@torch.no_grad()
def rounded_to_half(module: nn.Module, rows: Iterable[Tensor]) -> nn.Module:
    """A copy whose linear and convolutional layers have weights that 16 bits hold exactly, as far as they are
    called as layers. `module` is in evaluation mode, `rows` are its inputs in order. Layers are rounded first to
    last, each behind those before it."""
    inputs, copy = tuple(rows), deepcopy(module)
    wanted = _mean_outputs(module, inputs)
    for name, layer in copy.named_modules():
        if not isinstance(layer, LAYERS) or "weight" not in layer._parameters:  # a parametrised one makes its weight
            continue
        seen = _seen(copy, name, inputs)
        if not seen:  # not called as a layer: a fused attention reads its weights itself
            continue
        parts = [_vectors(layer, given) for given in seen if given.dim() == _dimensions(layer, given)]
        vectors = torch.cat(parts, dim=1) if parts else torch.zeros(1, 0, layer.weight[0].numel())
        layer.weight.copy_(_compensated(layer.weight, vectors))
        if layer.bias is not None:
            found = _mean(layer, [layer(given) for given in seen])
            layer.bias.add_((wanted[name] - found).nan_to_num(0, 0, 0))
    return copy


def _dimensions(layer: nn.Module, given: Tensor) -> int:
    """Of a batch; a convolution takes a single example too, which says nothing here."""
    return given.dim() if isinstance(layer, nn.Linear) else 3 if isinstance(layer, nn.Conv1d) else 4


def _seen(module: nn.Module, name: str, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """The input of every call of the named layer."""
    calls: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> None:
        calls.append((*given, *named.values())[0])

    hook = module.get_submodule(name).register_forward_hook(keep, with_kwargs=True)
    try:
        module(*inputs)
    finally:
        hook.remove()
    return calls


def _mean_outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Of every layer that is called: the mean of its outputs, by its name."""
    sums: dict[str, list[tuple[Tensor, int]]] = {}
    hooks = []
    for name, layer in module.named_modules():
        if isinstance(layer, LAYERS):

            def add(layer: nn.Module, given: Any, output: Tensor, name: str = name) -> None:
                channels = _by_channel(layer, output)
                sums.setdefault(name, []).append((channels.double().sum(1), channels.shape[1]))

            hooks.append(layer.register_forward_hook(add))
    try:
        module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: torch.stack([part for part, _ in parts]).sum(0) / sum(count for _, count in parts)
        for name, parts in sums.items()
    }


def _mean(layer: nn.Module, outputs: list[Tensor]) -> Tensor:
    """One a channel."""
    return torch.cat([_by_channel(layer, output) for output in outputs], 1).double().mean(1)


def _by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """[channels, values]."""
    return output.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)


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
        image = pad(image, _padding(layer))
        patches = unfold(image, line(layer.kernel_size), line(layer.dilation), 0, line(layer.stride))
        grouped = patches.reshape(len(image), layer.groups, -1, patches.shape[-1])  # (rows, groups, inputs, positions)
        found = grouped.permute(1, 0, 3, 2).flatten(1, 2)
    sound = found[:, found.isfinite().all(-1).all(0)]
    return sound[:, :: max(1, -(-sound.shape[1] // MOST_POSITIONS))]


def _padding(layer: nn.Conv1d | nn.Conv2d) -> list[int]:
    """(before, after) of each axis, last axis first, as torch pads. Every kind of padding counts as zeros here."""
    if layer.padding == "valid":
        sizes = [(0, 0)] * len(layer.kernel_size)
    elif isinstance(layer.padding, str):
        spans = [(width - 1) * gap for width, gap in zip(layer.kernel_size, layer.dilation, strict=True)]
        sizes = [(span // 2, span - span // 2) for span in spans]
    else:
        sizes = [(amount, amount) for amount in layer.padding]
    return [amount for pair in reversed(sizes) for amount in pair]


def _compensated(weight: Tensor, vectors: Tensor) -> Tensor:
    """`weight` [outputs, ...] in 16 bits; `vectors` [groups, positions, inputs]."""
    groups = weight.double().flatten(1).chunk(len(vectors))
    rounded = [_compensated_group(part.clone(), inputs.double()) for part, inputs in zip(groups, vectors, strict=True)]
    return torch.cat(rounded).reshape(weight.shape).float()


def _compensated_group(weight: Tensor, inputs: Tensor) -> Tensor:
    """Columns are rounded in order; each one's error moves on to those after it."""
    square = inputs.T @ inputs
    damping = DAMPING * float(square.diagonal().mean()) or 1.0
    inverse = torch.linalg.inv(square + damping * torch.eye(len(square), dtype=torch.float64))
    upper = torch.linalg.cholesky(inverse, upper=True)
    for column in range(weight.shape[1]):
        exact = weight[:, column].clone()
        weight[:, column] = exact.clamp(-LARGEST, LARGEST).half().double()
        error = (exact - weight[:, column]) / upper[column, column]
        weight[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return weight
