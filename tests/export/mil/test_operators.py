"""Operators against coremltools' own value inference, on arrays and shapes that Hypothesis draws."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from anelab.export.mil.table import OPERATORS
from anelab.export.toolkit import toolkit
from tests.conftest import ROOT


def drawn(shape: tuple[int, ...], seed: int) -> Any:
    """Hypothesis chooses shape and seed; drawing every number would cost it most of its time."""
    return np.random.default_rng(seed).uniform(-8, 8, shape).astype(np.float32).round(2)


def floats(*shape: int) -> st.SearchStrategy[Any]:
    return st.builds(drawn, st.just(shape), st.integers(0, 99))


def inferred(kind: str, target: str = "iOS17", **inputs: Any) -> Any:
    """What coremltools computes of constant inputs while it builds a program; a list for several outputs."""
    with toolkit() as ct:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import Function

        with Function({"unused": Builder.placeholder((1,))}, opset_version=getattr(ct.target, target)):
            result = getattr(Builder, kind)(**inputs)
    outputs = result if isinstance(result, list | tuple) else [result]
    return [output.val for output in outputs]


def ours(kind: str, **inputs: Any) -> Any:
    operator = OPERATORS[kind]
    arguments = {name: operator.converters[name](value) for name, value in inputs.items()}
    result = operator.run(**arguments)
    return [value.numpy() for value in (result if isinstance(result, tuple) else (result,))]


def agree(kind: str, tolerance: float = 2e-5, **inputs: Any) -> None:
    theirs = inferred(kind, **inputs)
    assert all(value is not None for value in theirs), f"coremltools infers no {kind}"
    for want, found in zip(theirs, ours(kind, **inputs), strict=True):
        assert tuple(found.shape) == tuple(np.shape(want))
        np.testing.assert_allclose(
            found.astype(np.float64), np.asarray(want, np.float64), rtol=tolerance, atol=tolerance
        )


def values(least: int = 1, most: int = 4) -> st.SearchStrategy[Any]:
    return st.builds(drawn, array_shapes(min_dims=least, max_dims=most, max_side=5), st.integers(0, 99))


ROUND = ["ceil", "floor", "round", "sign", "abs", "square"]
CURVED = ["atan", "cos", "cosh", "erf", "exp", "exp2", "sin", "sinh", "tanh"]
ACTIVATIONS = ["relu", "relu6", "sigmoid", "softsign", "softplus"]


@pytest.mark.parametrize("kind", ROUND + CURVED + ACTIVATIONS)
@settings(max_examples=8, deadline=None)
@given(x=values())
def test_functions_of_one_element(kind: str, x: Any) -> None:
    agree(kind, 2e-4 if kind in ("exp2", "sinh", "cosh") else 5e-5, x=x)


@pytest.mark.parametrize("kind", ["sqrt", "log", "rsqrt", "inverse"])
@settings(max_examples=8, deadline=None)
@given(x=values())
def test_functions_of_positive_elements(kind: str, x: Any) -> None:
    agree(kind, 5e-5, x=np.abs(x) + np.float32(0.25))


@pytest.mark.parametrize("kind", ["acos", "asin", "atanh"])
@settings(max_examples=8, deadline=None)
@given(x=values())
def test_functions_of_small_elements(kind: str, x: Any) -> None:
    agree(kind, 5e-5, x=x / np.float32(9))


ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum"]
COMPARISONS = ["greater", "greater_equal", "less", "less_equal", "equal", "not_equal"]


@pytest.mark.parametrize("kind", ARITHMETIC + COMPARISONS)
@settings(max_examples=8, deadline=None)
@given(x=values(2, 3), data=st.data())
def test_functions_of_two_elements_with_broadcasting(kind: str, x: Any, data: Any) -> None:
    shape = tuple(data.draw(st.sampled_from((size, 1))) for size in x.shape)
    y = data.draw(floats(*shape))
    agree(kind, x=x, y=y)
    agree(kind, x=x, y=x.copy())


@pytest.mark.parametrize("kind", ["real_div", "floor_div", "mod", "pow"])
@settings(max_examples=8, deadline=None)
@given(x=values(2, 3))
def test_division_and_power(kind: str, x: Any) -> None:
    base = np.abs(x) + np.float32(0.5)
    agree(kind, 1e-4, x=base, y=np.float32(0.75) + np.abs(base[..., :1]))


@pytest.mark.parametrize(
    "kind",
    [name for name in OPERATORS if name.startswith("reduce_") and name not in ("reduce_argmax", "reduce_argmin")],
)
@settings(max_examples=8, deadline=None)
@given(x=values(2, 4), keep=st.booleans(), data=st.data())
def test_reductions(kind: str, x: Any, keep: bool, data: Any) -> None:
    positive = np.abs(x) + np.float32(0.5)
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, unique_by=lambda axis: axis % x.ndim))
    agree(kind, 2e-3 if kind == "reduce_prod" else 1e-4, x=positive, axes=axes, keep_dims=keep)


@pytest.mark.parametrize("kind", ["reduce_argmax", "reduce_argmin"])
@settings(max_examples=8, deadline=None)
@given(x=values(2, 3), keep=st.booleans())
def test_positions_of_extremes(kind: str, x: Any, keep: bool) -> None:
    distinct = x + np.arange(x.size, dtype=np.float32).reshape(x.shape) / 1000
    agree(kind, x=distinct, axis=-1, keep_dims=keep)


@settings(max_examples=20, deadline=None)
@given(x=values(2, 4), data=st.data())
def test_slices(x: Any, data: Any) -> None:
    steps = [data.draw(st.sampled_from([1, 2, -1])) for _ in x.shape]
    begins = [data.draw(st.integers(0, size - 1)) for size in x.shape]
    masks = [step < 0 or data.draw(st.booleans()) for step in steps]
    agree(
        "slice_by_index",
        x=x,
        begin=begins,
        end=list(x.shape),
        stride=steps,
        begin_mask=masks,
        end_mask=[True] * x.ndim,
        squeeze_mask=[False] * x.ndim,
    )
    squeeze = [False] * x.ndim
    squeeze[data.draw(st.integers(0, x.ndim - 1))] = True
    ends = [begin + 1 for begin in begins]
    agree("slice_by_index", x=x, begin=begins, end=ends, squeeze_mask=squeeze)
    agree("slice_by_size", x=x, begin=begins, size=[size - begin for size, begin in zip(x.shape, begins, strict=True)])


@settings(max_examples=15, deadline=None)
@given(x=values(2, 4), data=st.data())
def test_shapes(x: Any, data: Any) -> None:
    order = data.draw(st.permutations(range(x.ndim)))
    agree("transpose", x=x, perm=list(order))
    agree("reshape", x=x, shape=[-1, x.shape[-1]])
    agree("expand_dims", x=x, axes=[0, -1])
    agree("squeeze", x=x[None], axes=[0])
    agree("tile", x=x, reps=[data.draw(st.integers(1, 3)) for _ in x.shape])
    agree("reverse", x=x, axes=[data.draw(st.integers(0, x.ndim - 1))])
    agree("concat", values=[x, x * 2], axis=data.draw(st.integers(0, x.ndim - 1)))
    agree("stack", values=[x, -x], axis=data.draw(st.integers(0, x.ndim - 1)))
    agree("split", x=np.concatenate([x, x], -1), num_splits=2, axis=-1)
    agree("shape", x=x)
    agree("identity", x=x)


@settings(max_examples=15, deadline=None)
@given(x=values(2, 3), data=st.data(), mode=st.sampled_from(["constant", "reflect", "replicate"]))
def test_padding(x: Any, data: Any, mode: str) -> None:
    most = min(x.shape[-1] - 1, 2) if mode == "reflect" else 3
    pad = [data.draw(st.integers(0, most)) for _ in range(2)]
    agree("pad", x=x, pad=[0, 0] * (x.ndim - 1) + pad, mode=mode, constant_val=np.float32(0.5))


@settings(max_examples=15, deadline=None)
@given(x=values(2, 3), data=st.data())
def test_positions(x: Any, data: Any) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    size = x.shape[axis]
    indices = data.draw(arrays(np.int32, (3,), elements=st.integers(-size, size - 1)))
    agree("gather", x=x, indices=indices, axis=axis)
    agree("gather", x=x, indices=indices.reshape(1, 3), axis=axis)
    along = data.draw(arrays(np.int32, x.shape, elements=st.integers(0, size - 1)))
    agree("gather_along_axis", x=x, indices=along, axis=axis)
    agree("band_part", x=x, lower=data.draw(st.integers(-1, 3)), upper=data.draw(st.integers(-1, 3)))
    agree("cumsum", 1e-4, x=x, axis=axis, reverse=data.draw(st.booleans()))


@settings(max_examples=15, deadline=None)
@given(x=values(2, 2), data=st.data(), ascending=st.booleans())
def test_order(x: Any, data: Any, ascending: bool) -> None:
    distinct = x + np.arange(x.size, dtype=np.float32).reshape(x.shape) / 1000
    agree("topk", x=distinct, k=data.draw(st.integers(1, x.shape[-1])), axis=-1, ascending=ascending)
    agree("argsort", x=distinct, axis=-1, ascending=ascending)


@settings(max_examples=15, deadline=None)
@given(x=values(2, 2), data=st.data())
def test_products(x: Any, data: Any) -> None:
    weight = data.draw(floats(3, x.shape[-1]))
    bias = data.draw(floats(3))
    agree("linear", 1e-4, x=x, weight=weight, bias=bias)
    agree("matmul", 1e-4, x=x, y=weight, transpose_x=False, transpose_y=True)
    agree("matmul", 1e-4, x=x.T.copy(), y=weight, transpose_x=True, transpose_y=True)


@settings(max_examples=8, deadline=None)
@given(x=values(2, 4), data=st.data())
def test_normalisation_and_activations_with_parameters(x: Any, data: Any) -> None:
    last = x.shape[-1]
    gamma, beta = (data.draw(floats(last)) for _ in range(2))
    agree("layer_norm", 1e-3, x=x, axes=[-1], gamma=gamma, beta=beta, epsilon=np.float32(1e-3))
    agree("softmax", x=x, axis=data.draw(st.integers(0, x.ndim - 1)))
    agree("clip", x=x, alpha=np.float32(-1), beta=np.float32(2))
    agree("leaky_relu", x=x, alpha=np.float32(0.1))
    agree("elu", 1e-4, x=x, alpha=np.float32(0.7))
    agree("sigmoid_hard", x=x, alpha=np.float32(0.2), beta=np.float32(0.5))
    agree("linear_activation", x=x, alpha=np.float32(2), beta=np.float32(0.5))
    agree("scaled_tanh", 1e-4, x=x, alpha=np.float32(1.5), beta=np.float32(0.5))
    agree("thresholded_relu", x=x, alpha=np.float32(0.5))
    for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        agree("gelu", 1e-4, x=x, mode=mode)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_attention(data: Any) -> None:
    shape = (2, data.draw(st.integers(1, 4)), 3)
    query, key, value = (data.draw(floats(*shape)) for _ in range(3))
    mask = np.zeros((shape[1], shape[1]), np.float32)
    expected = inferred("scaled_dot_product_attention", "iOS18", query=query, key=key, value=value, attn_mask=mask)
    found = ours("scaled_dot_product_attention", query=query, key=key, value=value, attn_mask=mask)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-3)


def test_what_is_not_of_one_shape() -> None:
    agree("range_1d", start=1, end=9, step=3)
    agree("fill", shape=[2, 3], value=np.float32(1.5))
    agree("select", cond=np.array([True, False]), a=np.float32([1, 2]), b=np.float32([3, 4]))
    agree("logical_and", x=np.array([True, False]), y=np.array([True, True]))
    agree("logical_xor", x=np.array([True, False]), y=np.array([True, True]))
    agree("logical_not", x=np.array([True, False]))
    agree("cast", x=np.float32([-1.7, 1.7]), dtype="int32")
    agree("non_zero", x=np.float32([[0, 1], [2, 0]]))


def test_what_coremltools_documents_but_does_not_infer() -> None:
    rows = np.float32([[1, 2], [3, 4]])
    assert ours("concat", values=[rows, rows + 10], axis=0, interleave=True)[0][:, 0].tolist() == [1, 11, 3, 13]
    assert ours("cumsum", x=np.float32([1, 2, 3]), axis=0, exclusive=True)[0].tolist() == [0, 1, 3]
    assert ours("cumsum", x=np.float32([1, 2, 3]), axis=0, exclusive=True, reverse=True)[0].tolist() == [5, 3, 0]
    hot = ours("one_hot", indices=np.array([0, 2, -1], np.int32), one_hot_vector_size=3, on_value=5, off_value=1)
    assert hot[0].tolist() == [[5, 1, 1], [1, 1, 5], [1, 1, 1]]
    assert ours("prelu", x=np.float32([[[-2.0], [-2.0]]]), alpha=np.float32([0.5, 2]))[0].ravel().tolist() == [-1, -4]
    assert ours("clamped_relu", x=np.float32([-2, 1, 9]), alpha=0.5, beta=6.0)[0].tolist() == [-1, 1, 6]
    assert ours("threshold", x=np.float32([-2, 1]), alpha=0.0)[0].tolist() == [0, 1]
    assert ours("sliding_windows", x=np.arange(4), axis=0, size=2, stride=1)[0].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert ours("crop", x=np.arange(12.0).reshape(3, 4), crop_height=(1, 0), crop_width=(1, 2))[0].tolist() == [
        [5],
        [9],
    ]


def _numpy_scatter(mode: str, data: Any, indices: Any, updates: Any) -> Any:
    change: dict[str, Callable[[Any, Any], Any]] = {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "max": np.maximum,
        "min": np.minimum,
        "update": lambda _, new: new,
    }
    out = data.copy()
    for place, value in zip(indices, updates, strict=True):
        out[place] = change[mode](out[place], value)
    return out


@pytest.mark.parametrize("mode", ["add", "sub", "mul", "div", "max", "min", "update"])
def test_scatters_are_written_one_after_the_other(mode: str) -> None:
    """coremltools infers none, so NumPy in a loop is the reference."""
    rng = np.random.default_rng(0)
    data, updates = rng.random((5, 3), np.float32) + 1, rng.random((3, 3), np.float32) + 1
    indices = np.array([4, 0, 2], np.int32)
    expected = _numpy_scatter(mode, data, indices, updates)
    along = np.repeat(indices[:, None], 3, 1)
    found = {
        "scatter": ours("scatter", data=data, indices=indices, updates=updates, axis=0, mode=mode),
        "scatter_nd": ours("scatter_nd", data=data, indices=indices[:, None], updates=updates, mode=mode),
        "scatter_along_axis": ours("scatter_along_axis", data=data, indices=along, updates=updates, axis=0, mode=mode),
    }
    for name, (value,) in found.items():
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)


def test_gathers_with_batches_and_by_position() -> None:
    rng = np.random.default_rng(0)
    x, indices = rng.random((2, 4, 3), np.float32), np.array([[0, 3], [2, 1]], np.int32)
    expected = np.stack([x[row][indices[row]] for row in range(2)])
    np.testing.assert_array_equal(ours("gather", x=x, indices=indices, axis=1, batch_dims=1)[0], expected)
    places = np.array([[0, 1], [1, 3]], np.int32)
    np.testing.assert_array_equal(ours("gather_nd", x=x, indices=places)[0], x[[0, 1], [1, 3]])
    own = np.array([[[0], [2]], [[3], [1]]], np.int32)
    expected = np.stack([x[row][own[row, :, 0]] for row in range(2)])
    np.testing.assert_array_equal(ours("gather_nd", x=x, indices=own, batch_dims=1)[0], expected)
    with pytest.raises(IndexError, match=r"an index is outside -4 \.\.\. 3"):
        ours("gather", x=x, indices=np.array([4], np.int32), axis=1)


def test_many_calls_gather_at_once_and_none_outside() -> None:
    gather = OPERATORS["gather"].run
    x, indices = torch.rand(5, 3), torch.tensor([[0, 4, -1], [2, -5, 1]])
    found = torch.vmap(lambda index: gather(x=x, indices=index))(indices)
    torch.testing.assert_close(found, torch.stack([gather(x=x, indices=index) for index in indices]))
    for outside in (5, -6, 77):
        with pytest.raises((IndexError, RuntimeError)):
            torch.vmap(lambda index: gather(x=x, indices=index))(torch.tensor([[0, outside, 1], [0, 1, 2]]))


def test_blocks_of_pixels_go_and_come_back() -> None:
    x = np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6)
    for there, back, name in (
        ("space_to_depth", "depth_to_space", "block_size"),
        ("pixel_unshuffle", "pixel_shuffle", None),
    ):
        first, second = ({"block_size": 2},) * 2 if name else ({"downscale_factor": 2}, {"upscale_factor": 2})
        np.testing.assert_array_equal(ours(back, x=ours(there, x=x, **first)[0], **second)[0], x)
    blocks = ours("depth_to_space", x=x[:1], block_size=2)[0]
    assert blocks[0, 0, 0, :4].tolist() == [x[0, 0, 0, 0], x[0, 2, 0, 0], x[0, 0, 0, 1], x[0, 2, 0, 1]]


def test_lists_grow_where_they_are_written() -> None:
    """Through the converters, as a program would: a fresh list has places that nothing was written to."""

    def on_list(kind: str, **inputs: Any) -> Any:
        operator = OPERATORS[kind]
        return operator.run(**{name: operator.converters[name](value) for name, value in inputs.items()})

    ls = on_list("make_list", elem_shape=[np.int32(2)], init_length=1)
    for index in range(3):
        ls = on_list("list_write", ls=ls, index=index, value=torch.full((2,), float(index)))
    assert int(on_list("list_length", ls=ls)) == 3
    assert on_list("list_gather", ls=ls, indices=np.int32([2, 0])).tolist() == [[2, 2], [0, 0]]
    ls = on_list("list_scatter", ls=ls, indices=np.int32([4]), value=torch.ones(1, 2))
    assert on_list("list_read", ls=ls, index=4).tolist() == [1, 1]


def test_rarer_operators_do_as_documented() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    (norm,) = ours("l2_norm", x=x, epsilon=0.0)
    np.testing.assert_allclose(norm, x / np.sqrt((x**2).sum()), rtol=1e-6)
    (pooled,) = ours("l2_pool", x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    np.testing.assert_allclose(pooled[0, :, 0, 0], np.sqrt((x**2).sum((0, 2, 3))), rtol=1e-6)
    (local,) = ours("local_response_norm", x=x, size=3, alpha=3.0, beta=1.0, k=1.0)
    expected = x[0, 0, 1, 1] / (1 + (x[0, 0, 1, 1] ** 2 + x[0, 1, 1, 1] ** 2))
    np.testing.assert_allclose(local[0, 0, 1, 1], expected, rtol=1e-6)
    values = [np.float32([[1, 2], [3, 4]]), np.float32([[1, 0], [0, 2]])]
    assert ours("einsum", values=values, equation="ij,jk->ik")[0].tolist() == [[1, 4], [3, 8]]
    update = ours(
        "slice_update", x=np.zeros((2, 3), np.float32), update=np.ones((2, 1), np.float32), begin=[0, 1], end=[2, 2]
    )
    assert update[0].tolist() == [[0, 1, 0]] * 2
    like = ours("reshape_like", x=x, ref_tensors=[x, x], begins=[0, 2], ends=[2, 0], end_masks=[False, True])
    assert like[0].shape == (1, 3, 2, 2)
    assert ours("flatten2d", x=x, axis=2)[0].shape == (3, 4)
    soft = ours(
        "softplus_parametric", x=np.zeros((1, 2, 3), np.float32), alpha=np.float32([1, 2]), beta=np.float32([1, 1])
    )
    np.testing.assert_allclose(soft[0][0, :, 0], [np.log(2), 2 * np.log(2)], rtol=1e-6)
    assert ours("constexpr_cast", source_val=np.float16([1.5]), output_dtype="fp32")[0].dtype == np.float32
    named = OPERATORS["classify"].run(probabilities=torch.tensor([0.2, 0.8]), classes=["a", "b"])
    assert (named[0].tolist(), named[1].shape) == (["b"], (1, 2))
    assert ours("upsample_nearest_neighbor", x=x, scale_factor_height=2)[0].shape == (1, 3, 4, 2)


@pytest.mark.parametrize(
    ("mode", "size", "points"),
    [  # the table of coremltools' documentation, for an input of [0, 1]
        ("UNALIGN_CORNERS", 5, [0, 0.1, 0.5, 0.9, 1]),
        ("STRICT_ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 1, [0.5]),
        ("DEFAULT", 5, [0, 0.4, 0.8, 1, 1]),
        ("OFFSET_CORNERS", 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("OFFSET_CORNERS", 6, [1 / 12, 0.25, 5 / 12, 7 / 12, 0.75, 11 / 12]),
    ],
)
def test_images_are_sampled_where_the_documentation_says(mode: str, size: int, points: Any) -> None:
    x = np.float32([0, 1]).reshape(1, 1, 1, 2)
    options = {"target_size_height": 1, "target_size_width": size, "sampling_mode": mode}
    np.testing.assert_allclose(ours("resize_bilinear", x=x, **options)[0].ravel(), points, atol=1e-6)
    shape = {"shape": [1, size], "resized_dims": 2, "sampling_mode": mode}
    np.testing.assert_allclose(ours("resize", x=x, **shape)[0].ravel(), points, atol=1e-6)


def test_quantised_values_come_back_within_half_a_step() -> None:
    x = np.linspace(-1, 1, 21, dtype=np.float32)
    scale, zero = np.float32(1 / 127), np.int8(3)
    (small,) = ours("quantize", input=x, scale=scale, zero_point=zero, output_dtype="int8")
    assert small.min() == -124
    assert small.max() == 127
    (back,) = ours("dequantize", input=small, scale=scale, zero_point=zero)
    assert np.abs(back - np.clip(x, (-128 - 3) / 127, (127 - 3) / 127)).max() <= 0.5 / 127 + 1e-6
    scales = np.float32([0.5, 0.25])
    (rows,) = ours("dequantize", input=np.int8([[2, 4], [2, 4]]), scale=scales, axis=0)
    assert rows.tolist() == [[1, 2], [0.5, 1]]


@settings(max_examples=8, deadline=None)
@given(x=values(1, 3))
def test_tangents_and_fillings(x: Any) -> None:
    agree("tan", 5e-5, x=x / np.float32(9))
    (filled,) = ours("fill_like", ref_tensor=x, value=2.5)
    assert filled.shape == x.shape and (filled == 2.5).all()


@settings(max_examples=8, deadline=None)
@given(x=values(2, 3), data=st.data())
def test_either_of_two_truths(x: Any, data: Any) -> None:
    y = data.draw(floats(*x.shape))
    assert np.array_equal(ours("logical_or", x=x > 0, y=y > 0)[0], (x > 0) | (y > 0))


@pytest.mark.parametrize("sizes", [(6, 4), (3, 8), (5, 3)])
def test_the_nearest_pixel(sizes: tuple[int, int]) -> None:
    x = drawn((1, 2, 3, 4), 1)
    (found,) = ours("resize_nearest_neighbor", x=x, target_size_height=sizes[0], target_size_width=sizes[1])
    wanted = torch.nn.functional.interpolate(torch.from_numpy(x), size=sizes, mode="nearest")
    assert np.array_equal(found, wanted.numpy())


def test_the_page_lists_every_operator() -> None:
    text = (ROOT / "docs/evaluator-operators.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([a-z0-9_]+)`", text.partition("|---|")[2].partition("\n\n")[0])
    assert sorted(listed) == sorted(OPERATORS)
    assert f"has {len(OPERATORS)} operators" in text


def test_palettes_of_sparse_weights() -> None:
    """As coremltools defines it: indices of the weights that are kept, looked up in their palette."""
    mask = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
    indices, palette = np.array([1, 0, 1, 1], np.uint8), np.float32([-2, 3]).reshape(1, 1, 2, 1)
    kept, found = ours("constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=indices, lut=palette)
    assert np.array_equal(kept, mask.astype(bool))
    assert found.tolist() == [3, -2, 3, 3]
