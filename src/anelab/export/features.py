"""What a package takes and gives, as its description declares it: arrays of numbers, images, and a classifier's
label and probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.base import Array

DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
"""Core ML's ArrayFeatureType."""
COLOURS = {10: "GRAYSCALE", 20: "RGB", 30: "BGR", 40: "GRAYSCALE_FLOAT16"}
"""Core ML's ColorSpace."""
LARGEST_PIXEL = 255
Sizes = tuple[int, int | None]
"""The smallest and the largest size of an axis; None is without end."""


@dataclass(frozen=True)
class Declared:
    """What an input must be, beyond its type and rank: `colours` of an image, `ranges` of its axes, or the `shapes`
    that are enumerated."""

    colours: str | None = None
    ranges: tuple[Sizes, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def convention(self) -> str:
        """How an image is given as an array. Empty for an input that is none."""
        if self.colours is None:
            return ""
        channels = {"RGB": "red, green, blue", "BGR": "blue, green, red"}.get(self.colours, "one, grey")
        values = "floats" if self.colours == "GRAYSCALE_FLOAT16" else f"whole numbers 0 to {LARGEST_PIXEL}"
        return f"an image, as [rows, channels ({channels}), height, width] of {values}"

    def misfit(self, array: Array) -> str:
        """What is wrong with an array of the right rank; empty if nothing is."""
        if self.shapes and array.shape not in self.shapes:
            return f"has shape {array.shape}; it may be {' or '.join(map(str, self.shapes))}"
        for axis, ((low, high), size) in enumerate(zip(self.ranges, array.shape, strict=False)):
            if size < low or (high is not None and size > high):
                most = "or more" if high is None else f"to {high}"
                return f"has {size} along axis {axis}; it may be {low} {most}"
        if self.colours not in (None, "GRAYSCALE_FLOAT16") and not _are_pixels(array):
            return (
                f"has values from {array.min():g} to {array.max():g}, but pixels are whole numbers 0 to {LARGEST_PIXEL}"
            )
        return ""


def _are_pixels(array: Array) -> bool:
    """Whole numbers that eight bits hold."""
    return bool(((array >= 0) & (array <= LARGEST_PIXEL) & (array == np.floor(array))).all())


def function_description(description: Any, name: str) -> Any:
    """A function's own features; a package of one has them at the top."""
    return next((function for function in description.functions if function.name == name), description)


def declared_inputs(description: Any, function: str) -> dict[str, Declared]:
    """By name, of one function."""
    return {item.name: _declared(item.type) for item in function_description(description, function).input}


def _declared(kind: Any) -> Declared:
    if kind.WhichOneof("Type") == "imageType":
        return Declared(COLOURS.get(kind.imageType.colorSpace, "unknown"), _image_ranges(kind.imageType))
    array = kind.multiArrayType
    flexibility = array.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        return Declared(shapes=tuple(tuple(one.shape) for one in array.enumeratedShapes.shapes))
    return Declared(ranges=tuple(_sizes(one) for one in array.shapeRange.sizeRanges))


def _sizes(bounds: Any) -> Sizes:
    return bounds.lowerBound, bounds.upperBound if bounds.upperBound >= 0 else None


def _image_ranges(image: Any) -> tuple[Sizes, ...]:
    """Of rows, channels, height and width; none where the size is fixed or enumerated."""
    if image.WhichOneof("SizeFlexibility") != "imageSizeRange":
        return ()
    free = (1, None)
    return free, free, _sizes(image.imageSizeRange.heightRange), _sizes(image.imageSizeRange.widthRange)


def describe_feature(feature: Any) -> dict[str, Any]:
    """Name, dtype and shape as JSON; null is an axis of several sizes. An image has its `colours` too.

    Raises AnelabError if it is a type that a program cannot be evaluated with.
    """
    kind = feature.type.WhichOneof("Type")
    if kind == "multiArrayType" and feature.type.multiArrayType.dataType in DTYPES:
        array = feature.type.multiArrayType
        return {"dtype": DTYPES[array.dataType], "name": feature.name, "shape": _shape(array)}
    if kind == "imageType":
        image, colours = feature.type.imageType, _declared(feature.type).colours
        channels = 3 if colours in ("RGB", "BGR") else 1
        free = image.WhichOneof("SizeFlexibility") is not None
        size = [None, None] if free else [image.height, image.width]
        return {"colours": colours, "dtype": "image", "name": feature.name, "shape": [1, channels, *size]}
    if kind in ("stringType", "int64Type"):
        return {"dtype": "label", "name": feature.name, "shape": [1]}
    if kind == "dictionaryType":
        return {"dtype": "probabilities", "name": feature.name, "shape": [1, None]}
    raise AnelabError(
        f"{feature.name}: is a Core ML {kind}; taken are arrays of float16, float32, float64 or int32, images, and a "
        "classifier's label and probabilities"
    )


def _shape(array: Any) -> list[int | None]:
    declared = list(array.shape)
    if array.WhichOneof("ShapeFlexibility") == "enumeratedShapes":
        return [sizes[0] if len(set(sizes)) == 1 else None for sizes in _columns(array.enumeratedShapes.shapes)]
    ranges = [_sizes(one) for one in array.shapeRange.sizeRanges]
    return [low if low == high else None for low, high in ranges] or declared


def _columns(shapes: Sequence[Any]) -> list[tuple[int, ...]]:
    return list(zip(*(one.shape for one in shapes), strict=True))


def check_arrays_only(functions: dict[str, Any], what: str) -> None:
    """Raises AnelabError if `functions` (as `describe_feature` has them) take or give anything but arrays."""
    for ports in functions.values():
        for item in (*ports["inputs"], *ports["outputs"]):
            if item["dtype"] in ("image", "label", "probabilities"):
                raise AnelabError(
                    f"{what}: {item['name']} is of the type {item['dtype']}, and Core ML itself is run with arrays "
                    "only; `anelab model eval` evaluates the package"
                )
