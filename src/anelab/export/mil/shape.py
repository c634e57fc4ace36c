"""Operators that move elements without computing with them."""

import torch
import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.linear import padded
from anelab.export.mil.operators import Ints, operator


@operator()
def reshape(x: Tensor, shape: Ints) -> Tensor:
    """0 keeps the size of the axis at its place, -1 takes what is left."""
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


@operator()
def reshape_like(x: Tensor, ref_tensors: list[Tensor], begins: Ints, ends: Ints, end_masks: Ints) -> Tensor:
    sizes: list[int] = []
    for like, begin, end, open_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += like.shape[begin : None if open_end else end]
    return x.reshape(sizes)


@operator()
def transpose(x: Tensor, perm: Ints) -> Tensor:
    return x.permute(perm)


@operator()
def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator()
def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze([axis % x.dim() for axis in axes])


@operator()
def concat(values: list[Tensor], axis: int, interleave: bool = False) -> Tensor:
    if values[0].dim() == 0:
        return torch.stack(values)
    if not interleave:
        return torch.cat(values, axis)
    return torch.stack(values, axis % values[0].dim() + 1).flatten(axis % values[0].dim(), axis % values[0].dim() + 1)


@operator()
def stack(values: list[Tensor], axis: int) -> Tensor:
    return torch.stack(values, axis)


@operator()
def split(x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None) -> tuple[Tensor, ...]:
    if split_sizes is not None:
        return torch.split(x, list(split_sizes), axis)
    assert num_splits is not None
    return torch.split(x, x.shape[axis] // num_splits, axis)


@operator()
def slice_by_size(x: Tensor, begin: Ints, size: Ints) -> Tensor:
    """A size of -1 reaches to the end."""
    for axis, (start, length) in enumerate(zip(begin, size, strict=True)):
        start %= x.shape[axis] or 1
        x = x.narrow(axis, start, x.shape[axis] - start if length == -1 else length)
    return x


def _pieces(
    begin: Ints, end: Ints, stride: Ints, begin_mask: Ints, end_mask: Ints, squeeze_mask: Ints
) -> tuple[slice | int, ...]:
    """What a slice takes of every axis: NumPy's slices, or the one position of an axis that it drops."""
    return tuple(
        begin[axis]
        if squeeze_mask and squeeze_mask[axis]
        else slice(
            None if begin_mask and begin_mask[axis] else begin[axis],
            None if end_mask and end_mask[axis] else end[axis],
            stride[axis] if stride else 1,
        )
        for axis in range(len(begin))
    )


@operator()
def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = (),
    begin_mask: Ints = (),
    end_mask: Ints = (),
    squeeze_mask: Ints = (),
) -> Tensor:
    """A masked begin or end is open. torch takes no negative steps, so those pick their positions."""
    pieces = _pieces(begin, end, stride, begin_mask, end_mask, squeeze_mask)
    if not stride or min(stride) > 0:
        return x[pieces]
    for axis in reversed(range(x.dim())):
        piece = pieces[axis]
        if isinstance(piece, int):
            x = x.select(axis, piece)
        else:
            x = x.index_select(axis, torch.tensor(range(x.shape[axis])[piece], dtype=torch.long))
    return x


@operator()
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints = (),
    begin_mask: Ints = (),
    end_mask: Ints = (),
    squeeze_mask: Ints = (),
) -> Tensor:
    y = x.clone()
    y[_pieces(begin, end, stride, begin_mask, end_mask, squeeze_mask)] = update
    return y


@operator()
def pad(x: Tensor, pad: Ints, mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """(before, after) of the last axes."""
    if mode == "constant":
        return padded(x, pad, constant_val)
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), x.dim() - len(pad) // 2):
        x = _extended(x, axis, before, after, mode)
    return x


def _extended(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """`x` with its border reflected (without the border itself) or replicated on one axis."""
    size = x.shape[axis]
    positions = torch.arange(-before, size + after)
    if mode == "reflect":
        positions = positions.abs()
        positions = torch.where(positions >= size, 2 * (size - 1) - positions, positions)
    return x.index_select(axis, positions.clamp(0, size - 1))


@operator()
def crop(x: Tensor, crop_height: Ints, crop_width: Ints) -> Tensor:
    """(from the start, from the end) of the last two axes."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@operator()
def tile(x: Tensor, reps: Ints) -> Tensor:
    return x.repeat(reps)


@operator()
def reverse(x: Tensor, axes: Ints | None = None) -> Tensor:
    return x.flip(tuple(range(x.dim())) if axes is None else axes)


@operator()
def flatten2d(x: Tensor, axis: int = 1) -> Tensor:
    lead = x.shape[:axis].numel()
    return x.reshape(lead, -1)


@operator()
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """Blocks before channels, unlike pixel_shuffle."""
    batch, depth, height, width = x.shape
    channels = depth // block_size**2
    y = x.reshape(batch, block_size, block_size, channels, height, width).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(batch, channels, height * block_size, width * block_size)


@operator()
def space_to_depth(x: Tensor, block_size: int) -> Tensor:
    batch, channels, height, width = x.shape
    y = x.reshape(batch, channels, height // block_size, block_size, width // block_size, block_size)
    return y.permute(0, 3, 5, 1, 2, 4).reshape(batch, -1, height // block_size, width // block_size)


@operator()
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    return nn.pixel_shuffle(x, upscale_factor)


@operator()
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    return nn.pixel_unshuffle(x, downscale_factor)


@operator()
def sliding_windows(x: Tensor, axis: int, size: int, stride: int = 1) -> Tensor:
    """Windows on `axis`, their elements on the axis after it."""
    return x.unfold(axis, size, stride).movedim(-1, axis % x.dim() + 1)


@operator()
def shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


@operator()
def fill(shape: Ints, value: Tensor | None = None) -> Tensor:
    return torch.zeros(shape) if value is None else value.reshape(()).expand(shape).clone()


@operator()
def fill_like(ref_tensor: Tensor, value: Tensor | None = None) -> Tensor:
    return fill(tuple(ref_tensor.shape), value)


@operator()
def range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    return torch.arange(start.item(), end.item(), step.item(), dtype=end.dtype)


@operator()
def resize(
    x: Tensor,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Tensor:
    """The last `resized_dims` axes, one at a time. A size of 0 stays."""
    for back in range(1, resized_dims + 1):
        if shape[-back]:
            x = _resized(x, x.dim() - back, shape[-back], interpolation_mode, sampling_mode)
    return x


@operator()
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0) -> Tensor:
    sizes = (int(x.shape[-2] * scale_factor_height), int(x.shape[-1] * scale_factor_width))
    return resize(x, sizes, 2, "NEAREST_NEIGHBOR")


@operator()
def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    return resize(x, (target_size_height, target_size_width), 2, "NEAREST_NEIGHBOR")


@operator()
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    sizes = (int(x.shape[-2] * scale_factor_height), int(x.shape[-1] * scale_factor_width))
    if align_corners:
        return resize(x, sizes, 2, "LINEAR", "STRICT_ALIGN_CORNERS")
    return resize(x, sizes, 2, "LINEAR", "FROM_CORNER" if half_pixel_centers is False else "UNALIGN_CORNERS")


@operator()
def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    return resize(x, (target_size_height, target_size_width), 2, "LINEAR", sampling_mode)


def _resized(x: Tensor, axis: int, size: int, interpolation: str, sampling: str) -> Tensor:
    old = x.shape[axis]
    grid = torch.arange(size, dtype=torch.float32)
    if interpolation == "NEAREST_NEIGHBOR":
        return x.index_select(axis, (grid * (old / size)).floor().long().clamp(0, old - 1))
    if sampling == "ALIGN_CORNERS" and size == 1:
        grid = grid + (old - 1) / 2
    elif sampling in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        grid = grid * ((old - 1) / max(size - 1, 1))
    elif sampling == "OFFSET_CORNERS":
        grid = (grid + 0.5) * (max(1, old - 1) / size)
    elif sampling == "FROM_CORNER":
        grid = grid * (old / size)
    elif sampling == "UNALIGN_CORNERS":
        grid = grid * (old / size) + 0.5 * (old / size) - 0.5
    else:
        grid = grid * ((old - old / size) / max(size - 1, 1))
    grid = grid.clamp(0, old - 1)
    low = grid.floor().long()
    share = (grid - low).reshape([-1 if a == axis else 1 for a in range(x.dim())])
    return x.index_select(axis, low) * (1 - share) + x.index_select(axis, (low + 1).clamp(max=old - 1)) * share
