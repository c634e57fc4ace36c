"""Networks from ids of tokens, int [n, L], and their mask, [n, L], to an embedding [n, dimension].

All are sums and maxima over places, or attention by distance, so that padding changes nothing wherever it stands, and
plain operators throughout: ONNX opset 13 and Core ML take them.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

NOTHING = -1e4
"""In place of minus infinity: 16 bits have it."""


def pooled(values: Tensor, mask: Tensor, kind: str) -> Tensor:
    """[n, L, width] to [n, width], over the places where mask, [n, L], is 1; zeros where there are none."""
    here = mask.to(values.dtype)[:, :, None]
    if kind == "max":
        highest: Tensor = (values * here + NOTHING * (1 - here)).amax(dim=1) * here.amax(dim=1)
        return highest
    mean: Tensor = (values * here).sum(dim=1) / here.sum(dim=1).clamp(min=1)
    return mean


class KmerNet(nn.Module):
    """The mean of learned vectors of all tokens, which are k-mer frequencies times a matrix; then a perceptron,
    and beside it a skip connection."""

    def __init__(self, vocabulary: int, width: int, hidden: Sequence[int], dimension: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.table.weight, std=1.0)
        sizes, layers = [width, *hidden], list[nn.Module]()
        for size, following in pairwise(sizes):
            layers += [nn.Linear(size, following), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], dimension))
        self.norm = nn.BatchNorm1d(width)
        self.skip = nn.Linear(width, dimension)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.embedding(self.mean(ids, mask))

    def embedding(self, mean: Tensor) -> Tensor:
        values = self.norm(mean)
        answer: Tensor = self.layers(values) + self.skip(values)
        return answer

    def mean(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[n, width], without the vectors of all places, which a gather would make: on the CPU row by row, elsewhere by
        counts of tokens and one product. What is exported is the gather: ONNX opset 13 and Core ML have it."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[attr-defined, no-untyped-call]
            return pooled(self.table(ids), mask, "mean")
        if ids.device.type == "cpu":
            here = mask.bool()
            counts = here.sum(dim=1)
            starts = counts.cumsum(dim=0) - counts
            return embedding_bag(ids[here].long(), self.table.weight, starts, mode="mean")
        here = mask.to(self.table.weight.dtype)
        counts = here.new_zeros(len(ids), self.table.num_embeddings).scatter_add_(1, ids.long(), here)
        return counts @ self.table.weight / here.sum(dim=1, keepdim=True).clamp(min=1)


class Convolutions(nn.Module):
    """Residual blocks of 1-D convolutions over token vectors."""

    def __init__(self, vocabulary: int, width: int, layers: int, dropout: float, kernel: int = 7) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(_block(width, kernel, dropout) for _ in range(layers))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[n, L, width]"""
        here = mask.to(self.table.weight.dtype)[:, None, :]
        values = self.table(ids).transpose(1, 2) * here
        for block in self.blocks:
            values = (values + block(values)) * here
        answer: Tensor = values.transpose(1, 2)
        return answer


def _block(width: int, kernel: int, dropout: float) -> nn.Sequential:
    wide = nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2)
    return nn.Sequential(wide, nn.ReLU(), nn.Dropout(dropout), nn.Conv1d(2 * width, width, 1))


class Attention(nn.Module):
    """Explicit multi-head attention; places know each other by their distance only (ALiBi, arXiv 2108.12409, in both
    directions), so that padding may stand anywhere."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.slopes = [2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)]

    def forward(self, values: Tensor, bias: Tensor) -> Tensor:
        """`values`: [n, L, width]; `bias`: [n, 1, 1, L], NOTHING where no token is."""
        n, length, width = values.shape
        query, key, value = (
            part(values).reshape(n, length, self.heads, self.size).transpose(1, 2)  # [n, heads, L, size]
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) * self.size**-0.5 + self._distances(length, values) + bias
        answer: Tensor = self.out((scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, length, width))
        return answer

    def _distances(self, length: int, like: Tensor) -> Tensor:
        """[heads, L, L]"""
        place = torch.arange(length, dtype=like.dtype, device=like.device)
        slopes = torch.tensor(self.slopes, dtype=like.dtype, device=like.device)
        return -(place[None, :] - place[:, None]).abs() * slopes[:, None, None]


class Transformer(nn.Module):
    """Pre-norm layers of attention and a perceptron. With `cls` a learned token stands in front, whose vector the
    pooling takes."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, dropout: float, cls: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.first = nn.Parameter(torch.zeros(1, 1, width)) if cls else None
        self.attention = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.feed_forward = nn.ModuleList(_feed_forward(width, dropout) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.drop = nn.Dropout(dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[n, L, width], or with `cls` [n, 1 + L, width]"""
        values = self.table(ids)
        if self.first is not None:
            values = torch.cat([self.first + torch.zeros_like(values[:, :1]), values], dim=1)
            mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        bias = (1 - mask.to(values.dtype))[:, None, None, :] * NOTHING
        for place, (attend, feed) in enumerate(zip(self.attention, self.feed_forward, strict=True)):
            values = values + self.drop(attend(self.norms[2 * place](values), bias))
            values = values + self.drop(feed(self.norms[2 * place + 1](values)))
        answer: Tensor = self.norms[-1](values)
        return answer


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))


class PooledNet(nn.Module):
    """A network of places, what is pooled of them, and a linear map to the embedding."""

    def __init__(self, places: nn.Module, width: int, dimension: int, pooling: str) -> None:
        super().__init__()
        self.places, self.pooling = places, pooling
        self.out = nn.Linear(width, dimension)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        values = self.places(ids, mask)
        answer: Tensor = self.out(values[:, 0] if self.pooling == "cls" else pooled(values, mask, self.pooling))
        return answer


class Autoencoder(nn.Module):
    """Each token from its surroundings, through a narrow vector of each place; the embedding, `latent`, is what is
    pooled of these."""

    def __init__(self, vocabulary: int, width: int, latent: int, layers: int, dropout: float, pooling: str) -> None:
        super().__init__()
        self.encoder = Convolutions(vocabulary, width, layers, dropout)
        self.narrow = nn.Linear(width, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, vocabulary))
        self.pooling = pooling

    def latents(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[n, L, latent]"""
        answer: Tensor = self.narrow(self.encoder(ids, mask))
        return answer

    def reconstruct(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Scores of every token at every place, [n, L, vocabulary]."""
        answer: Tensor = self.decoder(self.latents(ids, mask))
        return answer

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return pooled(self.latents(ids, mask), mask, self.pooling)


class TiedStrands(nn.Module):
    """The mean of what a network gives for a sequence and for its reverse complement, so that both have one embedding,
    to the last bit. `other`: int [vocabulary], each token's counterpart on the other strand."""

    def __init__(self, net: nn.Module, other: Tensor) -> None:
        super().__init__()
        self.net = net
        self.other: Tensor
        self.register_buffer("other", other.to(torch.int32), persistent=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        length = ids.shape[1]
        places = (mask.sum(dim=1, keepdim=True) - 1 - torch.arange(length, device=ids.device)) % length
        turned = self.other[ids.long()].gather(1, places.long())  # padding stays behind
        answer: Tensor = (self.net(ids, mask) + self.net(turned, mask)) / 2
        return answer
