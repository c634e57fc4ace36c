"""The segmenter's estimates from shapes, against those that were read from its own files (M4, macOS 27.0.1)."""

import pytest

from anelab.errors import UsageError
from anelab.export.operations import Operation, Tensor
from anelab.export.placement.rates import CHIPS, check_chip, estimate
from anelab.export.placement.support import refusal, untested

MAP = (1, 64, 32, 32)


def operation(
    kind: str,
    output: tuple[int, ...] = MAP,
    weight: tuple[int, ...] | None = None,
    dtype: str = "fp16",
    numbers: dict[str, tuple[int, ...]] | None = None,
    **inputs: tuple[int, ...],
) -> Operation:
    given = {name: (Tensor(shape, dtype, name=name),) for name, shape in (inputs or {"x": MAP}).items()}
    if weight is not None:
        given["weight"] = (Tensor(weight, "fp16", constant=True),)
    return Operation(kind, kind, given, (Tensor(output, dtype, name="out"),), numbers or {})


@pytest.mark.parametrize(
    ("made", "engine_us", "cpu_us"),
    [
        (operation("conv", weight=(64, 64, 3, 3)), 4.67428077, 100.063882),
        (operation("conv", weight=(64, 64, 1, 1)), 1.17145749, 21.6167011),
        (operation("conv", weight=(64, 1, 3, 3)), 2.50359889, 43.5532116),
        (operation("conv", weight=(64, 64, 3, 3), numbers={"dilations": (2, 2)}), 2.63577934, 48.6375776),
        (operation("conv_transpose", (1, 64, 64, 64), (64, 64, 2, 2)), 8.82718959, 2125.63157),
        (operation("linear", (1, 128, 512), (512, 256), x=(1, 128, 256)), 3.17111989, 100.011313),
        (operation("matmul", (1, 128, 128), x=(1, 128, 256), y=(1, 256, 128)), 2.24393957, 11.1174635),
        (operation("add", x=MAP, y=MAP), 7.28571818, 12.4108329),
        (operation("mul", x=MAP, y=MAP), 6.09637209, 22.7908004),
        (operation("concat", (1, 128, 32, 32), x=MAP, y=MAP), 2.62144, 22.7908004),
        (operation("relu"), 2.62144, 2.62144),
        (operation("layer_norm"), 3.59030331, 4.30836416),
        (operation("avg_pool", (1, 64, 16, 16), numbers={"kernel_sizes": (2, 2)}), 2.2441587, 2.69299056),
        (operation("transpose", numbers={"perm": (0, 1, 3, 2)}), 3.80633308, 2.99658276),
        (operation("upsample_bilinear", (1, 64, 64, 64)), 3.30513443, 499.635103),
    ],
    ids=lambda one: one.kind if isinstance(one, Operation) else "",
)
def test_an_estimate_is_the_one_that_was_read(made: Operation, engine_us: float, cpu_us: float) -> None:
    found = estimate(made)
    assert found.engine is not None
    assert found.engine * 1e3 == pytest.approx(engine_us, rel=1e-3)
    assert found.cpu * 1e3 == pytest.approx(cpu_us, rel=1e-3)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (operation("conv", weight=(64, 64, 16, 16)), ""),
        (operation("conv", weight=(64, 64, 17, 17)), "17 x 17"),
        (operation("conv", weight=(64, 64, 1, 15)), ""),
        (operation("conv", weight=(64, 64, 1, 16)), "up to 1 x 15"),
        (operation("conv", weight=(64, 64, 31, 1)), ""),
        (operation("conv", weight=(64, 64, 32, 1)), "up to 31 x 1"),
        (operation("max_pool", numbers={"kernel_sizes": (8, 8)}), ""),
        (operation("max_pool", numbers={"kernel_sizes": (9, 9)}), "up to 8 x 8"),
        (operation("relu", (1, 1, 1, 65536), x=(1, 1, 1, 65536)), ""),
        (operation("relu", (1, 1, 1, 65537), x=(1, 1, 1, 65537)), "65,537"),
        (operation("matmul", (1, 16, 16), x=(1, 16, 32768), y=(1, 32768, 16)), ""),
        (operation("matmul", (1, 16, 16), x=(1, 16, 40000), y=(1, 40000, 16)), "inner size"),
        (operation("add", dtype="int32", x=MAP, y=MAP), "32-bit integers"),
        (operation("relu", dtype="fp32"), "float32"),
        (operation("reduce_argmax"), "whatever its size"),
        (operation("gather", x=(1000, 256), indices=(1, 64)), "computed indices"),
        (operation("relu", (0, 64), x=(0, 64)), "not fixed"),
    ],
)
def test_what_the_engine_refuses(made: Operation, reason: str) -> None:
    """Limits of the study's table 5-2, each on both sides."""
    assert (reason in refusal(made)) if reason else not refusal(made)
    assert (estimate(made).engine is None) == bool(reason)


def test_an_operator_that_nobody_tried_is_named() -> None:
    assert untested(operation("einsum")) and not untested(operation("relu")) and not untested(operation("tan"))


def test_other_chips_have_the_rates_that_are_listed_for_them() -> None:
    conv = operation("conv", weight=(64, 64, 3, 3))
    for name, engine_us in {"H13G": 6.518, "H17G": 8.769, "M6": 4.674}.items():
        assert estimate(conv, CHIPS[name]).engine == pytest.approx(engine_us / 1e3, rel=1e-3)
    with pytest.raises(UsageError, match="--chip must be one of M4, M6, H13G"):
        check_chip("M5")
