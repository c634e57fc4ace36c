"""Networks that read the sequence around a position. Each gives a vector [n, output_dim] and places [n, p, output_dim]
along the sequence, for attention over positions."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from anelab.errors import AnelabError
from anelab.workloads.splice.config import EncoderConfig
from anelab.workloads.splice.hyena import SIZES, HyenaBackbone
from anelab.workloads.splice.hyena_weights import load_backbone

CHANNELS = 6
"""A, C, G, T, any other letter, and no base."""
POOL = 5
FAR = 64
"""Filters of what lies farther from the position."""


class OneHot(nn.Module):
    """Int32 codes of nucleotides [n, width] to float32 [n, CHANNELS, width]."""

    def __init__(self) -> None:
        super().__init__()
        table = torch.zeros(9, CHANNELS)
        table[0, 5] = table[8, 4] = 1
        table[4:8, :4] = torch.eye(4)
        table[1:4, 4] = 1  # codes that no letter has
        self.register_buffer("table", table)
        self.table: Tensor

    def forward(self, sequence: Tensor) -> Tensor:
        return functional.embedding(sequence, self.table).transpose(1, 2)


class CnnEncoder(nn.Module):
    """Kernels of several sizes at every base; near the position each base keeps its own weights, farther away maxima of
    5 and then of 25 bases do."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        self.near = min(config.near, width)
        self.start = (width - self.near) // 2
        filters, dimension = config.num_filters * len(config.kernel_sizes), config.output_dim
        self.kernels = nn.ModuleList(
            nn.Conv1d(CHANNELS, config.num_filters, size, padding=size // 2) for size in config.kernel_sizes
        )
        self.near_norm, self.far_norm = nn.BatchNorm1d(filters), nn.BatchNorm1d(filters)
        self.mix = nn.Sequential(nn.Conv1d(filters, 2 * config.num_filters, 1), nn.ReLU())
        self.first = nn.Sequential(nn.Conv1d(filters, FAR, 5, padding=2), nn.BatchNorm1d(FAR), nn.ReLU())
        self.second = nn.Sequential(nn.Conv1d(FAR, FAR, 5, padding=2), nn.BatchNorm1d(FAR), nn.ReLU())
        self.of_near = nn.Linear(self.near * 2 * config.num_filters, dimension)
        self.of_far = nn.Linear(FAR * (width // POOL // POOL), dimension)
        self.place = nn.Linear(FAR, dimension)
        self.dropout = nn.Dropout(config.dropout)
        self.join = nn.Sequential(nn.LayerNorm(2 * dimension), nn.GELU(), nn.Dropout(config.dropout))
        self.out = nn.Linear(2 * dimension, dimension)

    def forward(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.cat([kernel(bases) for kernel in self.kernels], 1)
        near = self.mix(functional.relu(self.near_norm(found[:, :, self.start : self.start + self.near])))
        far = functional.relu(self.far_norm(functional.max_pool1d(found, POOL)))  # fewer places are normalised
        far = self.second(functional.max_pool1d(self.first(far), POOL))
        parts = [self.of_near(self.dropout(near.flatten(1))), self.of_far(self.dropout(far.flatten(1)))]
        return self.out(self.join(torch.cat(parts, 1))), self.place(far.transpose(1, 2))


class DilatedEncoder(nn.Module):
    """Residual blocks of two convolutions each, of growing dilation, as SpliceAI has them (Jaganathan et al. 2019)."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        self.center = width // 2
        filters = 2 * config.num_filters
        self.into = nn.Conv1d(CHANNELS, filters, 1)
        dilations = [1 if layer < config.layers // 2 else 4 for layer in range(config.layers)]
        self.blocks = nn.ModuleList(_block(filters, 11, dilation) for dilation in dilations)
        self.place = nn.Linear(filters, config.output_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        found = self.into(bases)
        for block in self.blocks:
            found = found + block(found)
        vector = self.place(self.dropout(found[:, :, self.center]))
        return vector, self.place(functional.avg_pool1d(found, POOL * POOL).transpose(1, 2))


def _block(filters: int, size: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        padding = dilation * (size // 2)
        layers += [nn.BatchNorm1d(filters), nn.ReLU()]
        layers.append(nn.Conv1d(filters, filters, size, padding=padding, dilation=dilation))
    return nn.Sequential(*layers)


class HyenaEncoder(nn.Module):
    """HyenaDNA's backbone: the mean of its places, and the last, which has seen all before it."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        if config.pretrained is None:
            self.backbone = HyenaBackbone(SIZES[config.model_size])
        else:
            self.backbone = load_backbone(Path(config.pretrained))
        if width > self.backbone.shape.longest:
            raise AnelabError(f"HyenaDNA takes {self.backbone.shape.longest} bases here, but data.window is {width}")
        self.backbone.requires_grad_(not config.freeze)
        inner = self.backbone.shape.width
        self.out = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(2 * inner, config.output_dim))
        self.place = nn.Linear(inner, config.output_dim)

    def forward(self, bases: Tensor) -> tuple[Tensor, Tensor]:
        found = self.backbone(bases)
        vector = self.out(torch.cat([found.mean(dim=1), found[:, -1]], 1))
        return vector, self.place(functional.avg_pool1d(found.transpose(1, 2), POOL * POOL).transpose(1, 2))


ENCODERS: Mapping[str, type[nn.Module]] = {"cnn": CnnEncoder, "dilated": DilatedEncoder, "hyenadna": HyenaEncoder}


def make_encoder(config: EncoderConfig, width: int) -> nn.Module:
    """By `config.kind`; "none" has no network. Raises AnelabError if a checkpoint does not fit."""
    return ENCODERS[config.kind](config, width)
