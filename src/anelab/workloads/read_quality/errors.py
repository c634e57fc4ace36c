"""A network of each base's error, whose chances make a read's: it begins as what qualities state, and can only add."""

import math
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import softplus

from anelab.workloads.read_quality.encode import BASE_SCALE, BASE_SHIFT, SCORE_SCALE
from anelab.workloads.read_quality.fastq import PAD_SCORE, WIDTH

KERNEL = 7
LARGEST = 0.97
"""Of a stated chance: Q0 states 1, of which there are no odds."""
KINDS = (4.0, 5.0, 6.0, 7.0)


class ErrorNet(nn.Module):
    """300 floats of reads/3 to the logit of each base's error, [n, WIDTH]. Without `context` it sees qualities and
    places only, and is a recalibration; with it also the bases around, which it may learn by heart. A read is PASS
    that has at most `most` errors."""

    place: torch.Tensor
    sees: torch.Tensor

    def __init__(self, channels: int, context: bool, most: int) -> None:
        super().__init__()
        self.most = most
        self.layers = nn.Sequential(
            nn.Conv1d(len(KINDS) + 3, channels, KERNEL, padding=KERNEL // 2),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv1d(channels, 1, 1),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Conv1d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("place", (torch.arange(WIDTH) / (WIDTH / 2) - 1)[None, None])
        self.register_buffer("sees", torch.full((1, len(KINDS), 1), float(context)))

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        return self.of_whole(*_whole(floats))

    def of_whole(self, codes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Of base codes and of Phred scores minus PAD_SCORE, both [n, WIDTH]."""
        inside = codes.clamp(0.0, 1.0)[:, None]
        kinds = torch.cat([(1 - (codes - kind).abs()).clamp(0.0, 1.0)[:, None] for kind in KINDS], dim=1)
        given = torch.cat([kinds * self.sees, inside, scores[:, None] * 0.1, self.place * inside], dim=1)
        chance = torch.exp((scores + PAD_SCORE) * (-math.log(10) / 10)).clamp(max=LARGEST)
        stated = torch.log(chance + 1e-7) - torch.log(1 - chance)
        learned: torch.Tensor = self.layers(given)[:, 0]
        return stated + learned


def _whole(floats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Base codes, and Phred scores minus PAD_SCORE, of floats."""
    codes = floats[:, :WIDTH] * (1 / BASE_SCALE) + (-BASE_SHIFT / BASE_SCALE)
    return codes, floats[:, WIDTH:] * (1 / SCORE_SCALE) - PAD_SCORE


def inside_of(floats: torch.Tensor) -> torch.Tensor:
    """[n, WIDTH]: 1 at a base, 0 at a pad."""
    return _whole(floats)[0].clamp(0.0, 1.0)


class ErrorForm(nn.Module):
    """Floats, or bytes for "raw", [n, 300] to probability of PASS [n, 1]. For 16 bits ("half") inputs become whole
    numbers first, which these hold exactly."""

    def __init__(self, net: ErrorNet, kind: Literal["float", "half", "raw"]) -> None:
        super().__init__()
        self.net, self.kind = net, kind
        self.eval()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if self.kind == "raw":
            values = given.to(torch.float32)
            codes, scores = values[:, :WIDTH], values[:, WIDTH:] - PAD_SCORE
        else:
            codes, scores = _whole(given)
        if self.kind == "half":
            codes, scores = torch.round(codes), torch.round(scores)
        none = softplus(self.net.of_whole(codes, scores)) * codes.clamp(0.0, 1.0)  # minus the logarithm of no error
        return at_most(self.net.most, none.sum(dim=1, keepdim=True))


def at_most(most: int, mean: torch.Tensor) -> torch.Tensor:
    """Poisson's probability of at most so many; exact for none, where `mean` is minus the logarithm of no error."""
    term = total = torch.exp(-mean)
    for number in range(1, most + 1):
        term = term * mean / number
        total = total + term
    return total
