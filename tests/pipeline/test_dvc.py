"""Real `dvc repro` on small data, in a copy of this checkout with a git history of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from anelab.config import override
from anelab.files import read_json
from tests.commands import WIDE
from tests.conftest import ROOT, TINY
from tests.shared import copy_mnist, copy_read_quality
from tests.test_docs import DOCS, blocks

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "PYTHONPATH"))},
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def shell(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def repro(folder: Path, *arguments: str) -> list[str]:
    """The stages that ran, those that always run left out."""
    lines = shell(folder, "dvc", "repro", *arguments).splitlines()
    ran = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
    return [name for name in ran if not name.startswith("inputs")]


def would_run(folder: Path) -> set[str]:
    """Stages whose dependencies changed, without running them: `dvc status`, in this process."""
    from dvc.repo import Repo

    with chdir(folder), Repo() as repo:
        status = repo.status()
    changed = {name for name, reasons in status.items() if reasons != ["always changed"]}
    return {name for name in changed if not name.startswith("inputs")}


def set_params(folder: Path, *overrides: str) -> None:
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    for text in overrides:
        raw = override(raw, text)
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed copy with tiny parameters, after its first `dvc repro`."""
    folder = tmp_path_factory.mktemp("clone") / "anelab"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("reports/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    set_params(folder, *TINY, *WIDE[1::2], "workloads=[read_quality, mnist]")  # a third would show nothing more
    shell(folder, "git", "init", "-q")
    shell(folder, "git", "add", "-A")
    shell(folder, "git", "commit", "-qm", "start")
    assert len(repro(folder)) == 14
    shell(folder, "git", "add", "-A")
    shell(folder, "git", "commit", "-qm", "results")
    return folder


def store_of(folder: Path) -> Any:
    from anelab.tracking.store import open_store
    from anelab.workspace import Workspace

    return open_store(Workspace(folder, folder))


def test_both_workloads_have_a_champion_and_a_run_for_each_stage(clone: Path) -> None:
    store = store_of(clone)
    for workload in ("read_quality", "mnist"):
        version = store.client.get_model_version_by_alias(f"{workload}-onnx", "champion")
        assert version.tags["anelab.sha256"] == champion_of(clone, workload)["sha256"]
        runs = store.client.search_runs([store.experiment(workload)])
        stages = sorted(run.data.tags["anelab.stage"] for run in runs if run.data.tags["anelab.stage"] != "trial")
        assert stages == ["bench", "export", "prepare", "register", "search", "train"]
        trials = [run for run in runs if run.data.tags["anelab.stage"] == "trial"]
        assert len(trials) == (2 if workload == "read_quality" else 0)


def champion_of(folder: Path, workload: str) -> Any:
    return read_json(folder / f"reports/{workload}/champion.json")["models"][f"{workload}-onnx"]["champion"]


def test_runs_carry_provenance_and_datasets_are_known_by_dvcs_md5(clone: Path) -> None:
    lock = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
    prepared = next(out for out in lock["prepare@mnist"]["outs"] if out["path"] == "data/prepared/mnist")
    store = store_of(clone)
    (run,) = store.client.search_runs([store.experiment("mnist")], "tags.`anelab.stage` = 'train'")
    (entered,) = run.inputs.dataset_inputs
    assert entered.dataset.digest == prepared["md5"]
    start = shell(clone, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert run.data.tags["mlflow.source.git.commit"] == start
    assert run.data.tags["anelab.git_dirty"] == "false"
    assert len(run.data.tags["anelab.host"]) == 16
    assert "torch" in json.loads(run.data.tags["anelab.packages"])
    (version,) = [v for v in store.client.search_model_versions("name = 'mnist-onnx'") if v.tags["variant"] == "fp32"]
    assert version.run_id == run.info.run_id


def test_the_python_of_the_documentation_runs(clone: Path) -> None:
    code = "\n".join(block for page in DOCS for block in blocks(page, "python"))
    shell(clone, sys.executable, "-c", code.replace("/path/to/anelab", str(clone)))


def test_doing_it_again_runs_nothing_and_touches_nothing(clone: Path) -> None:
    assert repro(clone) == []
    synced = json.loads(shell(clone, "anelab", "sync", "--json"))
    assert (synced["runs_made"], synced["moved"], synced["warnings"]) == (0, 0, [])
    assert shell(clone, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("path", "prefixes"),
    [
        ("src/anelab/workloads/mnist/workload.py", {"mnist"}),
        ("src/anelab/workloads/read_quality/encode.py", {"read_quality"}),
        ("src/anelab/cli.py", set()),
        ("src/anelab/serving/app.py", set()),
        ("dashboards/app.py", set()),
        ("README.md", set()),
        ("src/anelab/workloads/edna/workload.py", set()),
    ],
)
def test_editing_one_part_never_reruns_another(path: str, prefixes: set[str], clone: Path) -> None:
    file = clone / path
    before = file.read_bytes() if file.is_file() else None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((before or b"") + b"\n# changed\n")
    try:
        assert {name.partition("@")[2] for name in would_run(clone)} == prefixes
    finally:
        file.write_bytes(before) if before is not None else file.unlink()


def test_editing_training_leaves_data_alone_and_tracking_only_registers(clone: Path) -> None:
    for path, expected in (
        ("src/anelab/training/fit.py", {"search", "train", "export", "bench"}),
        ("src/anelab/tracking/gates.py", {"register"}),
    ):
        before = (clone / path).read_text()
        (clone / path).write_text(before + "\n# changed\n")
        try:
            assert {name.partition("@")[0] for name in would_run(clone)} == expected
        finally:
            (clone / path).write_text(before)


def test_a_section_reruns_what_reads_it(clone: Path) -> None:
    before = (clone / "params.yaml").read_text()
    set_params(clone, "mnist.registry.margin=0.5")
    try:
        assert would_run(clone) == {"register@mnist"}
    finally:
        (clone / "params.yaml").write_text(before)


def test_an_experiment_in_a_scratch_copy_logs_to_the_real_store_and_moves_no_alias(clone: Path) -> None:
    champion = champion_of(clone, "mnist")["sha256"]
    shell(clone, "git", "rm", "-rq", "--cached", "reports", "dvc.lock")  # as before anything is committed
    shell(clone, "git", "commit", "-qm", "no record")
    onnx_only = ("-S", "mnist.export.coreml=null")
    done = shell(clone, "dvc", "exp", "run", "--temp", "-n", "wider", *onnx_only, "-S", "mnist.training.max_epochs=3")
    for stage in ("prepare", "search", "train", "export", "bench", "register"):
        restored = f"Stage '{stage}@read_quality' is cached - skipping run" in done
        assert restored or f"{stage} of read_quality: its inputs are those of the project" in done, stage
    assert "bench of read_quality: its inputs" in done, "which DVC's run cache never has"
    assert "train of mnist: its inputs" not in done
    names, alias, gate = look(clone)
    assert "wider" in names
    assert re.match("(pass|fail) accuracy gain over the champion", gate), "the store's champion binds"
    assert alias == champion
    shell(clone, "dvc", "exp", "run", "--queue", *onnx_only, "-S", "mnist.training.max_epochs=4", "register@mnist")
    run_queue(clone)
    trained, alias, gate = look(clone)
    assert trained.count(",") == names.count(",") + 1
    assert re.match("(pass|fail) accuracy gain over the champion", gate), "it binds in a queue, too"
    assert alias == champion
    assert champion_of(clone, "mnist")["sha256"] == champion
    table = json.loads(shell(clone, "dvc", "exp", "show", "--json", "--no-pager"))
    assert "wider" in json.dumps(table)
    shell(clone, "git", "add", "reports", "dvc.lock")
    shell(clone, "git", "commit", "-qm", "the record again")


def run_queue(clone: Path) -> None:
    """Run what is queued. DVC's worker sometimes does not end after its last task; then it is ended."""
    exps = clone / ".dvc" / "tmp" / "exps"
    with (clone.parent / "queue.log").open("w") as log:
        process = subprocess.Popen(
            ["dvc", "exp", "run", "--run-all"], cwd=clone, env=ENVIRONMENT, stdout=log, stderr=log
        )
        idle = 0
        while process.poll() is None and idle < 60:
            time.sleep(0.5)
            tasks = [json.loads(path.read_text() or "{}") for path in exps.glob("run/*/*.json")]
            idle = idle + 1 if tasks and all(task.get("returncode") is not None for task in tasks) else 0
        for path in exps.glob("celery/dvc-exp-worker-*.json"):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(json.loads(path.read_text())["pid"]).kill()
        process.kill()
        process.wait(60)


def look(clone: Path) -> list[str]:
    """Experiments that trained, the champion's sha256, and what the newest version's gate says of it."""
    found = subprocess.run(
        [sys.executable, "-c", LOOK, str(clone)], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


LOOK = """
import sys
from pathlib import Path
from anelab.tracking.store import open_store
from anelab.workspace import Workspace
root = Path(sys.argv[1])
store = open_store(Workspace(root, root))
runs = store.client.search_runs([store.experiment("mnist")], "tags.`anelab.stage` = 'train'")
print([run.data.tags.get("anelab.dvc_exp") for run in runs])
print(store.client.get_model_version_by_alias("mnist-onnx", "champion").tags["anelab.sha256"])
found = [one for one in store.client.search_model_versions("name = 'mnist-onnx'") if one.tags["variant"] == "fp32"]
newest = max(found, key=lambda one: int(one.version)).tags
print(newest["gate.champion"], newest["gate.champion.reason"])
"""


def is_made(path: Path) -> bool:
    """Not a measurement, which is another one every time, nor the receipt whose key it goes into."""
    receipt = path.parent.name == "receipts" and path.stem == "register"
    return path.is_file() and "bench" not in (path.stem, path.parent.name) and not receipt


def test_another_folder_gives_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    """Made by `anelab run`, in another process, from this checkout."""
    for workload, copied in (("read_quality", copy_read_quality), ("mnist", copy_mnist)):
        other = copied(tmp_path / workload)
        for kind in ("reports", "models"):
            ours = sorted(path for path in (clone / kind / workload).rglob("*") if is_made(path))
            theirs = sorted(path for path in (other / kind / workload).rglob("*") if is_made(path))
            assert [p.relative_to(clone) for p in ours] == [p.relative_to(other) for p in theirs]
            for left, right in zip(ours, theirs, strict=True):
                assert left.read_bytes() == right.read_bytes(), left.name


def test_metrics_params_and_plots_are_for_reading(clone: Path) -> None:
    set_params(clone, "mnist.training.max_epochs=1")
    ran = repro(clone, "train@mnist")
    assert ran == ["search@mnist", "train@mnist"]
    metrics = json.loads(shell(clone, "dvc", "metrics", "diff", "--json"))
    assert metrics["reports/mnist/train.json"]["epochs"] == {"old": 2, "new": 1, "diff": -1}
    assert "accuracy" in str(metrics["reports/mnist/train.json"])
    params = json.loads(shell(clone, "dvc", "params", "diff", "--json"))
    assert params["params.yaml"]["mnist.training.max_epochs"] == {"old": 2, "new": 1, "diff": -1}
    page = shell(clone, "dvc", "plots", "show").strip().removeprefix("file://")
    text = Path(page).read_text()
    for title in ("mnist: training loss", "read_quality: calibration on the test set"):
        assert title in text


def test_going_back_restores_from_the_cache_and_the_store_learns_of_it(clone: Path) -> None:
    shell(clone, "git", "checkout", "-q", "--", "params.yaml")
    output = shell(clone, "dvc", "repro", "train@mnist")
    for stage in ("search", "train"):
        assert f"Stage '{stage}@mnist' is cached - skipping run" in output
    shutil.rmtree(clone / "mlruns" / "artifacts")
    (clone / "mlruns" / "mlflow.db").unlink()
    assert json.loads(shell(clone, "anelab", "sync", "--json"))["runs_made"] == 12
    shell(clone, "git", "checkout", "-q", "--", "dvc.lock", "reports")
    assert would_run(clone) == set()


def test_every_mistake_in_params_yaml_is_told_before_anything_runs(clone: Path) -> None:
    before = (clone / "params.yaml").read_text()
    set_params(clone, "mnist.training.max_epoch=3", "read_quality.search.n_trials=-1")
    try:
        failed = subprocess.run(["dvc", "repro"], cwd=clone, env=ENVIRONMENT, capture_output=True, text=True)
        assert failed.returncode != 0
        assert "params.yaml has 2 mistakes" in failed.stderr
        assert shell(clone, "git", "status", "--porcelain").split() == ["M", "params.yaml"]
    finally:
        (clone / "params.yaml").write_text(before)


def test_a_changed_file_of_the_user_is_noticed_and_an_untouched_one_is_not(clone: Path) -> None:
    reads = clone / "own.fastq"
    sequences = ["".join("ACGT"[number >> 2 * place & 3] for place in range(20)) * 4 for number in range(300)]
    rows = [f"@r{i}\n{bases}\n+\n{('I' if i % 3 else '#') * 80}\n" for i, bases in enumerate(sequences)]
    reads.write_text("".join(rows))
    set_params(clone, "read_quality.data.source=[own.*q]")
    assert repro(clone, "prepare@read_quality") == ["simulate@read_quality", "prepare@read_quality"]
    assert read_json(clone / "reports/read_quality/data.json")["rows"]["train"] == 210
    reads.touch()
    assert repro(clone, "prepare@read_quality") == []
    reads.write_text("".join(rows[:200]))
    assert repro(clone, "prepare@read_quality") == ["simulate@read_quality", "prepare@read_quality"]
    reads.write_text("".join(rows)[:-30])
    failed = subprocess.run(
        ["dvc", "repro", "prepare@read_quality"], cwd=clone, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert failed.returncode != 0
    problem = "own.fastq: record 300, line 1200: sequence and quality differ in length: 80 and 51"
    assert problem in failed.stderr + failed.stdout
