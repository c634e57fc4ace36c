"""The network, and its forms for floats and for bytes."""

from itertools import pairwise

import torch
from torch import nn

from anelab.learning.affine import fold_into_linear
from anelab.workloads.read_quality.encode import (
    FEATURES,
    QUALITY_SCALE,
    QUALITY_SHIFT,
    base_table,
)
from anelab.workloads.read_quality.fastq import WIDTH


class ReadNet(nn.Module):
    """300 floats of reads/2 to one logit: centre, then linear layers with ReLU and dropout."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, hidden: list[int], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([FEATURES, *hidden]):
            layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
        # Centring puts every pad at exactly zero: it then adds nothing to the first layer.
        bases, qualities = torch.ones(WIDTH), torch.ones(WIDTH)
        self.register_buffer("scale", torch.cat([bases * 0.5, qualities * 4]))
        self.register_buffer("shift", torch.cat([bases * 0.5, qualities * (-4 * 20 / 93)]))

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        """float32 [n, 300] to logits [n]."""
        return self.layers(floats * self.scale + self.shift).squeeze(1)  # type: ignore[no-any-return]


def float_form(net: ReadNet) -> nn.Sequential:
    """float32 [n, 300] to probability of PASS [n, 1], the centring folded into the first layer."""
    first, *rest = [layer for layer in net.layers if not isinstance(layer, nn.Dropout)]
    assert isinstance(first, nn.Linear)
    return nn.Sequential(fold_into_linear(first, net.scale, net.shift), *rest, nn.Sigmoid()).eval()


class HalfForm(nn.Module):
    """float32 [n, 300] to probability of PASS [n, 1], for 16-bit arithmetic.

    There, q / 93 is off by up to 5e-4 of itself, alike for every base of one score, and the centring folded
    into the first layer makes a bias so large (46 on the default data) that rounding it decides reads. So
    features become whole numbers first, which 16 bits hold exactly, and pads and Q20 become zero.
    """

    steps: torch.Tensor
    centre: torch.Tensor

    def __init__(self, net: ReadNet) -> None:
        super().__init__()
        first, *rest = [layer for layer in net.layers if not isinstance(layer, nn.Dropout)]
        assert isinstance(first, nn.Linear)
        half = torch.ones(WIDTH)
        self.register_buffer("steps", torch.cat([half * 4, half / QUALITY_SCALE]))
        self.register_buffer("centre", torch.round(-net.shift / net.scale * self.steps))
        unit = (net.scale / self.steps, torch.tensor(0.0))
        self.layers = nn.Sequential(fold_into_linear(first, *unit), *rest, nn.Sigmoid())

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        whole = torch.round(floats * self.steps) - self.centre
        return self.layers(whole)  # type: ignore[no-any-return]


class RawForm(nn.Module):
    """uint8 [n, 300] to probability of PASS [n, 1]: base characters through a table, qualities folded."""

    table: torch.Tensor

    def __init__(self, net: ReadNet) -> None:
        super().__init__()
        first, *rest = float_form(net)
        assert isinstance(first, nn.Linear)
        half = torch.ones(WIDTH, dtype=torch.float64)
        scale = torch.cat([half, half * QUALITY_SCALE])
        shift = torch.cat([half * 0, half * QUALITY_SHIFT])
        self.layers = nn.Sequential(fold_into_linear(first, scale, shift), *rest)
        self.register_buffer("table", torch.from_numpy(base_table()))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        bases = self.table[raw[:, :WIDTH].to(torch.int64)]
        return self.layers(torch.cat([bases, raw[:, WIDTH:].to(torch.float32)], dim=1))  # type: ignore[no-any-return]
