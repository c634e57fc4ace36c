"""The commands on benchmarks, as a person types them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anelab.bench.results.report import read_report
from anelab.cli.bench_targets import _settings
from anelab.cli.console import Common
from anelab.cli.results import _of_stage, opened
from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.tracking.store import open_store
from anelab.tracking.timed_versions import _asked, in_order, timed_versions
from anelab.workspace import Workspace
from tests.commands import SETTINGS, anelab, anelab_alone
from tests.conftest import ROOT
from tests.mlflow_server import serving
from tests.shared import copy_mnist

BENCH = ["-S", "mnist.bench={arms: [ort-cpu, classical], processes: 6, rounds: 2, slice_ms: 1.0, batches: [4]}"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_mnist(tmp_path_factory.mktemp("workspace"))
    shutil.copy(folder / "reports/mnist/bench.json", folder / "first.json")
    assert anelab(folder, "bench", "run", "mnist", *SETTINGS, *BENCH).returncode == 0
    return folder


def test_a_run_prints_a_table_with_intervals_and_verdicts(home: Path) -> None:
    shown = anelab(home, "bench", "show", "mnist")
    assert shown.returncode == 0, shown.stderr
    for text in (
        "single",
        "batch_4",
        "classical:nearest_mean",
        "speed-up over ort-cpu:fp32",
        "of 1 is no difference",
    ):
        assert text in shown.stdout
    assert "energy: unavailable" in shown.stdout
    assert "CPU 100% (ort_assignment)" in shown.stdout
    content = json.loads(anelab(home, "bench", "show", "mnist", "--json").stdout)
    assert content["schema"] == "anelab.bench/1"
    assert content["host"]["cores"] >= 1


def test_a_registered_version_is_measured_by_what_this_machine_has_for_it(home: Path) -> None:
    done = anelab(home, "bench", "run", "mnist-onnx@champion", *SETTINGS, *BENCH, "--arm", "ort-cpu", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["subject"]["model"], report["subject"]["version"]) == ("mnist-onnx", "1")
    assert list(report["arms"]) == ["ort-cpu:fp32"]
    history = anelab(home, "bench", "history", "mnist")
    assert report["id"][:12] in history.stdout
    assert len(history.stdout.strip().splitlines()) == 4
    assert anelab(home, "bench", "show", f"mnist:{report['id'][:12]}").returncode == 0


def test_a_result_names_the_versions_that_it_timed(home: Path) -> None:
    shown = anelab(home, "bench", "show", "mnist").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("mnist-onnx/1 ")]
    assert " champion " in line and " commit " in line and " on the test set" in line
    history = anelab(home, "bench", "history", "mnist").stdout
    assert history.count("mnist-onnx/1 fp32, champion") == len(history.strip().splitlines()) - 1
    newest = json.loads(anelab(home, "bench", "history", "mnist", "--json").stdout)[-1]
    assert newest["versions"][0]["is_champion"]
    compared = anelab(home, "bench", "compare", "mnist", "mnist")
    assert compared.stdout.count("mnist-onnx/1 ") == 2
    both = json.loads(anelab(home, "bench", "compare", "mnist", "mnist", "--json").stdout)
    assert both["versions"]["old"] == both["versions"]["new"] == newest["versions"]
    elsewhere = subprocess.run(
        [sys.executable, "-m", "anelab", "bench", "show", str(home / "first.json")],
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not registered, or not yet: no version here has the files that were timed" in elsewhere.stdout


def test_the_versions_of_a_result_are_found_without_mlflow_where_mlflow_finds_them(home: Path) -> None:
    workspace = Workspace(ROOT, home)
    report = read_report(home / "reports/mnist/bench.json")
    assert timed_versions(workspace, report) == in_order(_asked(workspace, report)) != []


def test_a_version_stands_for_its_newest_result(home: Path, tmp_path: Path) -> None:
    champion = json.loads(anelab(home, "bench", "show", "mnist-onnx@champion", "--json").stdout)
    listed = json.loads(anelab(home, "bench", "history", "mnist", "--json").stdout)
    attached = [one["id"] for one in listed if any(version["is_champion"] for version in one["versions"])]
    assert champion["id"] in attached
    bundle = tmp_path / "it.bench.zip"
    assert anelab(home, "bench", "export", "mnist-onnx@champion", "-o", str(bundle)).returncode == 0
    assert bundle.is_file()
    none = anelab(home, "bench", "show", "mnist-coreml@champion")
    assert (none.returncode, "has no benchmark in this store; run `anelab bench run mnist-coreml/" in none.stderr) == (
        1,
        True,
    )


def test_a_request_in_a_store_that_nobody_else_sees_says_what_to_copy(home: Path) -> None:
    asked = anelab(home, "bench", "request", "mnist-coreml@champion", "--host", "system=Darwin")
    assert asked.returncode == 0, asked.stderr
    for words in ("no other machine sees", "Copy the folder mlruns/", "There: anelab bench run mnist-coreml/1"):
        assert words in asked.stderr
    assert "There: anelab bench export mnist-coreml/1 -o other.bench.zip" in asked.stderr


def test_a_copy_of_the_store_can_be_served(home: Path, tmp_path: Path) -> None:
    copied = anelab(home, "store", "copy", str(tmp_path / "served"))
    assert copied.returncode == 0, copied.stderr
    assert f"--artifacts-destination {tmp_path / 'served' / 'artifacts'}" in copied.stdout
    assert anelab(home, "store", "copy", str(tmp_path / "served")).returncode == 2
    (tmp_path / "served" / "mlflow.db").rename(tmp_path / "served" / "server.db")
    (tmp_path / "elsewhere").mkdir()
    with serving(tmp_path / "served") as address:
        remote = {"MLFLOW_TRACKING_URI": address}
        ours = anelab(home, "model", "list", "mnist-onnx")
        assert anelab_alone(home, "model", "list", "mnist-onnx", **remote).stdout == ours.stdout
        golden = anelab_alone(tmp_path / "elsewhere", "predict", "mnist-onnx@champion", "--golden", **remote)
        assert golden.returncode == 0, golden.stderr
        refused = anelab_alone(home, "store", "copy", str(tmp_path / "again"), **remote)
        assert (refused.returncode, "is on a server already" in refused.stderr) == (2, True)
        told = anelab_alone(home, "bench", "request", "mnist-coreml@champion", **remote)
        assert f"anelab bench agent --tracking-uri {address.replace('127.0.0.1', 'SERVER')}" in told.stderr
        listed = anelab_alone(tmp_path / "elsewhere", "bench", "history", "mnist", **remote)
        assert (listed.returncode, "mnist-onnx/1" in listed.stdout) == (0, True), listed.stderr


def test_comparing_lists_what_is_missing_and_can_fail(home: Path) -> None:
    same = anelab(home, "bench", "compare", "mnist", "mnist", "--fail-on-regression")
    assert same.returncode == 0, same.stdout
    assert "regressions" not in same.stdout
    assert same.stdout.count("batch_4") == 2
    lost = anelab(home, "bench", "compare", "mnist", str(home / "first.json"), "--fail-on-regression")
    assert lost.returncode == 1
    assert "ort-cpu:fp32 batch_4" in lost.stdout
    found = json.loads(anelab(home, "bench", "compare", "mnist", "mnist", "--json").stdout)
    assert found["regressions"] == []


def test_what_is_no_result_is_told_what_would_be(home: Path) -> None:
    for wrong in ("nothing", "mnist:", "x.txt"):
        done = anelab(home, "bench", "show", wrong)
        assert done.returncode == 2
        assert "RESULT must be a bench.json, a bundle (.zip), a workload" in done.stderr
    assert "names no results" in anelab(home, "bench", "show", "mnist:ffffffff").stderr
    assert "there is no such bundle" in anelab(home, "bench", "import", "absent.zip").stderr
    assert "there is no benchmark" in anelab(home, "bench", "show", "absent.json").stderr
    assert "did you mean mnist-onnx?" in anelab(home, "bench", "run", "mnst-onnx@champion", *SETTINGS).stderr


def test_a_scenario_that_no_result_has_is_told_which_there_are(home: Path) -> None:
    done = anelab(home, "bench", "history", "mnist", "--scenario", "zzz")
    assert done.returncode == 2
    assert "--scenario must be single, batch_N" in done.stderr
    done = anelab(home, "bench", "history", "mnist", "--scenario", "batch_8", "--json")
    assert (done.returncode, "they have batch_4, single" in done.stderr) == (2, True)
    found = json.loads(anelab(home, "bench", "history", "mnist", "--scenario", "batch_4", "--json").stdout)
    assert {name.partition(".")[0] for one in found for name in one["medians_us"]} == {"batch_4"}


def test_a_report_near_the_root_is_looked_for_beside_itself() -> None:
    with pytest.raises(AnelabError, match="there is no benchmark"), opened(Workspace.locate, "/absent.json"):
        pass
    assert _of_stage(Path("/bench.json")).name == "samples.parquet"


def test_a_folder_whose_files_were_exchanged_is_not_timed(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "models/mnist/export", tmp_path / "export")
    with (tmp_path / "export/model.raw.onnx").open("ab") as file:
        file.write(b"more")
    done = anelab(home, "bench", "run", str(tmp_path / "export"), *SETTINGS)
    assert (done.returncode, "model.raw.onnx: not what manifest.json lists" in done.stderr) == (1, True)


def test_a_thorough_run_is_asked_for_in_two_ways() -> None:
    for overrides, flag in ((("mnist.bench.thorough=true",), False), ((), True)):
        assert _settings(Common(overrides), "mnist", flag, None)[1].thorough
    assert not _settings(Common(), "mnist", False, None)[1].thorough


def test_a_wrong_host_selector_takes_nothing_away(home: Path) -> None:
    assert anelab(home, "bench", "request", "mnist-onnx/1", "--host", "*").returncode == 0
    refused = anelab(home, "bench", "request", "mnist-onnx/1", "--host", "colour=red")
    assert (refused.returncode, "a host selector is * or key=pattern" in refused.stderr) == (2, True)
    version = open_store(Workspace(ROOT, home)).client.get_model_version("mnist-onnx", "1")
    assert version.tags["bench.request"] == "*"


def test_an_export_into_a_folder_leaves_the_folder_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("work")
    done = anelab(home, "bench", "export", "mnist", "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "precious").read_text() == "work"
    assert Path(done.stdout.strip()).parent == tmp_path


def test_arms_are_listed_with_the_reason_why_not(home: Path) -> None:
    shown = anelab(home, "bench", "arms", "mnist", *SETTINGS).stdout
    assert "ort-cpu:fp32" in shown
    assert "coreml/cpu_and_ne:fp16" in shown
    assert "no server is named; give --url" in shown
    listed = json.loads(anelab(home, "bench", "arms", "mnist", *SETTINGS, "--json").stdout)
    assert listed["ort-cpu:fp32"] == "available"


def test_a_wrong_arm_in_the_configuration_is_told_before_anything_runs(home: Path) -> None:
    done = anelab(home, "bench", "run", "mnist", *SETTINGS, "-S", "mnist.bench.arms=[ort-cpo]")
    assert done.returncode == 2
    assert "did you mean ort-cpu?" in done.stderr


def test_estimates_are_marked_and_apart_from_what_others_published(home: Path) -> None:
    shown = anelab(home, "bench", "estimate", str(home / "models/mnist/export/model.mlpackage")).stdout
    assert shown.startswith("ESTIMATE, not measured")
    assert "PUBLISHED BY OTHERS" in shown
    found = json.loads(
        anelab(home, "bench", "estimate", str(home / "models/mnist/export/model.buckets.mlpackage"), "--json").stdout
    )
    assert [one["rows"] for one in found["estimates"]] == [1, 4]
    assert all(one["estimate"] for one in found["estimates"])
    assert all(one["published_by_others"] for one in found["published"])
    assert "estimates" in read_json(home / "reports/mnist/bench.json")


def test_the_schema_is_a_json_schema(home: Path) -> None:
    found = json.loads(anelab(home, "bench", "schema").stdout)
    assert found["title"] == "Report"
    assert {"host", "arms", "comparisons", "noise", "failures"} <= set(found["properties"])


def test_a_result_that_cannot_be_written_is_kept_elsewhere(home: Path) -> None:
    """A file is where the reports' folder should be."""
    reports = home / "reports/mnist"
    away = reports.rename(home / "reports/away")
    reports.write_text("")
    try:
        done = anelab(home, "bench", "run", "mnist", *SETTINGS, *BENCH)
    finally:
        reports.unlink()
        away.rename(reports)
    assert done.returncode == 1
    assert "what was measured is kept in" in done.stderr
    bundle = Path(done.stderr.partition("is kept in ")[2].partition(":")[0])
    shown = anelab(home, "bench", "show", str(bundle))
    assert "ort-cpu:fp32" in shown.stdout
    shutil.rmtree(bundle.parent)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("mnits", "TARGET must be a workload (edna, mnist, read_quality, splice)"),
        ("mnits", "or the folder of an export, but got mnits; did you mean mnist?"),
        ("/path/x.onnx", "/path/x.onnx: is not there"),
        ("/path/x", "/path/x: is not there; a model is NAME, NAME@alias or NAME/3"),
    ],
)
def test_what_names_nothing_to_time_is_answered_with_what_could(target: str, problem: str, tmp_path: Path) -> None:
    done = anelab(tmp_path, "bench", "run", target)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr


def test_what_is_for_files_only_is_refused_of_other_models(home: Path) -> None:
    done = anelab(home, "bench", "run", "mnist", "--shape", "input=1,1,28,28")
    assert (done.returncode, "--shape: for a single file only" in done.stderr) == (2, True)


def test_the_folder_of_an_export_is_timed_into_a_bundle(home: Path, tmp_path: Path) -> None:
    options = ["--arm", "ort-cpu", "-S", "mnist.bench.processes=1", "-S", "mnist.bench.rounds=1"]
    words = [sys.executable, "-m", "anelab", "bench", "run", str(home / "models/mnist/export"), *options]
    named = ["--workspace", str(ROOT)]
    done = subprocess.run([*words, *named], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (bundle,) = tmp_path.glob("mnist-*.bench.zip")
    assert "ort-cpu:fp32" in anelab(tmp_path, "bench", "show", str(bundle)).stdout
