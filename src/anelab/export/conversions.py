"""Conversions of torch operators that coremltools 9 lacks."""

from typing import Any


def _alias(context: Any, node: Any) -> None:
    """A view of the same values; exports of torch 2.13 contain it."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    (values,) = _get_inputs(context, node, expected=1)
    context.add(Builder.identity(x=values, name=node.name))


CONVERSIONS = {"alias": _alias}


def register_conversions() -> None:
    """Enter what is missing in coremltools' registry; what a newer coremltools has stays its own."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    for name, convert in CONVERSIONS.items():
        if name not in _TORCH_OPS_REGISTRY:
            _TORCH_OPS_REGISTRY.set_func_by_name(convert, name)
