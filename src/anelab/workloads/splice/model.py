"""The meta-layer: a base model's scores and the sequence to the chance of donor, acceptor and neither."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from anelab.workloads.splice.config import ModelConfig
from anelab.workloads.splice.encoders import OneHot, make_encoder
from anelab.workloads.splice.features import CENTER, FEATURES, LABELS, SCORES, features
from anelab.workloads.splice.fusion import make_fusion

LEAST = 1e-12
"""Smaller probabilities count as this where logarithms are taken."""
CLASSES = len(LABELS)
REACH = 2.0
"""Spreads from the mean, farther than which nothing is told apart: sums of wide ranges are decided by outliers."""
BLEND_SCALE = 10.0
"""A step of the optimiser moves the mixture by so many of its own."""
ROWS_AT_ONCE = 512
REGULAR = 1e-3
"""Of the logarithms of temperatures: few rows say little."""
SHARES, SURE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 2.0
"""Of the sequence alone in the answer; and by how many standard errors of the rows' losses one must be better than
0."""


class ScoreFeatures(nn.Module):
    """Float32 [n, 15] scores to what the network is given of them: their logarithms and the features, both with the
    mean and spread of the training split. Always in 32 bits: in 16, small probabilities are 0."""

    def __init__(self) -> None:
        super().__init__()
        size = len(SCORES) + len(FEATURES)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.mean: Tensor
        self.spread: Tensor

    def forward(self, scores: Tensor) -> Tensor:
        return torch.clamp((self.raw(scores) - self.mean) / self.spread, -REACH, REACH)

    def raw(self, scores: Tensor) -> Tensor:
        """Features whose range is wide are compressed: their sign times log(1 + size)."""
        found = features(scores, torch)
        compressed = torch.sign(found) * torch.log(1 + torch.abs(found))
        return torch.cat([torch.log(torch.clamp(scores, min=LEAST)), compressed], 1)

    def fit(self, scores: Tensor) -> None:
        """To the scores of the training split."""
        found = self.raw(scores).double()
        spread = found.std(dim=0, correction=0)
        self.mean.copy_(found.mean(dim=0))
        self.spread.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))


class BaseLogits(nn.Module):
    """What the base model says of the position, as logits [n, 3]."""

    def forward(self, scores: Tensor) -> Tensor:
        return torch.log(torch.clamp(scores[:, list(CENTER)], min=LEAST))


class SpliceNet(nn.Module):
    """Logits [n, 3] of sequence codes, int32 [n, width], and scores, float32 [n, 15].

    `fusion: stacked` has an encoder for each fold of the training rows, which learns from the other folds, and what
    joins scores and sequence learns from answers for rows that their encoder has not seen. The other kinds have one
    encoder, and learn as a whole. With a residual, logits are a mixture of the base model's and the network's, (1 -
    a) base + a network, where a begins at 0: an untrained network answers what the base model does. `sequence_share`,
    of the encoders' own answer in the result, and `temperature`, of each class, are fitted after training."""

    def __init__(self, config: ModelConfig, width: int, focal_gamma: float = 0.0, distils: bool = True) -> None:
        """`distils`: whether encoders learn the base model's scores too."""
        super().__init__()
        self.config, self.focal_gamma = config, focal_gamma
        self.distillation = config.distillation if distils else 0.0
        self.one_hot, self.scores, self.base = OneHot(), ScoreFeatures(), BaseLogits()
        count = 0 if config.encoder.kind == "none" else config.folds if config.fusion == "stacked" else 1
        self.encoders = nn.ModuleList(make_encoder(config.encoder, width) for _ in range(count))
        heads = (nn.Sequential(nn.GELU(), nn.Linear(config.encoder.output_dim, CLASSES)) for _ in range(count))
        self.heads = nn.ModuleList(heads)
        score_heads = (
            nn.Sequential(nn.GELU(), nn.Linear(config.encoder.output_dim, len(SCORES))) for _ in range(count)
        )
        self.score_heads = nn.ModuleList(score_heads)
        self.fusion = make_fusion(config, len(SCORES) + len(FEATURES))
        self.blend = nn.Parameter(torch.zeros(()))
        self.register_buffer("temperature", torch.ones(CLASSES))
        self.register_buffer("sequence_share", torch.zeros(()))
        self.temperature: Tensor
        self.sequence_share: Tensor

    def forward(self, sequence: Tensor, scores: Tensor) -> Tensor:
        """Temperatures are not applied."""
        fused, alone = self.sides(sequence, scores)
        if alone is None:
            return fused
        mixed: Tensor = (1 - self.sequence_share) * fused + self.sequence_share * alone
        return mixed

    def sides(self, sequence: Tensor, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [n, 3] of scores and sequence together, and of the sequence alone, if it is read."""
        found = self.scores(scores)
        if not self.encoders:
            return self.blended(self.fusion(found, None), scores), None
        bases = self.one_hot(sequence)
        if self.config.fusion == "stacked":
            alone = self.sequence_logits(bases)
            return self.blended(self.fusion(found, alone), scores), alone
        given = self.encoders[0](bases)
        alone = functional.log_softmax(self.heads[0](given[0]), 1)
        return self.blended(self.fusion(found, given), scores), alone

    def sequence_logits(self, bases: Tensor) -> Tensor:
        """Of the sequence alone: the mean of the encoders' log probabilities."""
        logits = [head(encoder(bases)[0]) for encoder, head in zip(self.encoders, self.heads, strict=True)]
        return torch.stack([functional.log_softmax(one, 1) for one in logits]).mean(dim=0)

    def blended(self, logits: Tensor, scores: Tensor) -> Tensor:
        if not self.config.residual:
            return logits
        share = torch.clamp(BLEND_SCALE * self.blend, 0, 1)
        mixed: Tensor = (1 - share) * self.base(scores) + share * logits
        return mixed

    def training_step(self, batch: Mapping[str, Tensor], backward: Callable[[Tensor], None]) -> Mapping[str, Tensor]:
        with torch.no_grad():  # beyond its bounds it would have no gradient, and stay there
            self.blend.clamp_(0, 1 / BLEND_SCALE)
        found = self._dropped(self.scores(batch["scores"]))
        losses: list[Tensor] = []
        given: Tensor | tuple[Tensor, Tensor] | None = None
        if self.encoders:
            bases = self.one_hot(batch["sequence"])
            if self.config.fusion == "stacked":
                given, losses = self._out_of_fold(bases, batch)
            else:
                given = self.encoders[0](bases)
                losses = [self._encoder_loss(0, given[0], batch)]
        members = self.fusion.members(found, given)  # type: ignore[operator]
        losses.append(torch.stack([self.loss_of(logits, batch) for logits in members]).mean())
        logits = torch.stack(list(members)).mean(dim=0).detach()
        losses.append(self.loss_of(self.blended(logits, batch["scores"]), batch))
        loss = torch.stack(losses).sum()
        backward(loss)
        return {"loss": losses[-1].detach(), "total_loss": loss.detach()}

    def loss_of(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        return weighted_cross_entropy(logits, batch, self.focal_gamma)

    def _encoder_loss(self, number: int, vector: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Of the sequence alone: the label, and the logarithms of the base model's scores (Hinton et al. 2015)."""
        loss = self.loss_of(self.heads[number](vector), batch)
        if not self.distillation:
            return loss
        wanted = self.scores(batch["scores"])[:, : len(SCORES)]
        found: Tensor = loss + self.distillation * (self.score_heads[number](vector) - wanted).square().mean()
        return found

    def _dropped(self, found: Tensor) -> Tensor:
        """Of a share of training rows the scores are not seen: each is its mean."""
        share = self.config.modality_dropout
        if not self.training or not share or not self.encoders:
            return found
        return found * (torch.rand(len(found), 1) >= share).to(found)

    def _out_of_fold(self, bases: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Log probabilities of each row by the encoder that does not learn from it, and the losses of the encoders."""
        answers, losses = bases.new_zeros(len(bases), CLASSES), []
        for fold, (encoder, head) in enumerate(zip(self.encoders, self.heads, strict=True)):
            inside = batch["fold"] == fold
            rest = torch.nonzero(~inside)[:, 0]
            if len(rest) > 1:
                part = {name: values[rest] for name, values in batch.items()}
                losses.append(self._encoder_loss(fold, encoder(bases[rest])[0], part))
            rows = torch.nonzero(inside)[:, 0]
            if len(rows):
                encoder.eval()
                with torch.no_grad():
                    answers[rows] = functional.log_softmax(head(encoder(bases[rows])[0]), 1)
                encoder.train()
        return answers, losses


class ProbabilityForm(nn.Module):
    """What is exported: probabilities [n, 3]."""

    def __init__(self, net: SpliceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, sequence: Tensor, scores: Tensor) -> Tensor:
        return torch.softmax(self.net(sequence, scores) / self.net.temperature, dim=1)


def weighted_cross_entropy(logits: Tensor, batch: Mapping[str, Tensor], focal_gamma: float = 0.0) -> Tensor:
    """The mean over rows of weight times loss; with `focal_gamma` that of Lin et al. 2017, (1 - p)^gamma times it."""
    chosen = functional.log_softmax(logits.float(), 1).gather(1, batch["label"][:, None])[:, 0]
    if focal_gamma:
        chosen = chosen * (1 - chosen.exp()) ** focal_gamma
    return -(batch["weight"] * chosen).sum() / batch["weight"].sum().clamp(min=LEAST)


def calibrate(net: SpliceNet, sequence: Tensor, scores: Tensor, label: Tensor) -> None:
    """The share of the sequence alone, and a temperature of each class, by the loss on these rows, which no part of the
    network has seen: where few rows are learned from, what joins scores and sequence may be worse than the sequence.
    The temperature of a class that no row has stays 1."""
    with torch.inference_mode():
        parts = zip(torch.split(sequence, ROWS_AT_ONCE), torch.split(scores, ROWS_AT_ONCE), strict=True)
        sides = [net.sides(*part) for part in parts]
    fused = torch.cat([one[0] for one in sides]).double()
    net.temperature.copy_(_fit_temperature(fused, label)[1])
    net.sequence_share.zero_()
    if sides[0][1] is None:
        return
    alone = torch.cat([one[1] for one in sides if one[1] is not None]).double()
    fits = {share: _fit_temperature((1 - share) * fused + share * alone, label) for share in SHARES}
    best = min(fits, key=lambda share: float(fits[share][0].mean()))
    gain = fits[0.0][0] - fits[best][0]
    if gain.mean() > SURE * gain.std() / len(gain) ** 0.5:
        net.sequence_share.fill_(best)
        net.temperature.copy_(fits[best][1])


def _fit_temperature(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each row with a temperature of each class, and these, float32 [3]."""
    logits = logits.clone()
    present = (torch.bincount(label, minlength=CLASSES) > 0).double()
    log_temperature = torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        found = (
            functional.cross_entropy(logits / (present * log_temperature).exp(), label)
            + REGULAR * log_temperature.square().sum()
        )
        found.backward()  # type: ignore[no-untyped-call]
        return found

    solver.step(loss)  # type: ignore[no-untyped-call]
    temperature = (present * log_temperature.detach()).exp()
    return functional.cross_entropy(logits / temperature, label, reduction="none"), temperature.float()
