"""Activations."""

import torch
import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.operators import operator


@operator()
def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


@operator()
def relu6(x: Tensor) -> Tensor:
    return torch.clamp(x, 0, 6)


@operator()
def clamped_relu(x: Tensor, alpha: float, beta: float) -> Tensor:
    """min(beta, x) for x >= 0, min(beta, alpha x) below."""
    return torch.clamp(torch.where(x >= 0, x, alpha * x), max=beta)


@operator()
def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@operator()
def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    return nn.leaky_relu(x, alpha)


@operator()
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    return nn.prelu(x, alpha)


@operator()
def elu(x: Tensor, alpha: float) -> Tensor:
    return nn.elu(x, alpha)


@operator()
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return nn.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


@operator()
def silu(x: Tensor) -> Tensor:
    return nn.silu(x)


@operator()
def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@operator()
def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    return torch.clamp(alpha * x + beta, 0, 1)


@operator()
def scaled_tanh(x: Tensor, alpha: float, beta: float) -> Tensor:
    return alpha * torch.tanh(beta * x)


@operator()
def linear_activation(x: Tensor, alpha: float, beta: float) -> Tensor:
    return alpha * x + beta


@operator()
def softplus(x: Tensor) -> Tensor:
    return nn.softplus(x, threshold=80)


@operator()
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha log(1 + exp(beta x)), one alpha and beta a channel."""
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    return alpha.reshape(shape) * nn.softplus(beta.reshape(shape) * x, threshold=80)


@operator()
def softsign(x: Tensor) -> Tensor:
    return nn.softsign(x)


@operator()
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(x, axis)
