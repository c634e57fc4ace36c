"""Sums of products as operators of torch: how they are computed depends on the values, so torch is told how to put
many calls into one. By `torch.library.Library`, for its decorators import compilers, which takes a second."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anelab.export.mil.engine.half import decoded, to_half
from anelab.export.mil.engine.sums import sums

PATCHES_AT_ONCE = 1 << 22
"""Numbers of a convolution's patches that are held at once."""
OPERATIONS = ("add", "sub", "mul")
LIBRARY = torch.library.Library("anelab_engine", "DEF")  # type: ignore[no-untyped-call]


def _enter(schema: str, run: Callable[..., Tensor], many: Callable[..., tuple[Tensor, int]]) -> Any:
    """The operator of torch; `many` makes many calls at once of it, as torch.library.register_vmap wants it."""
    name = LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, run, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_vmap(f"anelab_engine::{name}", many, lib=LIBRARY)
    return getattr(torch.ops.anelab_engine, name)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [..., terms], weight [outputs, terms], bias [outputs]"""
    found = sums(weight, x.reshape(-1, x.shape[-1]).T, bias) if x.numel() else x.new_zeros(len(weight), 0)
    return found.T.reshape(*x.shape[:-1], len(weight)).contiguous()


def _linear_calls(
    info: Any, axes: Sequence[int | None], x: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, int]:
    _check_constants(axes[1:])
    return linear(_in_front(x, axes[0]), weight, bias), 0


linear = _enter("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor", _linear, _linear_calls)


def _conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, strides: Sequence[int], dilations: Sequence[int], groups: int
) -> Tensor:
    """x [batch, channels, *spatial], padded; weight [outputs, channels / groups, *kernel], bias [outputs]. Terms by
    channel, then by place."""
    sizes = [
        (size - (width - 1) * gap - 1) // step + 1
        for size, width, step, gap in zip(x.shape[2:], weight.shape[2:], strides, dilations, strict=True)
    ]
    rows = max(1, PATCHES_AT_ONCE // max(1, weight[0].numel() * groups * math.prod(sizes)))
    parts = [_convolved(part, weight, bias, strides, dilations, groups, sizes) for part in torch.split(x, rows)]
    return torch.cat(parts) if parts else x.new_zeros(0, len(weight), *sizes)


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    sizes: Sequence[int],
) -> Tensor:
    patches = x.half().transpose(0, 1)  # (channels, places of the kernel, batch, *spatial)
    for axis, (width, step, gap, count) in enumerate(zip(weight.shape[2:], strides, dilations, sizes, strict=True)):
        at = 2 + 2 * axis
        span = (count - 1) * step + 1
        windows = [patches.narrow(at, place * gap, span) for place in range(width)]
        every = (slice(None),) * at + (slice(None, None, step),)
        patches = torch.stack([window[every] for window in windows], dim=1 + axis)
    terms = patches.reshape(groups, -1, len(x) * math.prod(sizes))
    filters = weight.reshape(groups, len(weight) // groups, -1)
    starts = [None] * groups if bias is None else list(bias.reshape(groups, -1))
    found = torch.cat([sums(*group) for group in zip(filters, terms, starts, strict=True)])
    return found.reshape(len(weight), len(x), *sizes).transpose(0, 1).contiguous()


def _conv_calls(
    info: Any, axes: Sequence[int | None], x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, int]:
    _check_constants(axes[1:3])
    x = _in_front(x, axes[0])
    found = conv(x.flatten(0, 1), weight, bias, *rest)
    return found.reshape(*x.shape[:2], *found.shape[1:]), 0


conv = _enter(
    "conv(Tensor x, Tensor weight, Tensor? bias, int[] strides, int[] dilations, int groups) -> Tensor",
    _conv,
    _conv_calls,
)


def _matmul(x: Tensor, y: Tensor) -> Tensor:
    """x [..., rows, terms], y [..., terms, columns]; axes in front are broadcast."""
    if y.dim() == 2:
        return _linear(x, y.T, None)
    axes = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    left, right = x.expand(*axes, *x.shape[-2:]), y.expand(*axes, *y.shape[-2:])
    pairs = zip(left.flatten(0, -3), right.flatten(0, -3), strict=True)
    parts = [sums(other.T, one.T, None).T for one, other in pairs]
    return torch.stack(parts).reshape(*axes, x.shape[-2], y.shape[-1])


def _matmul_calls(info: Any, axes: Sequence[int | None], x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    return matmul(*_aligned(x, y, axes)), 0


matmul = _enter("matmul(Tensor x, Tensor y) -> Tensor", _matmul, _matmul_calls)


def _elementwise(kind: str, x: Tensor, y: Tensor) -> Tensor:
    """One of `OPERATIONS`, rounded as the engine rounds."""
    if kind not in OPERATIONS:
        raise ValueError(f"{kind} is none of {', '.join(OPERATIONS)}")
    operation = getattr(torch, kind)
    found = operation(x.float(), y.float())  # inexact only where no tie is near: one of them is much the smaller
    if not found.sum().isfinite():  # what is not finite is a number to the engine
        found = operation(decoded(x), decoded(y))
    return to_half(found)


def _elementwise_calls(info: Any, axes: Sequence[int | None], kind: str, x: Tensor, y: Tensor) -> tuple[Tensor, int]:
    return elementwise(kind, *_aligned(x, y, axes[1:])), 0


elementwise = _enter("elementwise(str kind, Tensor x, Tensor y) -> Tensor", _elementwise, _elementwise_calls)


def _in_front(x: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        raise RuntimeError("the weights differ between the calls and the input does not")
    return x.movedim(axis, 0)


def _check_constants(axes: Sequence[int | None]) -> None:
    """Raises RuntimeError if weights differ between the calls, which then are made one by one."""
    if any(axis is not None for axis in axes):
        raise RuntimeError("weights differ between the calls")


def _aligned(x: Tensor, y: Tensor, axes: Sequence[int | None]) -> tuple[Tensor, Tensor]:
    """With the calls in front, and as many axes behind as the other has."""
    ranks = [tensor.dim() - (axis is not None) for tensor, axis in zip((x, y), axes, strict=True)]
    x, y = (
        tensor if axis is None else _filled(tensor.movedim(axis, 0), max(ranks))
        for tensor, axis in zip((x, y), axes, strict=True)
    )
    return x, y


def _filled(x: Tensor, rank: int) -> Tensor:
    return x.reshape(len(x), *(1,) * (rank + 1 - x.dim()), *x.shape[1:])
