"""Contrastive losses, in float32 whatever the embeddings are, and large batches by cached gradients.

They are written here, not taken from pytorch-metric-learning: they are a few lines, which tests hold against the
formulas in float64, and that package would be one more to install for whoever trains.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

Backward = Callable[[Tensor], None]


def supervised_contrastive(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Khosla et al. 2020 (arXiv 2004.11362), equation 2, the mean over anchors that have a positive; 0 if none has.

    `embeddings`: [n, d], normalised here; `labels`: integers [n], rows of one label are positives of each other, and a
    negative label is like no other. Softmax over all other rows; each anchor's maximum is taken off first.
    """
    unit = normalize(embeddings.float(), dim=1)
    if len(unit) < 2:
        return unit.sum() * 0
    scores = unit @ unit.T / temperature
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    alike = (labels[:, None] == labels[None, :]) & (labels >= 0)[:, None] & ~itself
    scores = scores.masked_fill(itself, -torch.inf)
    log_share = scores - torch.logsumexp(scores, dim=1, keepdim=True)
    positives = alike.sum(dim=1)
    per_anchor = log_share.masked_fill(~alike, 0.0).sum(dim=1) / positives.clamp(min=1)
    return -per_anchor.sum() / (positives > 0).sum().clamp(min=1)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """SimCLR's (arXiv 2002.05709), of two views [n, d] each: the only positive of a row is its other view."""
    rows = torch.arange(len(first), device=first.device)
    return supervised_contrastive(torch.cat([first, second]), rows.repeat(2), temperature)


def backward_in_chunks(
    embed: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    chunk: int,
    loss_of: Callable[[Tensor], Tensor],
    heads: Sequence[nn.Parameter],
    backward: Backward,
) -> Tensor:
    """The loss of a batch that is embedded `chunk` rows at a time, and its gradients, as if it had been embedded at
    once (Gao et al. 2021, arXiv 2101.06983): once without gradients, then each chunk again with what the loss wants of
    it. Chance, such as dropout's, is the same both times. `heads`: what `loss_of` itself trains."""
    parts = list(zip(*(torch.split(values, chunk) for values in inputs), strict=True))
    states, found = [], []
    with torch.no_grad():
        for part in parts:
            states.append(_chance(part[0]))
            found.append(embed(*part))
    whole = torch.cat(found).requires_grad_()
    loss = loss_of(whole)
    wanted, *of_heads = torch.autograd.grad(loss, [whole, *heads], allow_unused=True)
    used = [(one, gradient) for one, gradient in zip(heads, of_heads, strict=True) if gradient is not None]
    after = _chance(whole)
    for part, state, gradient in zip(parts, states, torch.split(wanted, chunk), strict=True):
        _set_chance(part[0], state)
        backward((embed(*part) * gradient).sum())
    _set_chance(whole, after)
    if used:
        backward(torch.stack([(one * gradient).sum() for one, gradient in used]).sum())
    return loss.detach()


def _chance(like: Tensor) -> tuple[Tensor, ...]:
    """States of the generators of random numbers: of the CPU, and of the device that a tensor is on."""
    states = [torch.get_rng_state()]
    if like.device.type != "cpu":
        states.append(getattr(torch, like.device.type).get_rng_state())
    return tuple(states)


def _set_chance(like: Tensor, states: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(states[0])
    if like.device.type != "cpu":
        getattr(torch, like.device.type).set_rng_state(states[1])


class ProjectionHead(nn.Sequential):
    """Two layers between the embedding and what the loss compares; not part of what is deployed."""

    def __init__(self, dimension: int, projection: int) -> None:
        super().__init__(nn.Linear(dimension, dimension), nn.ReLU(), nn.Linear(dimension, projection))
