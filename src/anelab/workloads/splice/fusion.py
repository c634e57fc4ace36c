"""How scores and sequence are joined. Each takes what is made of the scores, [n, m], and of the sequence, and gives
logits [n, 3]."""

import torch
from torch import Tensor, nn

from anelab.workloads.splice.config import ModelConfig
from anelab.workloads.splice.features import LABELS

CLASSES = len(LABELS)
ATTENTION_HEADS = 4
MIDDLE, SPREAD = -2.0, 2.0
"""Of log probabilities of the sequence, about."""
NETWORKS = 4
"""Small networks whose logits are averaged where the encoders' answers are given."""


class Stacked(nn.Module):
    """Given is the sequence's log probabilities [n, 3], or None: a linear layer, and the mean of small networks."""

    def __init__(self, config: ModelConfig, scores: int) -> None:
        super().__init__()
        size = scores + (0 if config.encoder.kind == "none" else CLASSES)
        self.linear = nn.Linear(size, CLASSES)
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(size, config.hidden), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, CLASSES)
            )
            for _ in range(NETWORKS)
        )

    def members(self, scores: Tensor, sequence: Tensor | None) -> list[Tensor]:
        """Logits by each of the networks, which learn apart."""
        given = scores
        if sequence is not None:
            given = torch.cat([scores, torch.clamp((sequence - MIDDLE) / SPREAD, -2, 2)], 1)
        return [self.linear(given) + network(given) for network in self.networks]

    def forward(self, scores: Tensor, sequence: Tensor | None) -> Tensor:
        return torch.stack(self.members(scores, sequence)).mean(dim=0)


class Joined(nn.Module):
    """Given is the encoder's vector [n, d] and places [n, p, d], or None."""

    def __init__(self, config: ModelConfig, scores: int) -> None:
        super().__init__()
        hidden, dimension = config.hidden, config.encoder.output_dim
        self.kind = "none" if config.encoder.kind == "none" else config.fusion
        self.of_scores = nn.Sequential(
            nn.Linear(scores, hidden), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(hidden, hidden)
        )
        self.direct = nn.Linear(scores, CLASSES)
        if self.kind != "none":
            self.of_sequence = nn.Linear(dimension, hidden)
        if self.kind == "gated":
            self.gate = nn.Linear(2 * hidden, hidden)
        if self.kind == "cross_attention":
            self.attention = CrossAttention(hidden, dimension)
        width = 2 * hidden if self.kind in ("concat", "cross_attention") else hidden
        self.head = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(width, CLASSES))

    def members(self, scores: Tensor, sequence: tuple[Tensor, Tensor] | None) -> list[Tensor]:
        return [self(scores, sequence)]

    def forward(self, scores: Tensor, sequence: tuple[Tensor, Tensor] | None) -> Tensor:
        found = self.of_scores(scores)
        if sequence is not None:
            found = self._joined(found, *sequence)
        logits: Tensor = self.direct(scores) + self.head(found)
        return logits

    def _joined(self, scores: Tensor, vector: Tensor, places: Tensor) -> Tensor:
        found: Tensor = self.of_sequence(vector)
        match self.kind:
            case "add":
                return scores + found
            case "gated":
                share: Tensor = torch.sigmoid(self.gate(torch.cat([scores, found], 1)))
                return share * scores + (1 - share) * found
            case "cross_attention":
                found = found + self.attention(scores, places)
        return torch.cat([scores, found], 1)


class CrossAttention(nn.Module):
    """What is made of the scores asks, each place of the sequence answers."""

    def __init__(self, hidden: int, dimension: int) -> None:
        super().__init__()
        self.heads = ATTENTION_HEADS if hidden % ATTENTION_HEADS == 0 else 1
        self.ask, self.key = nn.Linear(hidden, hidden), nn.Linear(dimension, hidden)
        self.value = nn.Linear(dimension, hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, scores: Tensor, places: Tensor) -> Tensor:
        count = places.shape[1]
        size = self.ask.out_features // self.heads
        ask = self.ask(scores).reshape(-1, self.heads, 1, size)
        key = self.key(places).reshape(-1, count, self.heads, size).permute(0, 2, 3, 1)
        value = self.value(places).reshape(-1, count, self.heads, size).permute(0, 2, 1, 3)
        weights = torch.softmax(ask @ key / size**0.5, dim=-1)  # [rows, heads, 1, places]
        found: Tensor = self.out((weights @ value).reshape(-1, self.heads * size))
        return found


def make_fusion(config: ModelConfig, scores: int) -> nn.Module:
    return (Stacked if config.fusion == "stacked" else Joined)(config, scores)
