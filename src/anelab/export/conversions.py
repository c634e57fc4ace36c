"""Conversions of torch operators that coremltools 9 lacks, or writes in a form that Core ML computes otherwise."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anelab.learning.base import Array

Conversion = Callable[[Any, Any], None]


def _alias(context: Any, node: Any) -> None:
    """A view of the same values; exports of torch 2.13 contain it."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    (values,) = _get_inputs(context, node, expected=1)
    context.add(Builder.identity(x=values, name=node.name))


CONVERSIONS = {"alias": _alias}
AVERAGES = ("avg_pool1d", "avg_pool2d", "avg_pool3d")


def register_conversions() -> None:
    """Enter what is missing in coremltools' registry; what a newer coremltools has stays its own. Average pooling
    is taken over whatever the version, for it only replaces a form that Core ML computes otherwise."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as REGISTRY

    for name, convert in CONVERSIONS.items():
        if name not in REGISTRY:
            REGISTRY.set_func_by_name(convert, name)
    for name in AVERAGES:
        original = REGISTRY.get_func(name)
        if not isinstance(original, AveragePooling):
            REGISTRY.set_func_by_name(AveragePooling(original), name)


@dataclass(frozen=True)
class Windows:
    """Windows along one axis of `length`: `width` each, one every `stride`, `padding` zeros on either side."""

    length: int
    width: int
    stride: int
    padding: int

    @property
    def count(self) -> int:
        """With ceil_mode, as torch counts: the last window begins before the right padding."""
        count = math.ceil((self.length + 2 * self.padding - self.width) / self.stride) + 1
        begins_inside = (count - 1) * self.stride < self.length + self.padding
        return count if begins_inside else count - 1

    @property
    def overhang(self) -> int:
        """Elements of the last window beyond the right padding."""
        end = (self.count - 1) * self.stride + self.width
        return max(0, end - self.length - 2 * self.padding)

    def divisors(self, with_padding: bool) -> Array:
        """By window: elements inside the input, or inside it and its padding."""
        begin = np.arange(self.count) * self.stride - self.padding
        low, high = (-self.padding, self.length + self.padding) if with_padding else (0, self.length)
        inside: Array = np.minimum(begin + self.width, high) - np.maximum(begin, low)
        return inside


@dataclass(frozen=True)
class AveragePooling:
    """Average pooling with ceil_mode whose last windows hang over the edge, as padding, an average of whole windows
    and a factor for each window: Core ML divides what hangs over by the whole kernel, torch does not
    (coremltools#2772, pull request 2844). Everything else is left to coremltools' `original`."""

    original: Conversion

    def __call__(self, context: Any, node: Any) -> None:
        from coremltools.converters.mil.frontend.torch.ops import _get_inputs

        given = _get_inputs(context, node)
        axes = _windows(given)
        if not axes:
            self.original(context, node)
            return
        with_padding = len(given) < 6 or bool(given[5].val)
        pooled = _whole_windows if any(axis.overhang for axis in axes) else _plain
        context.add(pooled(given[0], axes, with_padding, node.name))


def _windows(given: Sequence[Any]) -> list[Windows]:
    """Of every axis that is pooled. None of a pooling without ceil_mode, of unknown sizes, or with a divisor of its
    own, which coremltools refuses."""
    x, kernel = given[0], [int(width) for width in given[1].val]
    sizes = x.shape[-len(kernel) :]
    own_divisor = len(given) > 6 and given[6] is not None
    if (
        len(given) < 5
        or not given[4].val
        or own_divisor
        or not all(isinstance(size, int | np.integer) for size in sizes)
    ):
        return []
    strides = [int(stride) for stride in given[2].val] or kernel
    padding = [int(size) for size in np.broadcast_to(given[3].val, len(kernel))]
    return [Windows(int(size), *rest) for size, *rest in zip(sizes, kernel, strides, padding, strict=True)]


def _plain(x: Any, axes: Sequence[Windows], with_padding: bool, name: str) -> Any:
    """Where nothing hangs over, ceil_mode changes nothing."""
    from coremltools.converters.mil import Builder

    return Builder.avg_pool(
        x=x,
        kernel_sizes=[axis.width for axis in axes],
        strides=[axis.stride for axis in axes],
        pad_type="custom",
        pad=[amount for axis in axes for amount in (axis.padding, axis.padding)],
        exclude_padding_from_average=not with_padding,
        name=name,
    )


def _whole_windows(x: Any, axes: Sequence[Windows], with_padding: bool, name: str) -> Any:
    """Without ceil_mode and without padding of the operator's own."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    around = [amount for axis in axes for amount in (axis.padding, axis.padding + axis.overhang)]
    padded = Builder.pad(x=x, pad=[0] * 2 * (x.rank - len(axes)) + around, mode="constant", constant_val=0.0)
    means = Builder.avg_pool(
        x=padded,
        kernel_sizes=[axis.width for axis in axes],
        strides=[axis.stride for axis in axes],
        pad_type="valid",
    )
    counts = np.ones((1,) * (x.rank - len(axes)))
    for axis in axes:
        counts = counts[..., None] * axis.divisors(with_padding)
    factors = math.prod(axis.width for axis in axes) / counts
    return Builder.mul(x=means, y=factors.astype(types.nptype_from_builtin(x.dtype)), name=name)
