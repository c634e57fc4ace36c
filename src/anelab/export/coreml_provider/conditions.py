"""What ONNX Runtime's Core ML provider asks of a node beyond its shapes and the type of its first input."""

from collections.abc import Callable, Sequence

import numpy as np

from anelab.export.coreml_provider.nodes import Node, Value

LARGEST_RANK, LARGEST_SIZE = 5, 16384
FLOATS = ("float32", "float16")
NUMBERS = (*FLOATS, "int64")
INDEXED = (*NUMBERS, "int32")
LOGICAL = (*INDEXED, "bool")
Condition = Callable[[Node], str]
"""Why a node is not taken; empty if it is."""


def every(*conditions: Condition) -> Condition:
    return lambda node: next((reason for one in conditions if (reason := one(node))), "")


def static_input(node: Node) -> str:
    return "" if node.first.static else "its input has an axis of no fixed size"


def rank(*ranks: int) -> Condition:
    text = " or ".join(map(str, ranks))
    return lambda node: "" if node.first.rank in ranks else f"its input has {node.first.rank} axes, not {text}"


def constant(*places: int) -> Condition:
    """Inputs at these places, where they are given."""

    def condition(node: Node) -> str:
        computed = [value.name for place in places if (value := node.input(place)) and value.constant is None]
        return f"{computed[0]} is computed, not a constant" if computed else ""

    return condition


def attribute(name: str, default: object, *allowed: object) -> Condition:
    def condition(node: Node) -> str:
        found = node.attributes.get(name, default)
        found = found.decode() if isinstance(found, bytes) else found
        if found in allowed:
            return ""
        return f"{name} {found} is not taken, only {' or '.join(map(str, allowed))}"

    return condition


def one_output(node: Node) -> str:
    return "" if len(node.outputs) == 1 else "it has more than one output"


def _ints(value: Value | None) -> list[int]:
    return [] if value is None or value.constant is None else [int(one) for one in np.ravel(value.constant)]


def _sizes(*values: Value | None) -> str:
    for value in values:
        if value is not None and value.shape is not None and any((size or 0) > LARGEST_SIZE for size in value.shape):
            return f"{value.name} has an axis of more than {LARGEST_SIZE}"
    return ""


def conv(node: Node) -> str:
    weight, output = node.input(1), node.outputs[0]
    if weight is None or weight.rank not in (3, 4):
        return "only convolutions over one or two axes are taken"
    if output.shape is None:
        return "the shape of its output is not known"
    return _sizes(weight, node.first, output) or constant(2)(node)


def fused_conv(node: Node) -> str:
    numbers = {"Relu": 0, "Sigmoid": 0, "Tanh": 0, "LeakyRelu": 1, "Clip": 2, "HardSigmoid": 2}
    name = node.attributes.get("activation", b"").decode()
    if len(node.inputs) > 3 or numbers.get(name) != len(node.attributes.get("activation_params", ())):
        return "only Relu, Sigmoid, Tanh, LeakyRelu, Clip and HardSigmoid are taken with it"
    return conv(node)


def transposed_conv(node: Node) -> str:
    pads = node.attributes.get("pads", ())
    padding = node.attributes.get("auto_pad", b"NOTSET").decode()
    if padding not in ("NOTSET", "VALID"):
        return f"auto_pad {padding} is not taken"
    if padding == "NOTSET" and len(set(pads)) > 1:
        return "different pads are not taken"
    if node.attributes.get("output_shape") or any(node.attributes.get("output_padding", ())):
        return "output_shape and output_padding are not taken"
    return constant(1, 2)(node) or _sizes(node.input(1), node.first)


def pool(node: Node) -> str:
    if node.first.rank != 4 or len(node.attributes.get("kernel_shape", ())) != 2:
        return "only pooling over two axes is taken"
    if set(node.attributes.get("dilations", [1])) != {1} or node.attributes.get("storage_order", 0):
        return "dilations and storage_order are not taken"
    return one_output(node)


def gemm(node: Node) -> str:
    c = node.input(2)
    if c is not None and c.constant is not None and c.rank == 2 and c.shape is not None and c.shape[0] != 1:
        return "a C of several rows is not taken"
    return ""


def matmul(node: Node) -> str:
    ranks = [value.rank for value in node.inputs if value is not None]
    return "a vector by a matrix is not taken" if len(ranks) == 2 and ranks.count(1) == 1 else ""


def reshape(node: Node) -> str:
    sizes = _ints(node.input(1))
    if not node.first.rank or not 1 <= len(sizes) <= LARGEST_RANK:
        return f"it needs 1 to {LARGEST_RANK} axes"
    return "a size of 0 with allowzero is not taken" if node.attributes.get("allowzero") and 0 in sizes else ""


def unsqueeze(node: Node) -> str:
    axes = node.attributes.get("axes") or _ints(node.input(1))
    beyond = node.first.rank + len(axes) > LARGEST_RANK
    return f"its output has more than {LARGEST_RANK} axes" if beyond else ""


def split(node: Node) -> str:
    axis, shape = int(node.attributes.get("axis", 0)), node.first.shape or ()
    if not shape or shape[axis] is None:
        return "the axis that is split has no fixed size"
    if len(node.outputs) < 2:
        return "it has a single output"
    sizes = _ints(node.input(1)) or list(node.attributes.get("split", ()))
    if 0 in sizes:
        return "a part of size 0 is not taken"
    uneven = not sizes and node.since < 18 and (shape[axis] or 0) % len(node.outputs)
    return "parts of different sizes are not taken" if uneven else ""


def gather(node: Node) -> str:
    indices = node.input(1)
    if indices is None or node.first.rank + indices.rank - 1 > LARGEST_RANK:
        return f"its output has more than {LARGEST_RANK} axes"
    return (static_input(node) or rank(1, 2, 3, 4)(node)) if indices.rank == 0 else ""


def gather_nd(node: Node) -> str:
    indices = node.input(1)
    if indices is None or not indices.shape:
        return "its indices have no axis"
    depth = indices.shape[-1] or 0
    free = None in (node.first.shape or ())[:depth]
    return "an axis that is indexed has no fixed size" if free else ""


def where_choice(node: Node) -> str:
    types = {value.dtype for value in node.inputs[1:] if value is not None}
    return "" if len(types) == 1 and types <= set(FLOATS) else "only float32, or only float16, is chosen from"


def cast(node: Node) -> str:
    found = node.outputs[0].dtype
    return "" if found in LOGICAL else f"a cast to {found or 'an unknown type'} is not taken"


def same_types(node: Node) -> str:
    types = {value.dtype for value in node.inputs if value is not None}
    return "" if len(types) == 1 else f"its inputs are of different types: {', '.join(sorted(types))}"


def clip(node: Node) -> str:
    limited = node.input(1) or node.input(2)
    if limited and node.first.dtype not in FLOATS:
        return f"{node.first.dtype} is not taken"
    return ""


def prelu(node: Node) -> str:
    slope = node.input(1)
    if slope is None or slope.constant is None or node.first.shape is None or node.first.shape[-3] is None:
        return "it needs a constant slope, and a fixed number of channels"
    one = int(np.prod([size or 0 for size in slope.shape or ()])) == 1
    by_channel = slope.rank == 3 and (slope.shape or ())[1:] == (1, 1)
    if one:
        return "one slope for one channel is not taken" if node.first.shape[-3] == 1 else ""
    return "" if by_channel else "its slope is neither one number nor one for each channel"


def pad(node: Node) -> str:
    mode, pads = node.attributes.get("mode", b"constant").decode(), _ints(node.input(1))
    if mode not in ("constant", "reflect"):
        return f"mode {mode} is not taken, only constant or reflect"
    if any(size < 0 for size in pads):
        return "negative pads are not taken"
    axes, count = _ints(node.input(3)) or list(range(node.first.rank)), node.first.rank
    if mode == "constant" or not axes:
        return ""
    for place, axis in enumerate(axes):
        most, size = max(pads[place], pads[place + len(axes)]), (node.first.shape or ())[axis]
        if most and axis % count < count - 2:
            return "reflection is taken on the last two axes only"
        if size is None or most >= size:
            return "reflection of an axis of no fixed size, or by its whole size, is not taken"
    return ""


def resize(node: Node) -> str:
    mode = node.attributes.get("mode", b"nearest").decode()
    coordinates = node.attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    nearest = node.attributes.get("nearest_mode", b"round_prefer_floor").decode()
    scales, sizes = node.input(2), node.input(3)
    given = sizes if sizes is not None and sizes.name else scales
    if given is None or given.constant is None or not given.constant.size:
        return "it needs constant sizes or scales"
    by_sizes, shape = given is sizes, node.first.shape or ()
    if mode == "nearest" and (nearest, coordinates) != ("floor", "asymmetric"):
        return f"nearest with {nearest}, {coordinates} is not taken, only floor, asymmetric"
    if mode == "linear" and coordinates not in _linear_coordinates(by_sizes):
        return f"linear with {coordinates} is not taken"
    if mode not in ("nearest", "linear"):
        return f"mode {mode} is not taken, only nearest or linear"
    values = np.ravel(given.constant).tolist()
    outer = zip(values[:-2], shape[: len(values) - 2], strict=False)
    if any(value != (size if by_sizes else 1) for value, size in outer):
        return "only the last two axes may be resized"
    return "" if by_sizes else _scales_refusal(values[-2:], shape[-2:])


def _linear_coordinates(by_sizes: bool) -> tuple[str, ...]:
    always = ("half_pixel", "align_corners", "pytorch_half_pixel")
    return (*always, "asymmetric") if by_sizes else always


def _scales_refusal(scales: Sequence[float], sizes: Sequence[int | None]) -> str:
    if None in sizes:
        return "scales need a height and width of fixed size"
    up = all(scale >= 1 and scale == int(scale) for scale in scales)
    down = all(
        scale <= 1 and (size or 0) % round(1 / scale) == 0 and abs(round(1 / scale) * scale - 1) < 1e-6
        for scale, size in zip(scales, sizes, strict=True)
    )
    return "" if up or down else "only scales by whole numbers are taken, up or down on both axes"


def normalised(node: Node) -> str:
    return (
        one_output(node)
        or attribute("stash_type", 1, 1)(node)
        or same_types(node)
        or ("its scale is missing" if node.input(1) is None else constant(1, 2)(node))
    )
