"""The meta-layer: starts at the base model, learns out of fold, and is exported as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from anelab.export.onnx import export_onnx, write_model
from anelab.export.runtime import onnx_predictor
from anelab.learning.base import Split
from anelab.learning.metrics import average_precision
from anelab.workloads.splice.features import features
from anelab.workloads.splice.metrics import splice_figures, splice_replicates
from anelab.workloads.splice.model import ScoreFeatures, SpliceNet, calibrate
from anelab.workloads.splice.rules import base
from anelab.workloads.splice.workload import WORKLOAD, folds_of
from tests.conftest import tiny

WIDTH = 101


def given(rows: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.3, 0.3, 3], (rows, 5)).transpose(0, 2, 1).reshape(rows, 15).astype(np.float32)
    return torch.from_numpy(rng.integers(4, 9, (rows, WIDTH)).astype(np.int32)), torch.from_numpy(scores)


def net(*settings: str) -> SpliceNet:
    torch.manual_seed(0)
    made = SpliceNet(tiny(*settings).section("splice").model, WIDTH)
    made.scores.fit(given(400, 9)[1])
    return made.eval()


def test_an_untrained_network_answers_what_the_base_model_does() -> None:
    sequence, scores = given()
    found = torch.softmax(net()(sequence, scores), 1).detach().numpy()
    np.testing.assert_allclose(found, base(sequence.numpy().astype(np.uint8), scores.numpy()), atol=1e-6)


@pytest.mark.parametrize("encoder", ["cnn", "dilated", "hyenadna", "none"])
@pytest.mark.parametrize("fusion", ["stacked", "concat", "add", "gated", "cross_attention"])
def test_every_network_is_exported_as_it_is(tmp_path: Path, encoder: str, fusion: str) -> None:
    config = tiny(f"splice.model.fusion={fusion}", f"splice.model.encoder.kind={encoder}").section("splice")
    made = net(f"splice.model.fusion={fusion}", f"splice.model.encoder.kind={encoder}")
    with torch.no_grad():
        made.blend.fill_(0.07)
    sequence, scores = given()
    (graph,) = WORKLOAD.graphs(config)
    module = WORKLOAD.deployed(made, graph)
    write_model(export_onnx(module, graph, 13, {}), tmp_path / "m.onnx")
    found = onnx_predictor(tmp_path / "m.onnx")({"sequence": sequence.numpy(), "scores": scores.numpy()})["output"]
    with torch.inference_mode():
        wanted = module(sequence, scores).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_graphs_features_are_those_of_numpy(tmp_path: Path) -> None:
    made, scores = ScoreFeatures().eval(), given(300)[1]
    torch.onnx.export(made, (scores,), str(tmp_path / "f.onnx"), opset_version=13, dynamo=False, input_names=["scores"])
    found = next(iter(onnx_predictor(tmp_path / "f.onnx")({"scores": scores.numpy()}).values()))
    expected = features(scores.numpy(), np)
    compressed = np.sign(expected) * np.log(1 + np.abs(expected))
    logs = np.log(np.maximum(scores.numpy(), 1e-12))
    np.testing.assert_allclose(found, np.clip(np.concatenate([logs, compressed], 1), -2, 2), atol=1e-6, rtol=1e-6)


def test_what_joins_scores_and_sequence_learns_from_rows_that_their_encoder_has_not_seen() -> None:
    made = net("splice.model.encoder.dropout=0").train()
    sequence, scores = given()
    fold = torch.arange(40) % 2
    batch = {
        "sequence": sequence,
        "scores": scores,
        "fold": fold,
        "label": torch.arange(40) % 3,
        "weight": torch.ones(40),
    }
    answers, losses = made._out_of_fold(made.one_hot(sequence), batch)
    assert not answers.requires_grad
    assert len(losses) == 2
    losses[0].backward()
    assert all(parameter.grad is None for parameter in made.encoders[1].parameters())
    made.eval()
    with torch.no_grad():
        logits = made.heads[1](made.encoders[1](made.one_hot(sequence))[0]).log_softmax(1)
    torch.testing.assert_close(answers[fold == 1], logits[fold == 1])


def test_a_group_is_in_one_fold() -> None:
    groups = np.random.default_rng(0).integers(0, 50, 400)
    fold = folds_of(groups, 3, 1)
    assert set(fold) == {0, 1, 2}
    assert all(len(set(fold[groups == group])) == 1 for group in range(50))


def test_temperatures_mend_a_model_that_is_too_sure() -> None:
    made = net()
    sequence, scores = given(3000, 4)
    with torch.inference_mode():
        honest = torch.softmax(made(sequence, scores) / 3, 1)
    label = torch.multinomial(honest, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    calibrate(made, sequence, scores, label)
    with torch.inference_mode():
        found = torch.softmax(made(sequence, scores) / made.temperature, 1)
    assert (found - honest).abs().mean() < 0.02


def test_the_sequence_alone_is_taken_where_what_joins_it_with_scores_is_worse() -> None:
    made = net()
    sequence, scores = given(800, 4)
    with torch.no_grad():
        fused, alone = made.sides(sequence, scores)
        assert alone is not None
        torch.testing.assert_close(made(sequence, scores), fused)
    for logits, wanted in ((8 * alone, (0.6, 1.0)), (fused, (0.0, 0.4))):
        label = torch.multinomial(torch.softmax(logits, 1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
        calibrate(made, sequence, scores, label)
        share = made.sequence_share.item()
        assert wanted[0] <= share <= wanted[1]
        with torch.no_grad():
            torch.testing.assert_close(made(sequence, scores), (1 - share) * fused + share * alone)


def test_figures_are_what_their_names_say() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 500)
    probability = rng.dirichlet([1, 1, 1], 500) + 2 * np.eye(3)[label] * rng.random((500, 1))
    probability /= probability.sum(axis=1, keepdims=True)
    targets = {"label": label, "candidate": np.ones(500, bool)}
    found = splice_figures(probability, targets)
    assert found["ap_donor"] == pytest.approx(average_precision(probability[:, 0], label == 0))
    assert found["pr_auc_splice"] == pytest.approx((found["ap_donor"] + found["ap_acceptor"]) / 2)
    sites = int((label == 0).sum())
    top = np.argsort(-probability[:, 0])[:sites]
    assert found["topk_acc_donor"] == pytest.approx((label[top] == 0).mean())
    assert found["top50_acc_acceptor"] == pytest.approx((label[np.argsort(-probability[:, 1])[:50]] == 1).mean())
    assert found["brier"] == pytest.approx(((probability - np.eye(3)[label]) ** 2).sum(axis=1).mean())
    assert found["ece"] == pytest.approx(found["ece_candidates"])
    counts = rng.integers(0, 3, (1, 500)).astype(float)
    drawn = np.repeat(np.arange(500), counts[0].astype(int))
    again = splice_figures(probability[drawn], {name: values[drawn] for name, values in targets.items()})
    for name, values in splice_replicates(probability, targets, counts).items():
        assert values[0] == pytest.approx(again[name], abs=1e-9), name


def test_a_figure_that_cannot_be_is_left_out() -> None:
    targets = {"label": np.array([2, 2, 2]), "candidate": np.zeros(3, bool)}
    found = splice_figures(np.array([[0.1, 0.1, 0.8]] * 3), targets)
    assert "ap_donor" not in found and "ece_candidates" not in found and "top10_acc_donor" not in found
    assert found["accuracy"] == 1


def test_substitutions_keep_what_is_near_and_what_is_no_base() -> None:
    config = tiny("splice.model.augment={substitution: 0.5, keep: 10}").section("splice")
    sequence, scores = given(64)
    label = np.arange(64) % 3
    targets = {"label": label, "weight": np.ones(64, np.float32)}
    split = Split({"model": {"sequence": sequence.numpy(), "scores": scores.numpy()}}, targets, np.arange(64))
    batch = next(iter(WORKLOAD.batches(config.model_copy(), split, 0)))
    rows = {tuple(row[40:61]): row for row in sequence.numpy().tolist()}
    for row in batch["sequence"].tolist():
        before = np.array(rows[tuple(row[40:61])])
        assert (np.array(row) != before).any()
        assert ((np.array(row) == 8) == (before == 8)).all()


def test_a_base_that_is_calibrated_does_not_stop_the_mixture() -> None:
    """A step towards the base alone must not be the last one."""
    made = net().train()
    sequence, scores = given(64)
    batch = {
        "sequence": sequence,
        "scores": scores,
        "fold": torch.arange(64) % 2,
        "label": torch.arange(64) % 3,
        "weight": torch.ones(64),
    }
    with torch.no_grad():
        made.blend.fill_(-0.03)
    made.training_step(batch, lambda loss: loss.backward())
    assert made.blend.item() == 0 and made.blend.grad is not None and made.blend.grad.item() != 0


def test_equal_scores_share_the_sites_among_the_highest() -> None:
    label = np.array([0] * 20 + [2] * 80)
    targets = {"label": label, "candidate": np.zeros(100, bool)}
    found = splice_figures(np.full((100, 3), 1 / 3), targets)
    assert found["topk_acc_donor"] == pytest.approx(0.2) and found["top10_acc_donor"] == pytest.approx(0.2)


def test_a_class_without_rows_keeps_its_temperature() -> None:
    made = net()
    sequence, scores = given(300, 4)
    calibrate(made, sequence, scores, torch.arange(300) % 2 * 2)
    assert made.temperature[1].item() == 1
