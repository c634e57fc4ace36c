"""What every workload must satisfy. A workload's test class inherits `WorkloadContract` and names itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab import workloads
from anelab.export.artifacts import Source, write_coreml
from anelab.export.manifest import Artifact, golden_vectors, make_manifest
from anelab.export.onnx import export_onnx, opset_of, write_model
from anelab.export.parity import compare
from anelab.export.proof import measure_all
from anelab.export.runtime import onnx_predictor
from anelab.files import canonical_json, dvc_md5
from anelab.learning.base import PLOTS, SPLITS, AnyWorkload, DataCard, Split
from anelab.learning.config import WorkloadConfig
from anelab.training.evaluate import torch_predictor
from anelab.training.fit import Fitted, fit
from anelab.training.search import apply_values, own_values


class WorkloadContract:
    """Override `workload` and `config`; everything else follows."""

    groups_are_global = True
    """Whether equal numbers in two splits mean the same group."""
    half_error, weights_error = 5e-3, 1e-3
    """Of outputs of a Core ML package that computes in 16 bits, and of one that only has its weights in 16 bits."""
    min_agreement = 1.0
    """Share of decisions that a Core ML package in floats must share with the module, after a short training."""

    @pytest.fixture(scope="class")
    def workload(self) -> AnyWorkload:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def config(self) -> WorkloadConfig:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def made(self, workload: AnyWorkload, config: WorkloadConfig, tmp_path_factory: Any) -> tuple[Path, DataCard]:
        return self._prepare(workload, config, tmp_path_factory.mktemp(workload.name))

    def _prepare(self, workload: AnyWorkload, config: WorkloadConfig, folder: Path) -> tuple[Path, DataCard]:
        raw, prepared = folder / "raw", folder / "prepared"
        raw.mkdir()
        prepared.mkdir()
        workload.simulate(config, raw)
        return prepared, workload.prepare(config, sorted(raw.iterdir()), prepared)

    @pytest.fixture(scope="class")
    def prepared(self, made: tuple[Path, DataCard]) -> Path:
        return made[0]

    @pytest.fixture(scope="class")
    def fitted(self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path) -> Fitted:
        return fit(workload, config, prepared)

    @pytest.fixture(scope="class")
    def test_split(self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path) -> Split:
        return workload.load(config, prepared, "test")

    def test_preparing_is_a_function_of_configuration_and_data(
        self, workload: AnyWorkload, config: WorkloadConfig, made: tuple[Path, DataCard], tmp_path: Path
    ) -> None:
        again, card = self._prepare(workload, config, tmp_path)
        assert dvc_md5(again) == dvc_md5(made[0])
        assert canonical_json(card.as_json()) == canonical_json(made[1].as_json())
        assert str(tmp_path) not in canonical_json(card.as_json())

    def test_splits_are_row_aligned_and_share_no_group(
        self, workload: AnyWorkload, config: WorkloadConfig, made: tuple[Path, DataCard]
    ) -> None:
        for name in SPLITS:
            split = workload.load(config, made[0], name)
            assert len(split) == made[1].rows[name] > 0
            arrays = [array for named in (*split.inputs.values(), split.targets) for array in named.values()]
            assert {len(array) for array in arrays} == {len(split)}
            assert set(split.inputs) == {graph.name for graph in workload.graphs(config)}
        groups = [set(workload.load(config, made[0], name).groups.tolist()) for name in SPLITS]
        if self.groups_are_global:
            assert sum(map(len, groups)) == len(set().union(*groups))

    def test_inputs_have_the_dtypes_and_shapes_that_the_graphs_declare(
        self, workload: AnyWorkload, config: WorkloadConfig, test_split: Split
    ) -> None:
        graphs = workload.graphs(config)
        assert graphs[0].name == "model"
        for graph in graphs:
            for tensor in graph.inputs:
                array = test_split.inputs[graph.name][tensor.name]
                assert array.dtype == tensor.dtype
                assert tensor.shape[0] == "n"
                assert len(array.shape) == len(tensor.shape)
                for have, want in zip(array.shape[1:], tensor.shape[1:], strict=True):
                    assert have in (graph.buckets if want == "L" else (want,))

    def test_an_epoch_has_every_row_once_and_depends_on_seed_and_epoch_alone(
        self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path
    ) -> None:
        train = workload.load(config, prepared, "train")

        def epoch(number: int) -> list[torch.Tensor]:
            return [
                torch.cat([v.flatten().double() for v in b.values()]) for b in workload.batches(config, train, number)
            ]

        first, again, other = epoch(0), epoch(0), epoch(1)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(len(a) == len(b) and torch.equal(a, b) for a, b in zip(first, other, strict=True))
        sizes = [len(next(iter(batch.values()))) for batch in workload.batches(config, train, 0)]
        assert sum(sizes) == len(train)
        assert max(sizes) == config.training.batch_size

    def test_training_is_deterministic_and_learns(
        self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path, fitted: Fitted
    ) -> None:
        again = fit(workload, config, prepared)
        assert again.progress == fitted.progress
        for name, value in fitted.module.state_dict().items():
            assert torch.equal(value, again.module.state_dict()[name]), name
        assert fitted.progress.history[-1]["train_loss"] < fitted.progress.history[0]["train_loss"]

    def test_the_headline_metric_exists_and_figures_are_plain(
        self, workload: AnyWorkload, config: WorkloadConfig, fitted: Fitted, test_split: Split
    ) -> None:
        graph = workload.graphs(config)[0]
        outputs = torch_predictor(workload.deployed(fitted.module, graph), graph)(test_split.inputs["model"])
        rows = workload.rows(outputs, test_split)
        figures = workload.metrics(rows, test_split)
        assert config.metric_name in figures
        assert set(figures) <= set(type(config).figures)
        assert figures == json.loads(canonical_json(figures))
        assert all(len(array) == len(test_split) for array in rows.values())
        for name, records in workload.plots(rows, test_split).items():
            assert tuple(records[0]) == PLOTS[name]

    def test_classical_answers_are_rows_like_the_networks(
        self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path, test_split: Split
    ) -> None:
        for rule in workloads.rules(workload.name, config, prepared).values():
            assert config.metric_name in workload.metrics(rule(test_split), test_split)

    def test_figures_follow_rows_that_are_drawn_again(
        self, workload: AnyWorkload, config: WorkloadConfig, fitted: Fitted, test_split: Split
    ) -> None:
        """What the bootstrap does: rows computed once, then any selection of them."""
        graph = workload.graphs(config)[0]
        outputs = torch_predictor(workload.deployed(fitted.module, graph), graph)(test_split.inputs["model"])
        rows = workload.rows(outputs, test_split)
        order = np.random.default_rng(0).permutation(len(test_split))
        shuffled = workload.metrics({name: array[order] for name, array in rows.items()}, test_split.take(order))
        figures = workload.metrics(rows, test_split)
        assert shuffled[config.metric_name] == pytest.approx(figures[config.metric_name])
        counts = np.random.default_rng(0).integers(0, 3, (2, len(test_split)))
        resampled = workload.replicates(rows, test_split, counts.astype(float))[config.metric_name]
        for line, value in zip(counts, resampled, strict=True):
            drawn = np.repeat(np.arange(len(line)), line)
            alone = workload.metrics({name: array[drawn] for name, array in rows.items()}, test_split.take(drawn))
            assert value == pytest.approx(alone[config.metric_name])

    def test_every_graph_is_exported_and_equal(
        self, workload: AnyWorkload, config: WorkloadConfig, fitted: Fitted, test_split: Split, tmp_path: Path
    ) -> None:
        artifacts = []
        for graph in workload.graphs(config):
            module = workload.deployed(fitted.module, graph)
            assert not module.training
            model = export_onnx(module, graph, 13, {"workload": workload.name})
            assert opset_of(model) == 13
            artifacts.append(Artifact(f"{graph.name}.onnx", graph, "fp32"))
            write_model(model, tmp_path / artifacts[-1].file)
            expected = torch_predictor(module, graph)(test_split.inputs[graph.name])
            found = onnx_predictor(tmp_path / artifacts[-1].file)(test_split.inputs[graph.name])
            parity = compare(workload, config, expected, found, test_split)
            assert parity.max_absolute < 1e-4
            assert parity.agreement in (None, 1.0)
        assert make_manifest(tmp_path, artifacts, {}, [])["files"].keys() == {item.file for item in artifacts}

    def test_every_graph_becomes_a_package_that_computes_the_same(
        self,
        workload: AnyWorkload,
        config: WorkloadConfig,
        prepared: Path,
        fitted: Fitted,
        test_split: Split,
        tmp_path: Path,
    ) -> None:
        source = Source(workload, config, prepared, fitted.module, {"workload": workload.name})
        graphs = [graph for graph in workload.graphs(config) if "coreml" in graph.formats]
        artifacts = [one for graph in graphs for one in write_coreml(source, graph, tmp_path)]
        predictors = {
            graph.name: torch_predictor(workload.deployed(fitted.module, graph), graph)(test_split.inputs[graph.name])
            for graph in graphs
        }
        measured = list(
            measure_all(workload, config, artifacts, tmp_path, lambda graph: predictors[graph.name], test_split)
        )
        executed = {(one.file, one.executor) for one in measured}
        assert executed >= {("model.mlpackage", "evaluator_fp16"), ("model.fp32.mlpackage", "evaluator_fp32")}
        assert ("model.buckets.mlpackage", "evaluator_fp16") in executed
        for one in measured:
            if one.artifact.variant in ("fp32", "fp16") and one.executor.startswith("evaluator"):
                rounds = self.weights_error if one.artifact.variant == "fp16" else 1e-3
                limit = self.half_error if one.executor == "evaluator_fp16" else rounds
                assert one.parity.max_absolute <= limit, (one.file, one.executor)
                assert one.parity.agreement is None or one.parity.agreement >= self.min_agreement
        assert make_manifest(tmp_path, artifacts, {}, [])["companions"] == {}

    def test_golden_cases_fit_the_graphs_and_say_the_same_through_each(
        self, workload: AnyWorkload, config: WorkloadConfig, fitted: Fitted
    ) -> None:
        graphs = workload.graphs(config)
        predictors = {graph.name: torch_predictor(workload.deployed(fitted.module, graph), graph) for graph in graphs}
        for case in workload.golden(config):
            results = [predictors[graph.name](case.inputs[graph.name]) for graph in graphs]
            for result in results[1:]:
                for name, value in results[0].items():
                    np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-5)
        artifacts = {Artifact(f"{graph.name}.onnx", graph, "fp32"): predictors[graph.name] for graph in graphs}
        for vector in json.loads(json.dumps(golden_vectors(workload.golden(config), artifacts))):
            assert vector["outputs"].keys() == {artifact.file for artifact in artifacts}

    def test_the_search_space_is_of_the_configurations_own_keys(
        self, workload: AnyWorkload, config: WorkloadConfig
    ) -> None:
        values = own_values(workload, config)
        assert values
        assert apply_values(config, values) == config

    def test_what_lies_beside_the_model_is_written(
        self, workload: AnyWorkload, config: WorkloadConfig, prepared: Path, fitted: Fitted, tmp_path: Path
    ) -> None:
        graph = workload.graphs(config)[0]
        predict = torch_predictor(workload.deployed(fitted.module, graph), graph)
        workload.finish(predict, config, prepared, tmp_path)
        self.check_companions(tmp_path)

    def check_companions(self, folder: Path) -> None:
        assert list(folder.iterdir()) == []
