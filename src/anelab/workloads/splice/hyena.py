"""HyenaDNA's backbone (Nguyen et al. 2023, arXiv 2306.15794): the order-2 Hyena operator with implicit filters (Poli et
al. 2023, arXiv 2302.10866), written here, with the names of the published checkpoints' weights.

A filter is as long as the sequence and comes from a small network of the place. Training multiplies spectra; an
exported graph has the filter of its one length as constants: a DFT by products of matrices, or a convolution of each
channel."""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

TOKENS = (7, 8, 9, 10, 11, 4)
"""Of A, C, G, T, any other letter, and no base: the order of an encoder's channels."""
SHIFT = 0.05
"""What modulation adds to the decay."""


@dataclass(frozen=True)
class HyenaShape:
    """`longest`: places for which filters can be made."""

    width: int
    layers: int
    inner: int
    longest: int
    vocabulary: int = 16
    filter_order: int = 64
    place_features: int = 5


SIZES: Mapping[str, HyenaShape] = {
    "tiny": HyenaShape(128, 2, 512, 1026),
    "small": HyenaShape(256, 4, 1024, 32_770),
    "medium": HyenaShape(256, 8, 1024, 160_002),
    "large": HyenaShape(256, 8, 1024, 1_000_002),
}


class Sin(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.freq = nn.Parameter(10 * torch.ones(1, size))

    def forward(self, values: Tensor) -> Tensor:
        return torch.sin(self.freq * values)


class PlaceFeatures(nn.Module):
    """`t` [1, n, 1] from 0 to 1, and `z` [1, n, f]: t, and sines and cosines of the place."""

    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        place = torch.linspace(0, 1, shape.longest)[None, :, None]
        bands = (shape.place_features - 1) // 2
        turns = 2 * math.pi * torch.arange(shape.longest)[None, :, None] / shape.longest
        angle = torch.linspace(1e-4, bands - 1, bands)[None, None] * turns
        self.z = nn.Parameter(torch.cat([place, torch.cos(angle), -torch.sin(angle)], -1))
        self.register_buffer("t", place)
        self.t: Tensor


class Modulation(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        fastest, slowest = math.log(1e-2) / 0.3, math.log(1e-2) / 1.5
        self.deltas = nn.Parameter(torch.linspace(slowest, fastest, width)[None, None])

    def forward(self, place: Tensor, filters: Tensor) -> Tensor:
        found: Tensor = filters * (torch.exp(-place * self.deltas.abs()) + SHIFT)
        return found


class ImplicitFilter(nn.Module):
    """`filters(n)`: float32 [width, n], what each channel is convolved with; `bias` goes beside it."""

    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(shape.width))
        self.pos_emb = PlaceFeatures(shape)
        order, sine = shape.filter_order, Sin(shape.filter_order)
        self.implicit_filter = nn.Sequential(
            nn.Linear(shape.place_features, order),
            sine,
            nn.Linear(order, order),
            sine,
            nn.Linear(order, order),
            sine,
            nn.Linear(order, shape.width, bias=False),
        )
        self.modulation = Modulation(shape.width)

    def filters(self, length: int) -> Tensor:
        found = self.implicit_filter(self.pos_emb.z[:, :length])
        modulated: Tensor = self.modulation(self.pos_emb.t[:, :length], found)[0].T
        return modulated


class HyenaOperator(nn.Module):
    """Float32 [n, length, width] to the same; a place sees only those before it. `convolve`, if it is there, has the
    filter of a fixed length."""

    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.width = shape.width
        self.in_proj = nn.Linear(shape.width, 3 * shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)
        self.short_filter = nn.Conv1d(3 * shape.width, 3 * shape.width, 3, groups=3 * shape.width, padding=2)
        self.filter_fn = ImplicitFilter(shape)
        self.convolve: nn.Module | None = None

    def forward(self, values: Tensor) -> Tensor:
        length = values.shape[1]
        mixed = self.short_filter(self.in_proj(values).transpose(1, 2))[..., :length]
        gate, inner, value = mixed.split(self.width, dim=1)
        value = value * inner
        found: Tensor = self.convolve(value) if self.convolve is not None else self._by_spectra(value)
        result: Tensor = self.out_proj((found * gate).transpose(1, 2))
        return result

    def _by_spectra(self, value: Tensor) -> Tensor:
        length = value.shape[2]
        spectrum: Tensor = torch.fft.rfft(self.filter_fn.filters(length).float(), n=2 * length)
        found = torch.fft.irfft(torch.fft.rfft(value.float(), n=2 * length) * spectrum, n=2 * length)[..., :length]
        result: Tensor = found + value * self.filter_fn.bias[:, None]
        return result


class FixedDft(nn.Module):
    """The convolution of float32 [n, width, length] with a fixed filter: into a spectrum and back by constant matrices,
    in two steps (Cooley and Tukey 1965), so that these are small.

    Place `columns` * i + j of a sequence lies in row i of a table, and wave k + `rows` * l in its row k. Values are
    real, so waves of rows beyond half of them follow from the others."""

    def __init__(self, taps: Tensor) -> None:
        super().__init__()
        self.length = taps.shape[1]
        size = 1 << (2 * self.length - 2).bit_length()
        rows = 1 << ((size.bit_length()) // 2)
        self.columns = size // rows
        self.given = -(-self.length // self.columns)  # rows that have values; those after them are 0
        half = rows // 2 + 1
        wave, row, column = torch.arange(half), torch.arange(self.given), torch.arange(self.columns)
        into, turn = _unit(wave[:, None] * row, rows), _unit(wave[:, None] * column, size)
        across = _unit(column[:, None] * column, self.columns)
        spectrum = torch.fft.fft(taps.double(), n=size)[:, wave[:, None] + rows * column]
        share = torch.full((half,), 2 / size, dtype=torch.float64)
        share[0] = share[-1] = 1 / size
        back = torch.conj(into).T * share
        for name, values in {
            "into": torch.stack([into.real, into.imag]),
            "turn": torch.stack([turn.real, turn.imag]),
            "across": _as_real(across),
            "spectrum": torch.stack([spectrum.real, spectrum.imag]),
            "back_across": _as_real(torch.conj(across)),
            "back": torch.cat([back.real, -back.imag], 1),
        }.items():
            self.register_buffer(name, values.float().contiguous())
        self.into: Tensor
        self.turn: Tensor
        self.across: Tensor
        self.spectrum: Tensor
        self.back_across: Tensor
        self.back: Tensor

    def forward(self, value: Tensor) -> Tensor:
        shape = value.shape[0], value.shape[1], self.given, self.columns
        padded = functional.pad(value, (0, self.given * self.columns - self.length)).reshape(shape)
        real, imaginary = _product(self.into[0] @ padded, self.into[1] @ padded, self.turn[0], self.turn[1])
        found = torch.cat([real, imaginary], 3) @ self.across
        real, imaginary = torch.chunk(found, 2, dim=3)
        real, imaginary = _product(real, imaginary, self.spectrum[0], self.spectrum[1])
        found = torch.cat([real, imaginary], 3) @ self.back_across
        real, imaginary = torch.chunk(found, 2, dim=3)
        real, imaginary = _product(real, imaginary, self.turn[0], -self.turn[1])
        found = self.back @ torch.cat([real, imaginary], 2)
        return found.reshape(shape[0], shape[1], self.given * self.columns)[..., : self.length]


def _unit(angle: Tensor, period: int) -> Tensor:
    """Complex: e^(-2 pi i angle / period)."""
    turned = -2 * math.pi * angle.double() / period
    return torch.complex(torch.cos(turned), torch.sin(turned))


def _as_real(matrix: Tensor) -> Tensor:
    """[2 n, 2 m]: what multiplies rows of n real and n imaginary parts as the complex matrix [n, m] does."""
    return torch.cat([torch.cat([matrix.real, matrix.imag], 1), torch.cat([-matrix.imag, matrix.real], 1)], 0)


def _product(real: Tensor, imaginary: Tensor, by_real: Tensor, by_imaginary: Tensor) -> tuple[Tensor, Tensor]:
    """Of complex numbers."""
    return real * by_real - imaginary * by_imaginary, real * by_imaginary + imaginary * by_real


class FixedConvolution(nn.Module):
    """The same by a convolution of each channel with its filter."""

    def __init__(self, taps: Tensor) -> None:
        super().__init__()
        self.length, self.channels = taps.shape[1], taps.shape[0]
        self.register_buffer("taps", taps.flip(-1)[:, None, :].contiguous())
        self.taps: Tensor

    def forward(self, value: Tensor) -> Tensor:
        padded = functional.pad(value, (self.length - 1, 0))
        return functional.conv1d(padded, self.taps, groups=self.channels)


class Mlp(nn.Module):
    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(shape.width, shape.inner), nn.Linear(shape.inner, shape.width)

    def forward(self, values: Tensor) -> Tensor:
        found: Tensor = self.fc2(functional.gelu(self.fc1(values), approximate="tanh"))
        return found


class Block(nn.Module):
    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.mixer, self.mlp = HyenaOperator(shape), Mlp(shape)
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)

    def forward(self, values: Tensor) -> Tensor:
        values = values + self.mixer(self.norm1(values))
        found: Tensor = values + self.mlp(self.norm2(values))
        return found


class Embeddings(nn.Module):
    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.width)


class HyenaBackbone(nn.Module):
    """Bases as channels, float32 [n, 6, length] in the order of TOKENS, to float32 [n, length, width]."""

    def __init__(self, shape: HyenaShape) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = Embeddings(shape)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.ln_f = nn.LayerNorm(shape.width)

    def forward(self, bases: Tensor) -> Tensor:
        values = bases.transpose(1, 2) @ self.embeddings.word_embeddings.weight[list(TOKENS)]
        for layer in self.layers:
            values = layer(values)
        found: Tensor = self.ln_f(values)
        return found


def fixed(module: nn.Module, length: int, form: Literal["dft", "convolution"]) -> nn.Module:
    """A copy whose operators have the filters of that length as constants; the module itself if it has none."""
    if not any(isinstance(one, HyenaOperator) for one in module.modules()):
        return module
    copy = deepcopy(module)
    for operator in copy.modules():
        if isinstance(operator, HyenaOperator):
            with torch.no_grad():
                taps = operator.filter_fn.filters(length).clone()
                taps[:, 0] += operator.filter_fn.bias  # what goes beside the filter is its first tap
            operator.convolve = FixedDft(taps) if form == "dft" else FixedConvolution(taps)
            del operator.filter_fn
    return copy
