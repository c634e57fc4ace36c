"""The registry through the command line, in one workspace that each test goes on from."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anelab.files import read_json, write_json
from anelab.locks import alone
from anelab.tracking.store import open_store
from anelab.workspace import Workspace
from tests.commands import SETTINGS, WIDE, Done, anelab, anelab_alone
from tests.conftest import ROOT
from tests.shared import copy_mnist


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_mnist(tmp_path_factory.mktemp("workspace"))


def inspect(home: Path, reference: str) -> Any:
    done = anelab(home, "model", "inspect", "mnist-onnx", reference, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def record(home: Path) -> Any:
    return read_json(home / "reports/mnist/champion.json")["models"]["mnist-onnx"]


ONNX_ONLY = ("-S", "mnist.export.coreml=null")
"""Where what is tested is alike for both formats."""


def retrain(home: Path, *more: str) -> Done:
    done = None
    for stage in ("train", "export", "register"):
        done = anelab(home, stage, "mnist", *SETTINGS, *WIDE, *more)
        assert done.returncode == 0, done.stderr
    assert done is not None
    return done


PYFUNC = """
import sys, json, numpy as np, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/mnist-onnx@champion")
print(model.predict(np.zeros((3, 1, 28, 28), np.float32))["output"].shape)
print([name for name in sys.modules if name.startswith("anelab")])
"""


def test_the_first_model_is_champion_with_all_its_files(home: Path) -> None:
    found = inspect(home, "champion")
    assert found["version"] == "1"
    assert found["variant"] == "fp32"
    assert set(found["files"]) == {"model.onnx", "model.raw.onnx"}
    assert found["gates"]["champion"] == "not compared: there is no champion yet"
    assert found["metrics"]["accuracy"] > 0.2
    int8 = inspect(home, "2")
    assert (int8["variant"], int8["aliases"]) == ("int8", "none")
    assert set(int8["files"]) == {"model.onnx"}
    refused = anelab(home, "model", "promote", "mnist-onnx", "2")
    assert refused.returncode == 1
    assert "only fp32 may be champion" in refused.stderr
    assert record(home)["champion"]["sha256"] in found["files"]["model.onnx"]


def test_anyone_with_mlflow_alone_can_load_it(home: Path, tmp_path: Path) -> None:
    uri = anelab(home, "store", "uri").stdout.strip()
    command = [sys.executable, "-c", PYFUNC, uri]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(3, 10)", "[]"], done.stderr


def test_core_ml_models_are_registered_like_any_other(home: Path, tmp_path: Path) -> None:
    done = anelab(home, "model", "inspect", "mnist-coreml", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["version"], found["variant"], found["aliases"]) == ("1", "fp16", "champion")
    assert set(found["files"]) == {"model.mlpackage", "model.buckets.mlpackage"}
    assert found["gates"].keys() == {"training", "quality", "parity", "size", "rules", "champion"}
    assert "by evaluator_fp16, evaluator_fp32" in found["gates"]["parity"]
    assert "fp16, specification 8" in found["files"]["model.mlpackage"]
    listed = json.loads(anelab(home, "model", "list", "mnist-coreml", "--json").stdout)
    assert [row["variant"] for row in listed] == ["int8", "fp32", "fp16"]
    assert "only fp16 may be champion" in anelab(home, "model", "promote", "mnist-coreml", "2").stderr
    champion = read_json(home / "reports/mnist/champion.json")["models"]["mnist-coreml"]["champion"]
    assert champion["sha256"] in found["files"]["model.mlpackage"]
    rows = np.random.default_rng(0).random((6, 1, 28, 28)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", input=rows)
    examples = anelab(home, "model", "eval", "mnist-coreml@champion")
    assert (examples.returncode, "output float32 (256, 10)" in examples.stdout) == (0, True), examples.stdout[:200]
    for reference in ("mnist-coreml@champion", "mnist-coreml/1"):
        out = tmp_path / "out.npz"
        given = ("--input", str(tmp_path / "rows.npz"), "--out", str(out))
        assert anelab(home, "model", "eval", reference, *given).returncode == 0
        assert np.load(out)["output"].shape == (6, 10)
    assert "could run on the Neural Engine" in anelab(home, "model", "lint", "mnist-coreml@champion").stdout
    missing = anelab(home, "model", "eval", "mnist-coreml/9", "--input", str(tmp_path / "rows.npz"))
    assert (missing.returncode, "mnist-coreml has no version or alias 9" in missing.stderr) == (1, True)


PYFUNC_COREML = """
import sys, numpy as np, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/mnist-coreml@champion", model_config={"runtime": "evaluator"})
print(model.predict(np.zeros((3, 1, 28, 28), np.float32))["output"].shape)
"""


def test_a_registered_package_is_evaluated_where_it_is_asked_for_by_name(home: Path, tmp_path: Path) -> None:
    uri = anelab(home, "store", "uri").stdout.strip()
    command = [sys.executable, "-c", PYFUNC_COREML, uri]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(3, 10)"], done.stderr
    assert "Failed to load" not in done.stderr


def test_parity_is_measured_again_on_this_host(home: Path) -> None:
    done = anelab(home, "model", "parity", "mnist", *SETTINGS, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    found = {(one["file"], one["executor"]): one for one in printed["measured"]}
    predicted = printed["predicted_arithmetic"]
    assert predicted == read_json(home / "reports/mnist/readiness.json")["model.mlpackage"]["arithmetic"]
    assert predicted["kind"] == "predicted" and 0 <= predicted["decisions_changed"] <= predicted["decisions"]
    report = read_json(home / "reports/mnist/parity.json")
    for (file, executor), one in found.items():
        assert one["max_absolute"] == pytest.approx(report[file][executor]["max_absolute"], abs=1e-6)
    assert found["model.mlpackage", "evaluator_fp16"]["max_absolute"] <= 5e-3
    strict = ["-S", "mnist.export.coreml.fp16_tolerance.max_absolute=1e-9"]
    failed = anelab(home, "model", "parity", "mnist", *SETTINGS, *strict)
    assert failed.returncode == 1
    assert "model.mlpackage            evaluator_fp16" in failed.stdout
    assert "allowed at most 1e-09" in failed.stdout
    changed = f"{predicted['decisions_changed']} of {predicted['decisions']} decisions change"
    assert f"predicted, by the Neural Engine's arithmetic (--mode ane): {changed}" in failed.stdout


def test_registering_the_same_again_changes_nothing(home: Path) -> None:
    before = record(home)
    done = anelab(home, "register", "mnist", *SETTINGS, *WIDE)
    assert done.returncode == 0
    assert record(home) == before
    assert anelab(home, "model", "inspect", "mnist-onnx", "3").returncode == 1


def test_a_better_or_equal_model_takes_over_and_rollback_lasts(home: Path) -> None:
    first = record(home)["champion"]["sha256"]
    retrain(home, "-S", "mnist.training.max_epochs=3")
    second = record(home)
    assert second["champion"]["sha256"] != first
    assert second["challenger"]["sha256"] == first
    assert [len(compared) for compared in second["comparisons"].values()] == [1]
    assert inspect(home, "champion")["gates"]["champion"].startswith("pass: accuracy gain over the champion")
    assert inspect(home, "challenger")["version"] == "1"

    assert anelab(home, "model", "rollback", "mnist-onnx").returncode == 0
    assert inspect(home, "champion")["version"] == "1"
    anelab(home, "register", "mnist", *SETTINGS, *WIDE, "-S", "mnist.training.max_epochs=3")
    assert record(home)["champion"]["sha256"] == first, "registering again must not undo a roll-back"
    retrain(home, *ONNX_ONLY, "-S", "mnist.training.max_epochs=3", "-S", "mnist.training.patience=50")
    assert record(home)["champion"]["sha256"] == first, "nor the same weights under another key"
    assert inspect(home, "champion")["version"] == "1"
    assert anelab(home, "model", "promote", "mnist-onnx", "3").returncode == 0
    assert record(home)["champion"]["sha256"] == second["champion"]["sha256"]


def test_a_worse_model_is_registered_but_not_promoted(home: Path) -> None:
    champion = record(home)["champion"]["sha256"]
    use_up_the_test_set(home)
    worse = ("mnist.training.learning_rate=0.0001", "mnist.registry.margin=0.0", "mnist.registry.threshold=0.0")
    done = retrain(home, *ONNX_ONLY, *(word for override in worse for word in ("-S", override)))
    assert "21 candidates were compared on this test set" in done.stderr
    assert "gate champion failed: mnist-onnx fp32: accuracy gain over the champion -" in done.stderr
    assert record(home)["champion"]["sha256"] == champion
    newest = inspect(home, "challenger")
    assert newest["variant"] == "fp32"
    listed = json.loads(anelab(home, "model", "list", "mnist-onnx", "--json").stdout)
    assert listed[1]["version"] == newest["version"]
    assert [row["aliases"] for row in listed[:2]] == ["", "challenger"]
    refused = anelab(home, "model", "promote", "mnist-onnx", newest["version"])
    assert refused.returncode == 1
    assert "did not pass" in refused.stderr
    assert "--force" in refused.stderr


def use_up_the_test_set(home: Path) -> None:
    path = home / "reports/mnist/champion.json"
    content = read_json(path)
    (digest,) = content["models"]["mnist-onnx"]["comparisons"]
    content["models"]["mnist-onnx"]["comparisons"][digest] = [f"candidate {index}" for index in range(20)]
    write_json(path, content)


def test_the_champion_of_the_store_binds_where_there_is_no_record(home: Path, tmp_path: Path) -> None:
    """As in a fresh clone on a shared store."""
    clone = tmp_path / "clone"
    for name in ("data", "models", "reports"):
        shutil.copytree(home / name, clone / name)
    (clone / "reports/mnist/champion.json").unlink()
    shared = {"MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlruns/mlflow.db'}"}
    champion = record(home)["champion"]
    words = (*SETTINGS, *ONNX_ONLY, "-S", "mnist.training.learning_rate=0.002", "-S", "mnist.registry.margin=0.0")
    for stage in ("train", "export", "register"):
        done = anelab_alone(clone, stage, "mnist", *words, **shared)
        assert done.returncode == 0, done.stderr
    assert "gate champion failed: mnist-onnx fp32: accuracy gain over the champion -" in done.stderr
    known = record(clone)["champion"]
    assert (known["sha256"], known["by"]) == (champion["sha256"], "store")
    found = json.loads(anelab_alone(clone, "model", "list", "mnist-onnx", "--json", **shared).stdout)
    newest = next(str(one["version"]) for one in found if one["variant"] == "fp32")
    assert anelab_alone(clone, "model", "promote", "mnist-onnx", newest, **shared).returncode == 1
    (clone / "reports/mnist/champion.json").unlink()
    forced = anelab_alone(clone, "model", "promote", "mnist-onnx", newest, "--force", **shared)
    assert forced.returncode == 0, forced.stderr
    assert record(clone)["former"][0]["sha256"] == champion["sha256"]
    assert anelab_alone(clone, "model", "rollback", "mnist-onnx", **shared).returncode == 0
    assert inspect(home, "champion")["files"]["model.onnx"].count(champion["sha256"]) == 1


def test_gates_that_are_no_more_leave_no_tag(home: Path) -> None:
    client = open_store(Workspace(ROOT, home)).client
    newest = read_json(home / "reports/mnist/registry.json")["models"]["mnist-onnx"]["candidates"]["fp32"]["sha256"]
    (version,) = [
        one for one in client.search_model_versions("name = 'mnist-onnx'") if one.tags.get("anelab.sha256") == newest
    ]
    client.set_model_version_tag("mnist-onnx", version.version, "gate.gone", "fail")
    assert anelab(home, "sync").returncode == 0
    assert "gate.gone" not in client.get_model_version("mnist-onnx", version.version).tags
    assert "gate.parity" in client.get_model_version("mnist-onnx", version.version).tags


def test_a_promotion_is_judged_against_the_champion_of_now(home: Path) -> None:
    champion = inspect(home, "champion")
    listed = json.loads(anelab(home, "model", "list", "mnist-onnx", "--json").stdout)
    worse = [one for one in listed if (one["variant"], one["verdict"]) == ("fp32", "passed") and not one["aliases"]]
    assert worse, listed
    number = worse[-1]["version"]
    refused = anelab(home, "model", "promote", "mnist-onnx", number, "-S", "mnist.registry.margin=0.0")
    assert (refused.returncode, f"the champion now, mnist-onnx/{champion['version']}" in refused.stderr) == (1, True)
    wide = anelab(home, "model", "promote", "mnist-onnx", number, "-S", "mnist.registry.margin=1.0")
    assert wide.returncode == 0, wide.stderr
    assert inspect(home, "champion")["version"] == number
    assert anelab(home, "model", "rollback", "mnist-onnx").returncode == 0
    assert inspect(home, "champion")["version"] == champion["version"]


def test_a_version_of_other_origin_is_refused_in_a_sentence(home: Path) -> None:
    client = open_store(Workspace(ROOT, home)).client
    foreign = client.create_model_version("mnist-onnx", str(home / "models/mnist/export"))
    refused = anelab(home, "model", "promote", "mnist-onnx", str(foreign.version), "--force")
    client.delete_model_version("mnist-onnx", foreign.version)
    assert (refused.returncode, "was not registered by anelab" in refused.stderr) == (1, True)


def test_a_debug_model_never_becomes_champion(home: Path) -> None:
    champion = record(home)["champion"]["sha256"]
    extra = (*ONNX_ONLY, "-S", "mnist.training.debug=fast-dev-run", "-S", "mnist.registry.threshold=0.0")
    for stage in ("train", "export"):
        assert anelab(home, stage, "mnist", *SETTINGS, *extra).returncode == 0
    done = anelab(home, "register", "mnist", *SETTINGS, *WIDE, "-S", "mnist.registry.threshold=0.0")
    assert re.search("gate training failed: mnist-onnx .*: trained with training.debug=fast-dev-run", done.stderr)
    assert record(home)["champion"]["sha256"] == champion


def test_an_aliased_version_is_neither_deleted_nor_collected(home: Path) -> None:
    refused = anelab(home, "model", "delete", "mnist-onnx", "champion")
    assert refused.returncode == 1
    assert "is champion; first give that role to another version" in refused.stderr
    assert anelab(home, "model", "delete", "mnist-onnx", "2").returncode == 0
    assert "its versions are: 1, 3" in anelab(home, "model", "inspect", "mnist-onnx", "2").stderr
    former = anelab(home, "model", "delete", "mnist-onnx", "1")
    assert former.returncode == 1
    assert "a roll-back may need it" in former.stderr


def test_a_lost_store_comes_back_with_its_champion(home: Path) -> None:
    sha = record(home)["champion"]["sha256"]
    retrain(home, "-S", "mnist.training.max_epochs=3")
    assert record(home)["champion"]["sha256"] == sha
    (home / "mlruns").rename(home / "lost")
    done = anelab_alone(home, "sync")  # MLflow keeps an open database by address
    assert done.returncode == 0, done.stderr
    shown = anelab_alone(home, "model", "inspect", "mnist-onnx", "--json")
    assert sha[:12] in json.loads(shown.stdout)["files"]["model.onnx"]
    again = anelab_alone(home, "sync", "--json")
    assert json.loads(again.stdout)["runs_made"] == 0


def test_a_server_that_is_down_stops_no_training_and_nothing_is_lost(home: Path) -> None:
    down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = anelab_alone(home, "train", "mnist", *SETTINGS, "-S", "seed=7", **down)
    assert done.returncode == 0
    assert "train of mnist is done, but is not in MLflow yet" in done.stderr
    assert "Traceback" not in done.stderr
    refused = anelab_alone(home, "register", "mnist", *SETTINGS, **down)
    assert refused.returncode == 1
    assert "does not answer" in refused.stderr
    synced = json.loads(anelab_alone(home, "sync", "--json").stdout)
    assert synced["runs_made"] == 1


def test_lost_artifacts_are_put_back_and_damaged_records_are_named(home: Path) -> None:
    models = sorted((home / "mlruns/artifacts/mnist/models").glob("*/artifacts/model.onnx"))
    models += sorted((home / "mlruns/artifacts/mnist/models").glob("*/artifacts/model.mlpackage/**/weight.bin"))
    for model in models:
        model.write_bytes(model.read_bytes()[:100])
    package = anelab_alone(home, "model", "inspect", "mnist-coreml")
    assert package.returncode == 1
    assert "model.mlpackage: not what manifest.json says" in package.stderr
    damaged = anelab_alone(home, "model", "inspect", "mnist-onnx")
    assert damaged.returncode == 1
    assert "model.onnx: not what manifest.json says" in damaged.stderr
    shutil.rmtree(home / "mlruns/artifacts")
    lost = anelab_alone(home, "model", "inspect", "mnist-onnx")
    assert lost.returncode == 1
    assert "cannot be read" in lost.stderr
    raw = home / "models/mnist/export/model.raw.onnx"
    whole = raw.read_bytes()
    raw.write_bytes(whole[:100])
    refused = anelab_alone(home, "sync")
    assert "files are not the registered ones, or damaged; run `dvc checkout`" in refused.stderr
    raw.write_bytes(whole)
    assert anelab_alone(home, "sync").returncode == 0
    assert anelab_alone(home, "model", "inspect", "mnist-onnx").returncode == 0
    assert anelab_alone(home, "model", "inspect", "mnist-coreml").returncode == 0
    assert list((home / "mlruns/artifacts").rglob("train.json"))
    registry = home / "reports/mnist/registry.json"
    registry.write_text(registry.read_text()[:500])
    assert anelab_alone(home, "register", "mnist", *SETTINGS, *WIDE).returncode == 0
    for name, text in (("registry.json", "{"), ("registry.json", '{"schema": 1}'), ("champion.json", "[1]")):
        path = home / "reports/mnist" / name
        before = path.read_text()
        path.write_text(text)
        done = anelab_alone(home, "sync")
        assert done.returncode == 1
        assert name in done.stderr
        assert "Traceback" not in done.stderr
        path.write_text(before)


def test_a_champion_that_is_not_in_this_store_still_binds(home: Path) -> None:
    """Elsewhere (a clone, another server) its recorded value on the same test set is what counts."""
    champion = record(home)["champion"]
    (home / "mlruns").rename(home / "elsewhere")
    worse = ("-S", "mnist.training.learning_rate=0.0001", "-S", "mnist.registry.threshold=0.0")
    settings = (*SETTINGS, *ONNX_ONLY, *worse)
    for stage in ("train", "export", "register"):
        done = anelab_alone(home, stage, "mnist", *settings)
        assert done.returncode == 0, done.stderr
    assert "the champion itself is not in this store" in done.stderr
    other = anelab_alone(
        home, "register", "mnist", *settings, "-S", "mnist.metric=min:nll", "-S", "mnist.registry.threshold=9"
    )
    assert "in this store and saw another test set or metric, so they cannot be compared" in other.stderr
    assert record(home)["champion"] == champion
    assert "version 1 (fp32): challenger" in done.stdout
    back = anelab_alone(home, "model", "rollback", "mnist-onnx")
    assert back.returncode == 1
    assert "is not in this store; check out the commit that made it" in back.stderr
    assert record(home)["champion"] == champion


def test_a_deleted_version_stays_deleted(home: Path) -> None:
    assert anelab_alone(home, "model", "delete", "mnist-onnx", "2").returncode == 0
    assert anelab_alone(home, "sync").returncode == 0
    listed = json.loads(anelab_alone(home, "model", "list", "mnist-onnx", "--json").stdout)
    assert [row["version"] for row in listed] == ["1"]


def test_two_at_once_in_one_workspace_are_kept_apart(home: Path) -> None:
    with alone(Workspace(ROOT, home), "mnist"):
        done = anelab_alone(home, "train", "mnist", *SETTINGS)
        promoted = anelab_alone(home, "model", "promote", "mnist-onnx", "1", "--force")
    assert done.returncode == promoted.returncode == 1
    assert "another process is at work on mnist" in done.stderr
    assert "another process is at work on mnist" in promoted.stderr
    assert anelab_alone(home, "train", "mnist", *SETTINGS).returncode == 0
