"""Normalisations. Statistics are float32."""

import torch
import torch.nn.functional as nn
from torch import Tensor

from anelab.export.mil.operators import Ints, operator


@operator()
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    return nn.batch_norm(x, mean, variance, gamma, beta, False, 0.0, epsilon)


@operator()
def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    return nn.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)


@operator()
def layer_norm(
    x: Tensor,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """gamma and beta have the shape of the normalised axes, which need not be the last."""
    chosen = sorted(axis % x.dim() for axis in axes) if axes is not None else list(range(x.dim()))
    variance, mean = torch.var_mean(x, chosen, correction=0, keepdim=True)
    shape = [size if axis in chosen else 1 for axis, size in enumerate(x.shape)]
    y = (x - mean) * torch.rsqrt(variance + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


@operator()
def l2_norm(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Over the last three axes."""
    axes = tuple(range(max(0, x.dim() - 3), x.dim()))
    return x * torch.rsqrt(x.square().sum(axes, keepdim=True) + epsilon)


@operator()
def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    return nn.local_response_norm(x, size, alpha, beta, k)
