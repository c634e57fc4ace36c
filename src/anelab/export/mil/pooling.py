"""Pooling over the axes after batch and channel."""

import math

import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.linear import padded, padding
from anelab.export.mil.operators import Ints, operator

MAXIMA = {1: nn.max_pool1d, 2: nn.max_pool2d, 3: nn.max_pool3d}
MEANS = {1: nn.avg_pool1d, 2: nn.avg_pool2d, 3: nn.avg_pool3d}


def _pads(x: Tensor, kernel: Ints, strides: Ints, pad_type: str, pad: Ints, ceil_mode: bool) -> Ints:
    """(before, after) an axis. Rounding up adds after, unless the last window would start in it."""
    pads = list(padding(pad_type, pad, tuple(x.shape[2:]), kernel, strides, (1,) * len(kernel)))
    for axis, (width, stride) in enumerate(zip(kernel, strides, strict=True)):
        room = x.shape[2 + axis] + pads[2 * axis] + pads[2 * axis + 1]
        windows = math.ceil((room - width) / stride) + 1
        reaches = (windows - 1) * stride < x.shape[2 + axis] + pads[2 * axis]
        if ceil_mode and reaches:
            pads[2 * axis + 1] += max(0, (windows - 1) * stride + width - room)
    return tuple(pads)


@operator()
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    ceil_mode: bool = False,
) -> Tensor:
    steps = strides or (1,) * len(kernel_sizes)
    pads = _pads(x, kernel_sizes, steps, pad_type, pad, ceil_mode)
    return MAXIMA[len(kernel_sizes)](padded(x, pads, -math.inf), kernel_sizes, steps)


@operator()
def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """A window is divided by its whole size, padding and what `ceil_mode` adds included, or by what of it lies
    inside `x` if padding is excluded.

    coremltools documents `ceil_mode` as torch's, which never counts what hangs over the edge. Core ML was measured
    to count it like padding: coremltools#2772 (CPU_ONLY, target iOS 16) and pull request 2844, in one and two
    dimensions. This follows the measurement.
    """
    steps = strides or (1,) * len(kernel_sizes)
    pads = _pads(x, kernel_sizes, steps, pad_type, pad, ceil_mode)
    means = MEANS[len(kernel_sizes)](padded(x, pads), kernel_sizes, steps)
    if not exclude_padding_from_average:
        return means
    inside = padded(x[:1, :1].new_ones(1, 1, *x.shape[2:]), pads)
    return means / MEANS[len(kernel_sizes)](inside, kernel_sizes, steps)


@operator()
def l2_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    ceil_mode: bool = False,
) -> Tensor:
    steps = strides or (1,) * len(kernel_sizes)
    return _sums(x.square(), kernel_sizes, steps, _pads(x, kernel_sizes, steps, pad_type, pad, ceil_mode)).sqrt()


def _sums(x: Tensor, kernel: Ints, strides: Ints, pads: Ints) -> Tensor:
    return MEANS[len(kernel)](padded(x, pads), kernel, strides) * math.prod(kernel)
