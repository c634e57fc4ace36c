"""Products: linear, matmul, einsum, convolutions and attention. What accumulates does so in float32."""

import math

import torch
import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.operators import Ints, operator

CONVOLUTIONS = {1: nn.conv1d, 2: nn.conv2d, 3: nn.conv3d}
TRANSPOSED = {1: nn.conv_transpose1d, 2: nn.conv_transpose2d, 3: nn.conv_transpose3d}


@operator()
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return nn.linear(x, weight, bias)


@operator()
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    left = x.transpose(-1, -2) if transpose_x and x.dim() > 1 else x
    right = y.transpose(-1, -2) if transpose_y and y.dim() > 1 else y
    if left.is_floating_point() or right.is_floating_point():
        return torch.matmul(left.float(), right.float())
    return torch.matmul(left.long(), right.long())


@operator()
def einsum(values: list[Tensor], equation: str) -> Tensor:
    return torch.einsum(equation, *values)


def padding(pad_type: str, pad: Ints, sizes: Ints, kernel: Ints, strides: Ints, dilations: Ints) -> Ints:
    """(before, after) of each spatial axis, flat. "same" puts the odd one after, "same_lower" before."""
    if pad_type == "custom":
        return pad or (0,) * (2 * len(sizes))
    if pad_type == "valid":
        return (0,) * (2 * len(sizes))
    flat: list[int] = []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + (width - 1) * dilation + 1 - size)
        smaller, larger = total // 2, total - total // 2
        flat += [larger, smaller] if pad_type == "same_lower" else [smaller, larger]
    return tuple(flat)


def padded(x: Tensor, pads: Ints, value: float = 0.0) -> Tensor:
    """`x` with (before, after) added to its last axes; torch wants the last axis first."""
    if not any(pads):
        return x
    pairs = [pads[start : start + 2] for start in range(0, len(pads), 2)]
    return nn.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=value)


@operator()
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints = (),
    pad_type: str = "valid",
    pad: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Tensor:
    """x (batch, channels, *spatial), weight (out, in / groups, *kernel)"""
    rank = weight.dim() - 2
    steps, gaps = strides or (1,) * rank, dilations or (1,) * rank
    kernel, sizes = tuple(weight.shape[2:]), tuple(x.shape[2:])
    pads = padding(pad_type, pad, sizes, kernel, steps, gaps)
    if pads[::2] == pads[1::2]:
        return CONVOLUTIONS[rank](x, weight, bias, steps, pads[::2], gaps, groups)
    return CONVOLUTIONS[rank](padded(x, pads), weight, bias, steps, 0, gaps, groups)


@operator()
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints = (),
    output_shape: Ints = (),
    pad_type: str = "valid",
    strides: Ints = (),
    dilations: Ints = (),
    groups: int = 1,
) -> Tensor:
    """weight (in, out / groups, *kernel). `output_shape` decides what the cropping leaves open."""
    rank = weight.dim() - 2
    steps, gaps = strides or (1,) * rank, dilations or (1,) * rank
    whole = TRANSPOSED[rank](x, weight, bias, steps, 0, 0, groups, gaps)
    spans = [(width - 1) * gap + 1 for width, gap in zip(weight.shape[2:], gaps, strict=True)]
    full = tuple((size - 1) * step + span for size, step, span in zip(x.shape[2:], steps, spans, strict=True))
    if pad_type.startswith("same"):
        wanted = tuple(size * step for size, step in zip(x.shape[2:], steps, strict=True))
        before = [max(0, (have - want) // 2) for have, want in zip(full, wanted, strict=True)]
    else:
        pads = pad if pad_type == "custom" and pad else (0,) * (2 * rank)
        before = list(pads[::2])
        wanted = tuple(have - a - b for have, a, b in zip(full, pads[::2], pads[1::2], strict=True))
    wanted = output_shape[2:] or wanted
    for axis, (start, size) in enumerate(zip(before, wanted, strict=True), 2):
        missing = start + size - whole.shape[axis]
        if missing > 0:  # an output larger than the kernel reaches: only the bias is there
            tail = [amount for last in range(whole.dim() - 1, 1, -1) for amount in (0, missing * (last == axis))]
            reach = nn.pad(whole, tail)
            if bias is not None:
                reach.narrow(axis, whole.shape[axis], missing).copy_(_channels(bias, reach))
            whole = reach
        whole = whole.narrow(axis, start, size)
    return whole


def _channels(bias: Tensor, like: Tensor) -> Tensor:
    return bias.reshape(1, -1, *(1 for _ in like.shape[2:]))


@operator()
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    return nn.scaled_dot_product_attention(query, key, value, attn_mask)
