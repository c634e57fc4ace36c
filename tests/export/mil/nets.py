"""Small nets, one for each kind of layer that a workload may use."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(12, 12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(torch.relu(self.one(x)))


class Attention(nn.Module):
    """Self-attention by torch's own function, four heads."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (4, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Masked(nn.Module):
    """Tokens and their mask, as a transformer over sequences of several lengths takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(8, 12), nn.Linear(12, 5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.table(ids)
        scores = x @ x.transpose(1, 2) / 12**0.5
        scores = scores.masked_fill(mask.unsqueeze(1) < 0.5, -40000.0)
        pooled = (scores.softmax(-1) @ x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return self.out(pooled)


class Last(nn.Module):
    """The output of a recurrent layer, or any module that returns more than it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x, x, need_weights=False)[0]


class RootMeanSquare(nn.Module):
    """RMSNorm spelled out; nn.RMSNorm is another entry."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(16) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.gain


class Pools(nn.Module):
    """Every kind of pooling, side by side."""

    def forward(self, x: Tensor) -> Tensor:
        kinds = (
            functional.max_pool2d(x, 2),
            functional.avg_pool2d(x, 2),
            functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)[..., :4, :4],
            functional.avg_pool2d(x, 3, 2, 1),
            functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            functional.adaptive_avg_pool2d(x, 4),
        )
        everywhere = functional.adaptive_max_pool2d(x, 1).flatten(1)
        return torch.cat([torch.cat(kinds, 1).flatten(1), everywhere], 1)


class Activations(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        kinds = (
            torch.relu(x),
            functional.relu6(3 * x),
            functional.gelu(x),
            functional.gelu(x, approximate="tanh"),
            functional.silu(x),
            torch.sigmoid(x),
            torch.tanh(x),
            functional.softplus(x),
            functional.leaky_relu(x, 0.1),
            functional.elu(x),
            functional.hardsigmoid(x),
            functional.hardswish(x),
            functional.mish(x),
            functional.softsign(x),
            x.clamp(-0.5, 0.5),
        )
        return torch.cat(kinds, -1)


class Arithmetic(nn.Module):
    """Functions of one element, comparisons and reductions."""

    def forward(self, x: Tensor) -> Tensor:
        positive = x.abs() + 0.5
        kinds = (
            positive.sqrt(),
            positive.rsqrt(),
            positive.log(),
            positive.reciprocal(),
            x.exp(),
            x.sin() + x.cos(),
            x.erf(),
            x.floor() + x.ceil() + x.round(),
            x.square() - positive**1.5,
            torch.where(x > 0.1, x, -2 * x),
            torch.maximum(x, -x / 2) - torch.minimum(x, x * 3),
            x / positive,
            x.cumsum(-1),
            x.sum(-1, keepdim=True).expand_as(x),
            x.mean(-1, keepdim=True) + x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True) + 0 * x,
            x.logsumexp(-1, keepdim=True) + x.norm(dim=-1, keepdim=True) + 0 * x,
        )
        return torch.cat(kinds, -1)


class Shapes(nn.Module):
    """What moves elements."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.split([5, 7], -1)
        kinds = (
            torch.cat([second, first], -1),
            x.reshape(-1, 3, 4).transpose(1, 2).flatten(1),
            x.unsqueeze(1).repeat(1, 2, 1)[:, 1],
            x.flip(-1),
            functional.pad(x, (2, 1))[:, 1:13],
            functional.pad(x.unsqueeze(1), (2, 2), mode="reflect")[:, 0, 2:14],
            torch.stack([x, 2 * x], -1)[..., 1],
            x[:, [3, 1, 2, 0, 5, 4, 7, 6, 9, 8, 11, 10]],
            x[:, ::2].repeat_interleave(2, -1),
            torch.topk(x, 12, -1).values,
            x.gather(-1, x.argsort(-1, descending=True)),
            torch.tril(x.reshape(-1, 3, 4)).flatten(1),
            functional.one_hot(x.argmax(-1), 12).float(),
        )
        return torch.cat(kinds, -1)


def _seq(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def nets() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Name to module and the shape of its one float input, batch first. Weights follow from the seed."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    return {
        "mlp": (_seq(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3)), (1, 12)),
        "batch_norm": (_seq(nn.Linear(12, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 3)), (1, 12)),
        "conv1d": (
            _seq(nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8), nn.GELU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
            (1, 4, 32),
        ),
        "conv2d": (_seq(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()), (1, 1, 12, 12)),
        "depthwise": (_seq(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.SiLU(), nn.Conv2d(6, 4, 1)), (1, 6, 8, 8)),
        "dilated": (_seq(nn.Conv1d(4, 8, 3, dilation=4, padding=4), nn.ReLU(), nn.Conv1d(8, 2, 3)), (1, 4, 40)),
        "long_convolution": (_seq(nn.Conv1d(4, 4, 63, padding=62, groups=4), nn.ReLU()), (1, 4, 64)),
        "transposed": (
            _seq(nn.ConvTranspose1d(4, 6, 4, 2, 1, 1), nn.ConvTranspose1d(6, 4, 3, 3, groups=2)),
            (1, 4, 10),
        ),
        "transposed2d": (nn.ConvTranspose2d(3, 4, 3, 2, 1, 1, dilation=2), (1, 3, 6, 5)),
        "group_norm": (_seq(nn.Conv1d(4, 8, 3), nn.GroupNorm(2, 8), nn.InstanceNorm1d(8, affine=True)), (1, 4, 20)),
        "layer_norm": (_seq(nn.Linear(12, 16), nn.LayerNorm(16), nn.Linear(16, 3)), (1, 7, 12)),
        "rms_norm": (_seq(nn.Linear(12, 16), nn.RMSNorm(16, eps=1e-5), nn.Linear(16, 3)), (1, 12)),
        "root_mean_square": (_seq(nn.Linear(12, 16), RootMeanSquare(), nn.Linear(16, 3)), (1, 12)),
        "attention": (Attention(), (1, 10, 16)),
        "multihead": (SelfAttention(), (1, 10, 16)),
        "transformer": (nn.TransformerEncoder(encoder, 2, enable_nested_tensor=False), (1, 10, 16)),
        "lstm": (Last(nn.LSTM(6, 8, batch_first=True)), (1, 4, 6)),
        "lstm_both_ways": (Last(nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)), (1, 4, 6)),
        "gru": (Last(nn.GRU(6, 8, batch_first=True)), (1, 4, 6)),
        "rnn": (Last(nn.RNN(6, 8, batch_first=True)), (1, 4, 6)),
        "residual": (Residual(), (1, 12)),
        "pools": (Pools(), (1, 3, 8, 8)),
        "softmax": (_seq(nn.Linear(12, 5), nn.Softmax(-1)), (1, 12)),
        "log_softmax": (_seq(nn.Linear(12, 5), nn.LogSoftmax(-1)), (1, 12)),
        "activations": (Activations(), (1, 12)),
        "prelu": (_seq(nn.Conv1d(4, 6, 3), nn.PReLU(6)), (1, 4, 9)),
        "arithmetic": (Arithmetic(), (1, 12)),
        "shapes": (Shapes(), (1, 12)),
        "upsample": (
            _seq(
                nn.Upsample(scale_factor=2),
                nn.Conv2d(2, 4, 1),
                nn.PixelShuffle(2),
                nn.Upsample(size=(9, 7), mode="bilinear"),
            ),
            (1, 2, 4, 4),
        ),
    }
