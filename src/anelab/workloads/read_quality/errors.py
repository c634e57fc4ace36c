"""A network of each base's error, whose chances make a read's: it begins as what qualities state, and can only add."""

import math
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, poisson_nll_loss, relu, softplus

from anelab.workloads.read_quality.encode import BASE_SCALE, BASE_SHIFT, PAD_SCORE, SCORE_SCALE, WIDTH

KERNEL, FAR = 7, 4
"""Bases that a convolution sees, and by how many the second one's are apart."""
LARGEST = 0.97
"""Of a stated chance: Q0 states 1, of which there are no odds."""
KINDS = (4.0, 5.0, 6.0, 7.0)
NUMBER_WEIGHT = 0.03
"""Of the loss of a read's number beside that of a base."""


class ErrorNet(nn.Module):
    """300 floats of reads/3 to the logit of each base's error, [n, WIDTH], by what is near, by what is up to 15 bases
    away, and by what the whole read is like. Without `context` it sees qualities and places only, and is a
    recalibration; with it also the bases around, which it may learn by heart. A read is PASS that has at most `most`
    errors."""

    place: torch.Tensor
    sees: torch.Tensor

    def __init__(self, channels: int, context: bool, most: int) -> None:
        super().__init__()
        self.most = most
        self.near = nn.Conv1d(len(KINDS) + 3, channels, KERNEL, padding=KERNEL // 2)
        self.far = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2 * FAR, dilation=FAR)
        self.base = nn.Conv1d(channels, channels, 1)
        self.read = nn.Conv1d(channels, channels, 1, bias=False)
        self.last = nn.Conv1d(channels, 1, 1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("place", (torch.arange(WIDTH) / (WIDTH / 2) - 1)[None, None])
        self.register_buffer("sees", torch.full((1, len(KINDS), 1), float(context)))

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        return self.of_whole(*_whole(floats))

    def of_whole(self, codes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Of base codes and of Phred scores minus PAD_SCORE, both [n, WIDTH]."""
        inside = codes.clamp(0.0, 1.0)[:, None]
        kinds = torch.cat([(1 - (codes - kind).abs()).clamp(0.0, 1.0)[:, None] for kind in KINDS], dim=1)
        given = torch.cat([kinds * self.sees, inside, scores[:, None] * 0.1, self.place * inside], dim=1)
        around = relu(self.far(relu(self.near(given))))
        mean = (around * inside).sum(dim=2, keepdim=True) / inside.sum(dim=2, keepdim=True).clamp(min=1.0)
        learned: torch.Tensor = self.last(relu(self.base(around) + self.read(mean)))[:, 0]
        chance = torch.exp((scores + PAD_SCORE) * (-math.log(10) / 10)).clamp(max=LARGEST)
        return torch.log(chance + 1e-7) - torch.log(1 - chance) + learned


def error_loss(logits: torch.Tensor, wrong: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Of the logits of each base's error, all [n, WIDTH]: cross entropy a base, and Poisson's loss of the number a
    read, without which the reads that have most errors, few of all, are ranked poorly."""
    each = binary_cross_entropy_with_logits(logits, wrong, reduction="none") * inside
    expected = (torch.sigmoid(logits) * inside).sum(dim=1)
    number = poisson_nll_loss(expected, (wrong * inside).sum(dim=1), log_input=False, full=True, eps=1e-4)
    return each.sum() / inside.sum().clamp(min=1.0) + NUMBER_WEIGHT * number


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
