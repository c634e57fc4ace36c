from pathlib import Path

import pytest

from tests.commands import SETTINGS, anelab

MISSING = [f"{name}.data.source=[nowhere/{name}.*]" for name in ("mnist", "read_quality")]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_all_workloads_that_fail_are_named_and_the_others_go_on(jobs: str, tmp_path: Path) -> None:
    done = anelab(tmp_path, "run", "--jobs", jobs, *SETTINGS, *(word for one in MISSING for word in ("-S", one)))
    assert done.returncode == 1
    assert "mnist: mnist.data.source" in done.stderr
    assert "read_quality: read_quality.data.source" in done.stderr


def test_a_mistake_in_one_is_told_before_the_others_begin(tmp_path: Path) -> None:
    done = anelab(tmp_path, "run", "read_quality", "mnits", *SETTINGS)
    assert (done.returncode, "did you mean mnist?" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_a_sentence_of_its_workload(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("no folder")
    done = anelab(tmp_path, "run", "--jobs", "2", *SETTINGS)
    assert done.returncode == 1
    for name in ("mnist", "read_quality"):
        assert f"{name}: {tmp_path / 'data'}" in done.stderr
    assert "Traceback" not in capfd.readouterr().err
