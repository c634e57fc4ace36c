"""Compressed weights (constexpr operators) and quantised values."""

import numpy as np
import torch
from torch import Tensor

from anelab.export.mil.operators import Ints, operator


def _unpacked(packed: Tensor, bits: int, count: int) -> Tensor:
    """`count` unsigned numbers of so many bits, packed from the lowest bit of the first byte."""
    flat = np.unpackbits(packed.numpy().astype(np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    return torch.from_numpy(flat.astype(np.int64) @ (1 << np.arange(bits)))


def _stretched(values: Tensor, shape: torch.Size) -> Tensor:
    """One value a block, repeated over its block on every axis."""
    for axis, size in enumerate(shape):
        values = values.repeat_interleave(size // values.shape[axis], axis)
    return values


def _on_axis(values: Tensor, like: Tensor, axis: int | None) -> Tensor:
    if values.dim() == 0 or axis is None:
        return values.float()
    shape = [1] * like.dim()
    shape[axis] = -1
    return values.float().reshape(shape)


@operator()
def constexpr_affine_dequantize(quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: int) -> Tensor:
    zero = _on_axis(zero_point, quantized_data, axis)
    return (quantized_data.float() - zero) * _on_axis(scale, quantized_data, axis)


@operator()
def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """scale (data - offset), one scale and offset a block"""
    values = data.float()
    if offset is not None:
        values = values - _stretched(offset.float(), data.shape)
    return values * _stretched(scale, data.shape)


@operator()
def constexpr_cast(source_val: Tensor, output_dtype: str) -> Tensor:
    return source_val.float()


@operator()
def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Ints | None = None, vector_axis: int | None = None
) -> Tensor:
    """iOS 16: packed bits, one table, `shape` given. iOS 18: a table a block, of scalars or vectors."""
    if shape is not None:
        bits = int(lut.numel()).bit_length() - 1
        return lut[_unpacked(indices, bits, int(np.prod(shape)))].reshape(shape)
    tables = _stretched(lut.flatten(-2).movedim(-1, 0), torch.Size((lut.shape[-2] * lut.shape[-1], *indices.shape)))
    tables = tables.reshape(lut.shape[-2], lut.shape[-1], *indices.shape)  # (palettes, vector, *indices)
    chosen = indices.long()[None, None].expand(1, lut.shape[-1], *indices.shape)
    vectors = tables.gather(0, chosen)[0]
    if vector_axis is None or lut.shape[-1] == 1:
        return vectors[0]
    axis = vector_axis % indices.dim()
    return vectors.movedim(0, axis + 1).flatten(axis, axis + 1)


@operator()
def constexpr_sparse_to_dense(nonzero_data: Tensor, mask: Tensor, shape: Ints | None = None) -> Tensor:
    """iOS 16: a mask of packed bits, `shape` given. iOS 18: a mask of the weight's shape."""
    places = mask.bool() if shape is None else _unpacked(mask, 1, int(np.prod(shape))).bool().reshape(shape)
    dense = nonzero_data.new_zeros(places.shape)
    dense[places] = nonzero_data
    return dense


@operator()
def constexpr_lut_to_sparse(
    indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: int | None = None
) -> tuple[Tensor, Tensor]:
    """The mask and the weights where it is set, looked up in their tables."""
    dense = constexpr_lut_to_dense(
        constexpr_sparse_to_dense(indices_nonzero_data, indices_mask), lut, vector_axis=vector_axis
    )
    mask = indices_mask.bool()
    if vector_axis is not None and lut.shape[-1] > 1:
        mask = mask.repeat_interleave(lut.shape[-1], vector_axis)
    return mask, dense[mask]


@operator()
def constexpr_sparse_blockwise_shift_scale(
    data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    mask = data_mask.bool()
    dense = constexpr_blockwise_shift_scale(constexpr_sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return mask, dense[mask]


LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}


@operator()
def quantize(
    input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """round(input / scale) + zero point, kept within the type"""
    low, high = LIMITS[output_dtype]
    steps = torch.round(input / _on_axis(scale, input, axis))
    zero = 0 if zero_point is None else _on_axis(zero_point, input, axis)
    return torch.clamp(steps + zero, low, high).to(torch.int32)


@operator()
def dequantize(input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: int | None = None) -> Tensor:
    zero = 0 if zero_point is None else _on_axis(zero_point, input, axis)
    return (input.float() - zero) * _on_axis(scale, input, axis)
