"""The network, and its forms for floats, for 16 bits and for bytes."""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anelab.learning.affine import fold_into_linear
from anelab.workloads.read_quality.encode import BASE_SCALE, BASE_SHIFT, FEATURES, PAD_SCORE, SCORE_SCALE, WIDTH

FACTS = 3
SKIP_WIDTH = 16
PER_PHRED = -math.log(10) / 10
"""Of the logarithm of an error's chance."""
NEAR_PER_PHRED = -59 / 256
"""PER_PHRED in so few bits that its product with a whole score is exact in 16 bits."""
RIDGE = 0.003
"""Price of the layers' part of a logit, squared: they answer for no more than what the facts leave open. Free, they
learn habits of the training library, which move the border by 0.05 Phred and more on reads of another instrument."""
LEAST_ERRORS = 1e-3
"""Added to expected errors, in units of 1.28, before their logarithm, which an empty read would else not have."""


def facts(inside: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """What is known to matter, [n, 3]. `inside`, [n, WIDTH], is 1 at a base and 0 at a pad; `scores`, [n, WIDTH], are
    Phred minus PAD_SCORE, 0 at a pad."""
    return _scaled(inside, _sum(scores), _sum(torch.exp(scores * PER_PHRED) * inside))


def _facts_for_16_bits(inside: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The same of whole scores. There, score * PER_PHRED would be off by up to 0.002, alike wherever the score is."""
    near = torch.exp(scores * NEAR_PER_PHRED)
    chances = near + near * (scores * (PER_PHRED - NEAR_PER_PHRED))
    return _scaled(inside, _sum(scores), _sum(chances * inside))


def _sum(values: torch.Tensor) -> torch.Tensor:
    return values.sum(dim=1, keepdim=True)


def _scaled(inside: torch.Tensor, total: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
    """Mean Phred, log expected errors and length, scaled so that a threshold is learned sharply, by factors that 16
    bits hold. Both [n, 1]: `total` is the sum of all scores minus PAD_SCORE, `errors` are expected, in units of what
    one base of PAD_SCORE has."""
    length = _sum(inside)
    mean = total / length.clamp(min=1.0)
    return torch.cat([mean * (13 / 16), torch.log(errors * (1 / 128) + LEAST_ERRORS), length * (5 / 128) - 2.0], dim=1)


def _centred() -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift of floats that put every pad at exactly zero, so that it adds nothing to the first layer."""
    half = torch.ones(WIDTH)
    scale = torch.cat([half * 0.5, half * 4])
    return scale, torch.cat([half * 0.5, half * (-4 * PAD_SCORE * SCORE_SCALE)])


class ReadNet(nn.Module):
    """300 floats of reads/3 to one logit: layers over all of them, and a skip path over what is known to matter, so
    that the former need not learn to count."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, hidden: list[int], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([FEATURES, *hidden]):
            layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
        self.skip = nn.Sequential(nn.Linear(FACTS, SKIP_WIDTH), nn.ReLU(), nn.Linear(SKIP_WIDTH, 1))
        scale, shift = _centred()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, floats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 [n, 300] to two parts of the logit, [n] each: of the layers, and of the skip path."""
        layers, skip = self.layers(floats * self.scale + self.shift), self.skip(_facts_of_floats(floats))
        return layers.squeeze(1), skip.squeeze(1)


def read_loss(answer: tuple[torch.Tensor, torch.Tensor], label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of a ReadNet's answer against float32 labels [n], and the same with RIDGE: what to minimise."""
    layers, skip = answer
    loss = binary_cross_entropy_with_logits(layers + skip, label)
    return loss, loss + RIDGE * layers.square().mean()


def _facts_of_floats(floats: torch.Tensor) -> torch.Tensor:
    inside = (floats[:, :WIDTH] * (1 / BASE_SCALE) + (-BASE_SHIFT / BASE_SCALE)).clamp(0.0, 1.0)
    return facts(inside, floats[:, WIDTH:] * (1 / SCORE_SCALE) - PAD_SCORE)


class _Form(nn.Module):
    """A trained network without what only training needs; `scale` and `shift` go into its first layer."""

    def __init__(self, net: ReadNet, scale: torch.Tensor, shift: torch.Tensor) -> None:
        super().__init__()
        first, *rest = [layer for layer in net.layers if not isinstance(layer, nn.Dropout)]
        assert isinstance(first, nn.Linear)
        self.layers = nn.Sequential(fold_into_linear(first, scale, shift), *rest)
        self.skip = net.skip
        self.eval()

    def probability(self, values: torch.Tensor, skip_inputs: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layers(values) + self.skip(skip_inputs))


class FloatForm(_Form):
    """float32 [n, 300] to probability of PASS [n, 1], the centring folded into the first layer."""

    def __init__(self, net: ReadNet) -> None:
        super().__init__(net, net.scale, net.shift)

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        return self.probability(floats, _facts_of_floats(floats))


class _InTwoParts(nn.Module):
    """A linear layer for 16 bits: each weight is the sum of two that 16 bits hold, so rounding costs it nothing."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * layer.in_features, layer.out_features)
        with torch.no_grad():
            high = layer.weight.half().float()
            self.layer.weight.copy_(torch.cat([high, layer.weight - high], dim=1))
            self.layer.bias.copy_(layer.bias)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([values, values], dim=1))  # type: ignore[no-any-return]


class HalfForm(_Form):
    """float32 [n, 300] to probability of PASS [n, 1], for 16-bit arithmetic.

    There, q / 93 is off by up to 5e-4 of itself, alike for every base of one score, and the centring folded
    into the first layer makes a bias so large (46 on the default data) that rounding it decides reads. So
    features become whole numbers first, which 16 bits hold exactly, and pads and Q20 become zero. The skip path
    decides by a small difference of large terms, so its weights are kept in two parts.
    """

    steps: torch.Tensor
    centre: torch.Tensor

    def __init__(self, net: ReadNet) -> None:
        half = torch.ones(WIDTH)
        steps = torch.cat([half / BASE_SCALE, half / SCORE_SCALE])
        super().__init__(net, net.scale.cpu() / steps, torch.tensor(0.0))
        self.skip = nn.Sequential(
            *(_InTwoParts(layer) if isinstance(layer, nn.Linear) else layer for layer in net.skip)
        )
        self.register_buffer("steps", steps)
        self.register_buffer("centre", torch.round(-net.shift.cpu() / net.scale.cpu() * steps))

    def forward(self, floats: torch.Tensor) -> torch.Tensor:
        whole = torch.round(floats * self.steps) - self.centre  # base codes, then Phred scores minus PAD_SCORE
        return self.probability(whole, _facts_for_16_bits(whole[:, :WIDTH].clamp(0.0, 1.0), whole[:, WIDTH:]))


class RawForm(_Form):
    """uint8 [n, 300] to probability of PASS [n, 1], the whole encoding folded into the first layer."""

    def __init__(self, net: ReadNet) -> None:
        half = torch.ones(WIDTH, dtype=torch.float64)
        scale, shift = net.scale.cpu().double(), net.shift.cpu().double()
        encoding = torch.cat([half * BASE_SCALE, half * SCORE_SCALE])
        super().__init__(net, scale * encoding, torch.cat([scale[:WIDTH] * BASE_SHIFT, half * 0]) + shift)

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        values = raw.to(torch.float32)
        inside, phred = values[:, :WIDTH].clamp(0.0, 1.0), values[:, WIDTH:]
        total = _sum(phred) - PAD_SCORE * WIDTH  # a pad's is PAD_SCORE
        errors = _sum(torch.exp(phred * PER_PHRED) * inside) * 10 ** (PAD_SCORE / 10)
        return self.probability(values, _scaled(inside, total, errors))
