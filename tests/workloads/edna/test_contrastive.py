"""Losses and their gradients against the formulas in float64, one anchor at a time."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from anelab.workloads.edna.backbones import Transformer
from anelab.workloads.edna.contrastive import backward_in_chunks, nt_xent, supervised_contrastive
from anelab.workloads.edna.workload import GROUPS_PER_FAMILY, ROWS_PER_TAXON, _by_taxon


def reference(embeddings: torch.Tensor, labels: list[int], temperature: float) -> torch.Tensor:
    """Equation 2 of Khosla et al. as it is written, in float64."""
    unit = embeddings.double() / embeddings.double().norm(dim=1, keepdim=True)
    losses = []
    for anchor, label in enumerate(labels):
        positives = [row for row, other in enumerate(labels) if row != anchor and other == label and label >= 0]
        if not positives:
            continue
        scores = unit @ unit[anchor] / temperature
        others = torch.cat([scores[:anchor], scores[anchor + 1 :]])
        whole = others.max() + (others - others.max()).exp().sum().log()
        losses.append(-sum(scores[row] - whole for row in positives) / len(positives))
    return sum(losses, torch.zeros((), dtype=torch.float64)) / max(len(losses), 1)


def drawn(rows: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed))


LABELS = {
    "mixed": [0, 0, 1, 1, 1, 2, 3, 3],
    "a single class": [5] * 8,
    "no positives": list(range(8)),
    "without a label": [-1, -1, 0, 0, -1, 1, 1, 2],
}


@pytest.mark.parametrize("temperature", [1e-3, 0.07, 1.0, 100.0])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_the_loss_and_its_gradient_are_the_formulas(labels: list[int], temperature: float) -> None:
    found_at, wanted_at = drawn(8).requires_grad_(), drawn(8).double().requires_grad_()
    found = supervised_contrastive(found_at, torch.tensor(labels), temperature)
    wanted = reference(wanted_at, labels, temperature)
    assert float(found) == pytest.approx(float(wanted), rel=2e-4, abs=1e-6)
    found.backward()
    assert found_at.grad is not None
    if wanted.requires_grad:
        wanted.backward()
        assert wanted_at.grad is not None
        scale = float(wanted_at.grad.abs().max()) or 1.0
        assert float((found_at.grad.double() - wanted_at.grad).abs().max()) <= 2e-3 * scale
    else:
        assert float(found_at.grad.abs().max()) == 0


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_16_bits_come_near_and_stay_finite(labels: list[int]) -> None:
    half = drawn(8).bfloat16().requires_grad_()
    found = supervised_contrastive(half, torch.tensor(labels), 0.05)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(reference(half.detach().float(), labels, 0.05)), rel=1e-3, abs=1e-5)
    found.backward()
    assert half.grad is not None and torch.isfinite(half.grad.float()).all()


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_batches_too_small_for_a_pair_have_no_loss(rows: int) -> None:
    values = drawn(rows).requires_grad_()
    found = supervised_contrastive(values, torch.arange(rows), 0.1)
    found.backward()
    assert float(found) == 0
    assert values.grad is None or torch.isfinite(values.grad).all()


def test_equal_rows_and_rows_of_zeros_are_finite() -> None:
    for values in (torch.ones(6, 4), torch.zeros(6, 4)):
        values.requires_grad_()
        found = supervised_contrastive(values, torch.tensor([0, 0, 1, 1, 2, 2]), 0.01)
        found.backward()
        assert float(found) == pytest.approx(math.log(5), rel=1e-5)
        assert values.grad is not None and torch.isfinite(values.grad).all()


def test_simclr_is_the_same_with_a_label_for_each_row() -> None:
    first, second = drawn(5, 1), drawn(5, 2)
    wanted = reference(torch.cat([first, second]), [*range(5), *range(5)], 0.1)
    assert float(nt_xent(first, second, 0.1)) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_a_batch_in_chunks_has_the_gradients_of_the_whole(chunk: int) -> None:
    torch.manual_seed(0)
    net, head = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 8)), nn.Linear(8, 4)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])

    def loss_of(values: torch.Tensor) -> torch.Tensor:
        return supervised_contrastive(head(values), labels, 0.1)

    whole = loss_of(net(drawn(8)))
    whole.backward()
    wanted = [parameter.grad.clone() for parameter in (*net.parameters(), *head.parameters())]  # type: ignore[union-attr]
    net.zero_grad(), head.zero_grad()
    found = backward_in_chunks(net, [drawn(8)], chunk, loss_of, list(head.parameters()), lambda loss: loss.backward())
    assert float(found) == pytest.approx(float(whole.detach()), rel=1e-6)
    for parameter, gradient in zip((*net.parameters(), *head.parameters()), wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_chance_is_the_same_in_both_passes_of_a_chunk() -> None:
    torch.manual_seed(0)
    seen: list[torch.Tensor] = []
    drop = nn.Dropout(0.5)

    def embed(values: torch.Tensor) -> torch.Tensor:
        seen.append(drop(values))
        return seen[-1]

    values = drawn(6).requires_grad_()
    backward_in_chunks(embed, [values], 3, lambda found: found.square().sum(), [], lambda loss: loss.backward())
    torch.testing.assert_close(seen[0], seen[2])
    torch.testing.assert_close(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_an_epoch_has_all_rows_and_relatives_next_to_each_other() -> None:
    rng = np.random.default_rng(4)
    family = rng.integers(-1, 20, 3000)
    species = family * 50 + rng.integers(0, 10, 3000)
    order = _by_taxon(species, family, rng)
    assert sorted(order.tolist()) == list(range(3000))
    changes = [int((np.diff(values[order]) != 0).sum()) for values in (species, family)]
    assert changes[0] < 3000 / (ROWS_PER_TAXON - 1)
    assert changes[1] < 3000 / (ROWS_PER_TAXON * GROUPS_PER_FAMILY) * 2
    assert changes[1] > 21, "a family is not all in one place"
    assert _by_taxon(species[:0], family[:0], rng).tolist() == []


def test_a_learned_token_stands_in_front_of_any_number_of_rows() -> None:
    net = Transformer(9, 8, 1, 2, 0.0, cls=True).eval()
    ids, mask = torch.randint(1, 9, (3, 6), dtype=torch.int32), torch.ones(3, 6, dtype=torch.int32)
    mask[1, 4:] = 0
    traced = torch.jit.trace(net, (ids[:2], mask[:2]))
    found = traced(ids, mask)
    assert found.shape == (3, 7, 8)
    torch.testing.assert_close(found, net(ids, mask))
    shorter = net(ids[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(found[1, 0], shorter[0, 0], rtol=1e-4, atol=1e-5)
