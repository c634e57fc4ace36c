"""Which operators the Neural Engine takes, by what Core ML's compiler listed for an M4 under macOS 27.0.1.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 5 and table 5-2: single operators, fp16, one
author. Operators that it did not try are taken as supported, and `untested` names them.
"""

from collections.abc import Callable, Sequence

from anelab.export.operations import Operation

STUDY = "751K's study of the M4, chapter 5 (one author)"
LARGEST_SIDE = 65536
LARGEST_KERNEL = 16
LARGEST_KERNEL_WIDTH, LARGEST_KERNEL_HEIGHT = 15, 31
"""Of kernels 1 x width and height x 1; a kernel of two long sides is limited by `LARGEST_KERNEL`."""
LARGEST_MAX_POOL = 8
LARGEST_INNER = 32768
"""Of a product of two computed matrices. 40,000 is refused; between the two nothing was tried."""
REFUSED = frozenset(
    {
        *("acos", "asin", "atanh", "cosh", "sinh", "tan", "mod", "reduce_prod", "cumsum"),
        *("lstm", "gru", "rnn", "band_part", "one_hot", "non_zero", "range_1d", "sliding_windows", "crop_resize"),
        *("random_normal", "random_uniform", "random_bernoulli", "random_categorical"),
        *("scatter", "scatter_along_axis", "scatter_nd", "argsort", "reduce_argmax", "reduce_argmin"),
        *("while_loop", "cond", "make_list", "list_write", "list_read", "list_gather", "list_scatter", "list_length"),
    }
)
"""Random numbers but the normal ones, reduce_argmin, scatter_nd, loops and lists were not tried; the tried ones of
their kind are refused."""
TAKEN = frozenset(
    {
        *("abs", "add", "affine", "atan", "avg_pool", "batch_norm", "batch_to_space", "cast", "ceil", "clip", "concat"),
        *("conv", "conv_transpose", "cos", "depth_to_space", "dequantize", "elu", "equal", "erf", "exp", "exp2"),
        *("expand_dims", "fill_like", "floor", "floor_div", "gather", "gather_along_axis", "gather_nd", "gelu"),
        *("greater", "greater_equal", "identity", "instance_norm", "inverse", "l2_norm", "l2_pool", "layer_norm"),
        *("leaky_relu", "less", "less_equal", "linear", "linear_activation", "local_response_norm", "log"),
        *("logical_and", "matmul", "max_pool", "maximum", "minimum", "mul", "not_equal", "pad", "pixel_shuffle"),
        *("pixel_unshuffle", "pow", "quantize", "real_div", "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum"),
        *("reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum", "reduce_sum_square", "relu"),
        *("relu6", "resample", "reshape", "resize", "resize_bilinear", "resize_nearest_neighbor", "reverse", "round"),
        *("rsqrt", "scaled_dot_product_attention", "scaled_tanh", "select", "sigmoid", "sigmoid_hard", "sign", "silu"),
        *("sin", "slice_by_index", "slice_by_size", "softmax", "softplus", "softsign", "space_to_batch"),
        *("space_to_depth", "split", "sqrt", "square", "squeeze", "stack", "sub", "tanh", "thresholded_relu", "tile"),
        *("topk", "transpose", "upsample_bilinear", "upsample_nearest_neighbor"),
    }
)
"""Tried in fp16 and supported."""


def refusal(operation: Operation) -> str:
    """Why the Neural Engine does not take the operator; empty if it does, as far as that is known."""
    return next(filter(None, (check(operation) for check in CHECKS)), "")


def untested(operation: Operation) -> bool:
    return operation.kind not in TAKEN and operation.kind not in REFUSED


def _kind(operation: Operation) -> str:
    return f"{operation.kind} is refused whatever its size" if operation.kind in REFUSED else ""


def _types(operation: Operation) -> str:
    computed = [one for one in operation.tensors if not one.constant]
    if any(one.dtype in ("int32", "uint32") for one in (*computed, *operation.outputs)):
        return "a tensor of 32-bit integers is refused"
    if operation.kind != "cast" and any(one.dtype == "fp32" for one in operation.outputs):
        return "it computes in float32"
    return ""


def _indices(operation: Operation) -> str:
    indices = operation.first("indices")
    if operation.kind == "gather" and indices is not None and not indices.constant:
        return "gather with computed indices is refused"
    return ""


def _shapes(operation: Operation) -> str:
    sides = [side for one in (*operation.tensors, *operation.outputs) if not one.constant for side in one.shape]
    if 0 in sides:
        return "its shape is not fixed"
    if max(sides, default=1) > LARGEST_SIDE:
        return f"a side of {max(sides):,} is refused; up to {LARGEST_SIDE:,} are taken"
    return ""


def kernel_refusal(kernel: Sequence[int]) -> str:
    """`kernel` is [height, width], or [width]."""
    height, width = (1, *kernel)[-2:]
    if min(height, width) > 1:
        fits = max(height, width) <= LARGEST_KERNEL
        limit = f"{LARGEST_KERNEL} x {LARGEST_KERNEL}"
    elif height == 1:
        fits, limit = width <= LARGEST_KERNEL_WIDTH, f"1 x {LARGEST_KERNEL_WIDTH}"
    else:
        fits, limit = height <= LARGEST_KERNEL_HEIGHT, f"{LARGEST_KERNEL_HEIGHT} x 1"
    return "" if fits else f"a kernel of {height} x {width} is refused; up to {limit} is taken"


def _kernel(operation: Operation) -> str:
    weight = operation.first("weight")
    if operation.kind == "conv" and weight is not None and len(weight.shape) in (3, 4):
        return kernel_refusal(weight.shape[2:])
    return ""


def _pool(operation: Operation) -> str:
    kernel = operation.numbers.get("kernel_sizes", ())
    if operation.kind == "max_pool" and max(kernel, default=1) > LARGEST_MAX_POOL and kernel != (9, 1):
        sizes = " x ".join(map(str, kernel))
        return f"a window of {sizes} is refused; up to {LARGEST_MAX_POOL} x {LARGEST_MAX_POOL} is taken"
    return ""


def _product(operation: Operation) -> str:
    x = operation.first("x")
    if operation.kind == "matmul" and x is not None and max(x.shape[-2:], default=1) > LARGEST_INNER:
        return f"an inner size of {max(x.shape[-2:]):,} is refused; up to {LARGEST_INNER:,} are taken"
    return ""


CHECKS: tuple[Callable[[Operation], str], ...] = (_kind, _types, _indices, _shapes, _kernel, _pool, _product)
