"""What every arm must satisfy. An arm's test class inherits `ArmContract` and names itself."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.arms.contract import Arm, Opened, Subject, UnavailableError
from anelab.bench.measuring.process import WorkerProcess
from anelab.bench.measuring.worker import distinct
from anelab.export.examples import EXAMPLES, Examples, read_examples


class ArmContract:
    """Override `name`, and give a fixture `exported`, the Subject of an exported folder; override `subject` if the arm
    needs more. All else follows."""

    name: str
    tolerance = 1e-3
    batches = (1, 8)

    @pytest.fixture(scope="class")
    def subject(self, exported: Subject, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        return replace(exported, cache=tmp_path_factory.mktemp("cache"))

    @pytest.fixture(scope="class")
    def arm(self, subject: Subject) -> Arm:
        return parse_arm(self.name).resolved(subject)

    @pytest.fixture(scope="class")
    def examples(self, subject: Subject) -> Examples:
        return read_examples(subject.folder / EXAMPLES)

    @pytest.fixture(scope="class")
    def opened(self, arm: Arm, subject: Subject) -> Opened:
        arm.load_libraries(subject)
        return arm.open(subject, observe=True)

    def test_its_name_leads_back_to_it(self, arm: Arm, subject: Subject) -> None:
        assert parse_arm(arm.name).resolved(subject) == arm
        assert arm.name.startswith(arm.kind)

    def test_it_travels_to_another_process(self, arm: Arm) -> None:
        assert pickle.loads(pickle.dumps(arm)) == arm

    def test_it_is_available_and_its_files_are_the_manifests(self, arm: Arm, subject: Subject) -> None:
        assert arm.unavailable(subject) is None
        assert set(arm.files(subject)) <= set(subject.manifest["files"])

    def test_it_says_why_it_is_not_available_elsewhere(self, arm: Arm, tmp_path: Path, subject: Subject) -> None:
        (tmp_path / "manifest.json").write_text('{"files": {}, "metadata": {}}')
        bare = replace(subject, folder=tmp_path, checkpoint=None, prepared=None, url=None)
        reason = arm.unavailable(bare)
        assert reason is not None
        assert len(reason) > 10

    def test_loading_is_timed_and_placement_has_a_source(self, opened: Opened, examples: Examples) -> None:
        assert opened.load_ns > 0
        opened.prepare(examples.split.take(np.arange(1)))
        found = opened.placement(1)
        assert (found.source == "none") == (not found.operators)
        if found.source == "none":
            assert found.ne_share is None

    def test_its_answers_are_the_modules(self, arm: Arm, opened: Opened, examples: Examples) -> None:
        for batch in self.batches:
            rows = examples.split.take(np.arange(batch))
            found = opened.read(opened.prepare(rows)())
            if arm.tolerance_of is None:
                assert len(found["decision"]) == batch
                continue
            for name, wanted in examples.expected[arm.graph].items():
                np.testing.assert_allclose(found[name], wanted[:batch], atol=self.tolerance)

    def test_a_call_can_be_repeated_and_leaves_its_rows_alone(self, opened: Opened, examples: Examples) -> None:
        rows = examples.split.take(np.arange(1))
        before = {name: array.copy() for name, array in rows.inputs["model"].items()}
        call = opened.prepare(rows)
        first, again = (opened.read(call()) for _ in range(2))
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])
        for name, array in before.items():
            np.testing.assert_array_equal(rows.inputs["model"][name], array)

    def test_calls_of_other_rows_give_other_answers(self, opened: Opened, examples: Examples) -> None:
        one, other = (opened.read(opened.prepare(rows)()) for rows in distinct(examples.split, 1)[:2])
        assert any(not np.array_equal(one[name], other[name]) for name in one)

    def test_a_batch_it_cannot_take_is_said_to_be_so(self, opened: Opened, examples: Examples) -> None:
        """Either it takes seven rows, or it raises what makes the scenario unavailable and nothing else."""
        rows = examples.split.take(np.arange(7))
        try:
            found = opened.read(opened.prepare(rows)())
        except UnavailableError as error:
            assert "7" in str(error)  # noqa: PT017
        else:
            assert all(len(array) == 7 for array in found.values())

    def test_a_worker_times_it(self, arm: Arm, subject: Subject, tmp_path: Path) -> None:
        worker = WorkerProcess(arm, subject, tmp_path / "log", 60)
        try:
            worker.wait_ready()
            opened = worker.ask("open", observe=False, core=None)
            assert opened["load_ns"] > 0
            assert opened["first_predict_ns"] > 0
            assert worker.ask("unsupported", batch=1) is None
            _, _, samples = worker.ask("slice", batch=1, min_ns=0, min_count=20, reentry=2)
            assert len(samples) == 20
            assert (samples > 0).all()
            assert worker.ask("memory") > opened["memory_before_bytes"] > 0
        finally:
            worker.stop()
