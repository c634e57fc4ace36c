"""Gathering, scattering, sorting, and what depends on positions."""

import torch
import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.operators import Ints, operator

REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator()
def gather(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    """x[..., indices, ...] on `axis`; the first `batch_dims` axes of both go together."""
    axis %= x.dim()
    wanted = _inside(indices.long(), x.shape[axis])
    if batch_dims == 0:
        shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
        return x.index_select(axis, wanted.reshape(-1)).reshape(shape)
    rows = zip(x.flatten(0, batch_dims - 1), wanted.flatten(0, batch_dims - 1), strict=True)
    parts = torch.stack([gather(row, index, axis - batch_dims) for row, index in rows])
    return parts.reshape(*x.shape[:batch_dims], *parts.shape[1:])


def _inside(indices: Tensor, size: int) -> Tensor:
    """Negative indices count from the end. Raises IndexError outside; of many calls at once the operator that gets them
    does, for values cannot be asked there."""
    wrapped = torch.where(indices < 0, indices + size, indices)
    wrapped = torch.where(wrapped < 0, size, wrapped)
    try:
        outside = bool(wrapped.numel()) and int(wrapped.max()) >= size
    except RuntimeError:  # torch.vmap has no single value
        outside = False
    if outside:
        raise IndexError(f"an index is outside -{size} ... {size - 1}")
    return wrapped


@operator()
def gather_along_axis(x: Tensor, indices: Tensor, axis: int = 0, validate_indices: bool = False) -> Tensor:
    return x.gather(axis, _inside(indices.long(), x.shape[axis]))


@operator()
def gather_nd(x: Tensor, indices: Tensor, batch_dims: int = 0, validate_indices: bool = False) -> Tensor:
    """The last axis of `indices` is a position in `x`."""
    if batch_dims:
        rows = zip(x.flatten(0, batch_dims - 1), indices.flatten(0, batch_dims - 1), strict=True)
        parts = torch.stack([gather_nd(row, index) for row, index in rows])
        return parts.reshape(*x.shape[:batch_dims], *parts.shape[1:])
    return x[_positions(indices)]


def _positions(indices: Tensor) -> tuple[Tensor, ...]:
    return indices.long().unbind(-1)


@operator()
def scatter(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    """`updates` go to whole slices of `data` on `axis`."""
    axis %= data.dim()
    flat = updates.reshape(*data.shape[:axis], -1, *data.shape[axis + 1 :])
    shape = [-1 if place == axis else 1 for place in range(data.dim())]
    return scatter_along_axis(data, indices.reshape(shape).expand_as(flat), flat, axis, mode)


@operator()
def scatter_along_axis(
    data: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    wanted = _inside(indices.long(), data.shape[axis])
    if mode == "update":
        return data.scatter(axis, wanted, updates)
    if mode in ("sub", "div"):
        updates = -updates if mode == "sub" else 1 / updates
        mode = "add" if mode == "sub" else "mul"
    return data.scatter_reduce(axis, wanted, updates, REDUCE[mode])


@operator()
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: bool = False
) -> Tensor:
    y, places = data.clone(), _positions(indices)
    if mode in ("update", "add", "sub"):
        return y.index_put_(places, -updates if mode == "sub" else updates, accumulate=mode != "update")
    combine = {"mul": torch.mul, "div": torch.true_divide, "max": torch.maximum, "min": torch.minimum}[mode]
    rows = updates.reshape(-1, *updates.shape[indices.dim() - 1 :])
    for place, update in zip(indices.long().reshape(-1, indices.shape[-1]), rows, strict=True):
        where = tuple(place)  # one after the other: a place may come twice
        y[where] = combine(y[where], update)
    return y


@operator()
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> tuple[Tensor, ...]:
    size = x.shape[axis] if k == -1 else k
    order = torch.argsort(x, dim=axis, descending=not ascending, stable=True).narrow(axis, 0, size)
    values = x.gather(axis, order)
    return (values, order) if return_indices else (values,)


@operator()
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    return torch.argsort(x, dim=axis, descending=not ascending, stable=True)


@operator()
def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    y = x.flip(axis) if reverse else x
    total = y.cumsum(axis, dtype=y.dtype)
    total = total - y if exclusive else total
    return total.flip(axis) if reverse else total


@operator()
def band_part(x: Tensor, lower: int = -1, upper: int = -1) -> Tensor:
    """What is further than `lower` below or `upper` above the diagonal becomes 0; -1 keeps all."""
    rows, columns = x.shape[-2:]
    below = torch.arange(rows).reshape(-1, 1) - torch.arange(columns)
    keep = torch.ones(rows, columns, dtype=torch.bool)
    keep &= (below <= lower) | (lower < 0)
    keep &= (-below <= upper) | (upper < 0)
    return torch.where(keep, x, torch.zeros((), dtype=x.dtype))


@operator()
def one_hot(
    indices: Tensor,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Tensor | None = None,
    off_value: Tensor | None = None,
) -> Tensor:
    """Rows of nothing but `off_value` where the index is negative."""
    on = torch.tensor(1, dtype=torch.int32) if on_value is None else on_value
    off = torch.tensor(0, dtype=torch.int32) if off_value is None else off_value
    hot = nn.one_hot(indices.long().clamp(min=0), one_hot_vector_size).bool() & (indices >= 0).unsqueeze(-1)
    return torch.where(hot.movedim(-1, axis), on, off)


@operator()
def non_zero(x: Tensor) -> Tensor:
    return x.nonzero()


@operator()
def make_list(
    elem_shape: list[Tensor] | Tensor,
    init_length: int = 1,
    dynamic_length: bool = True,
    dtype: str = "fp32",
) -> list[Tensor | None]:
    return [None] * init_length


@operator()
def list_length(ls: list[Tensor]) -> Tensor:
    return torch.tensor(len(ls), dtype=torch.int32)


@operator()
def list_write(ls: list[Tensor | None], index: int, value: Tensor) -> list[Tensor | None]:
    longer = [*ls, *([None] * (index + 1 - len(ls)))]
    longer[index] = value
    return longer


@operator()
def list_read(ls: list[Tensor], index: int) -> Tensor:
    return ls[index]


@operator()
def list_gather(ls: list[Tensor], indices: Ints) -> Tensor:
    return torch.stack([ls[index] for index in indices])


@operator()
def list_scatter(ls: list[Tensor | None], indices: Ints, value: Tensor) -> list[Tensor | None]:
    longer = [*ls, *([None] * (max(indices, default=-1) + 1 - len(ls)))]
    for index, item in zip(indices, value, strict=True):
        longer[index] = item
    return longer
