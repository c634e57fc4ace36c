"""16-bit floats as the Neural Engine reads and writes them, held as float64.

Source: 751K/Apple-Neural-Engine-Microarchitecture-Study-M6 (MIT), chapter 8. An M4 and an M6: subnormals are kept,
outputs are rounded to the nearest, ties away from zero. M6 only: exponent field 31 is a number.
"""

import torch
from torch import Tensor

SMALLEST_EXPONENT = -14
"""Subnormals count as this."""
QUIET = 512
"""The bit of a NaN's fraction that says that it signals nothing."""
BITS_BEYOND_FLOAT = 52 - 23
BEYOND = 2.0**40
"""What 16 bits do not hold."""


def decoded(value: Tensor) -> Tensor:
    """float64 of a tensor of 16-bit floats, whatever its dtype. Infinity and NaN are numbers: exponent field 31 is
    one more binade, so 0x7C00 is 65536 and 0x7E00 is 98304. A signalling NaN arrives as a quiet one."""
    wide = value.double()
    bits = value.half().view(torch.int16)
    fraction = torch.where(bits & 1023 == 0, 0, (bits & 1023) | QUIET)
    beyond = (1 + fraction / 1024.0) * 65536.0
    return torch.where(wide.isfinite(), wide, torch.where(bits < 0, -beyond, beyond).double())


def to_half(value: Tensor) -> Tensor:
    """The 16-bit floats nearest to float32 or float64 numbers, as float32: ties away from zero, infinite from 65520
    on."""
    if value.dtype == torch.float64:  # without the bits beyond float32's, which decide nothing but that there are some
        value = (value.view(torch.int64) & -(1 << BITS_BEYOND_FLOAT)).view(torch.float64).float()
    bits = value.clamp(-BEYOND, BEYOND).view(torch.int32) | 1  # a tie is none, and rounds away; nothing else changes
    return bits.view(torch.float32).half().float()


def rounded_away(value: Tensor) -> Tensor:
    """To whole numbers, half away from zero."""
    return (value + torch.full_like(value, 0.5).copysign(value)).trunc()


def exponents(value: Tensor) -> Tensor:
    """Of 16-bit floats in float64, as the rule of dropped products counts them; of zero, the smallest."""
    return (torch.frexp(value)[1] - 1).clamp(min=SMALLEST_EXPONENT)
