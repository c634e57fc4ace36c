"""The one way to a model: references, files, what they say, and `anelab predict`. By small graphs made here."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anelab.cli.packages import check_out
from anelab.errors import AnelabError, UsageError
from anelab.export.manifest import Artifact, golden_vectors, make_manifest
from anelab.export.runtime import onnx_predictor
from anelab.files import path_digest, write_json
from anelab.inference.model import Plan, open_model
from anelab.learning.base import GoldenCase, Graph, Tensor
from anelab.tracking.reference import VersionReference, parse_reference, parse_version
from anelab.workspace import Workspace
from tests.cli.test_app import run

GRAPH = Graph("model", (Tensor("x", "float32", ("n", 3)),), (Tensor("y", "float32", ("n", 3)),))


def doubling(path: Path, rows: int | str = "n", kind: int = TensorProto.FLOAT) -> Path:
    """A graph that adds x to itself."""
    ports = [helper.make_tensor_value_info(name, kind, [rows, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"workload": "toy", "preprocessing": "toy/1"})
    onnx.save(model, path)
    return path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The folder of an export, with two golden cases."""
    folder = tmp_path / "an export"
    folder.mkdir()
    artifact = Artifact(doubling(folder / "model.onnx").name, GRAPH, "fp32")
    cases = [GoldenCase({"x": value}, {"model": {"x": np.full((1, 3), value, np.float32)}}) for value in (0.1, 7.0)]
    golden = golden_vectors(cases, {artifact: onnx_predictor(folder / "model.onnx")})
    write_json(folder / "manifest.json", make_manifest(folder, [artifact], {"workload": "toy"}, golden))
    return folder


def nowhere() -> Workspace:
    raise AssertionError("a file needs no workspace")


def inputs_of(path: Path) -> list[str]:
    with open_model(nowhere, str(path)) as model:
        return [port.name for port in model.inputs]


@pytest.mark.parametrize("prefix", ["", "models:/"])
@pytest.mark.parametrize(
    ("text", "model", "version"),
    [
        ("mnist-onnx", "mnist-onnx", "champion"),
        ("mnist-onnx@challenger", "mnist-onnx", "challenger"),
        ("mnist-onnx/12", "mnist-onnx", "12"),
        ("read_quality-coreml@champion", "read_quality-coreml", "champion"),
    ],
)
def test_a_name_of_the_registry_is_read_in_every_form(prefix: str, text: str, model: str, version: str) -> None:
    found = parse_reference(prefix + text)
    assert isinstance(found, VersionReference)
    assert (found.model, found.version) == (model, version)


@pytest.mark.parametrize("text", ["m.onnx", "a/b.mlpackage", "./mnist-onnx", "/x/y", "some folder", "a/b", "~/m.onnx"])
def test_everything_else_is_a_path(text: str) -> None:
    assert parse_reference(text) == Path(text).expanduser()


def test_what_exists_is_a_path_unless_the_registry_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mnist-onnx").mkdir()
    assert parse_reference("mnist-onnx") == Path("mnist-onnx")
    assert parse_reference("models:/mnist-onnx") == VersionReference("mnist-onnx")


@pytest.mark.parametrize("text", ["", "models:/", "models:/a b", "models:/m@", "models:/m/three"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NAME@alias"):
        parse_reference(text)


def test_a_version_may_stand_apart_but_not_twice() -> None:
    assert parse_version("mnist-onnx", "3") == parse_version("mnist-onnx/3") == parse_version("models:/mnist-onnx/3")
    assert str(parse_version("mnist-onnx", "3")) == "mnist-onnx/3"
    with pytest.raises(UsageError, match=r"names version champion already, but got 3 too"):
        parse_version("mnist-onnx@champion", "3")
    with pytest.raises(UsageError, match=r"but got the path x\.onnx"):
        parse_version("x.onnx", "3")


def test_a_folder_and_a_file_give_the_same_model_without_a_workspace(export: Path) -> None:
    rows = np.arange(30, dtype=np.float32).reshape(10, 3)
    for reference in (str(export), str(export / "model.onnx")):
        with open_model(nowhere, reference, Plan(batch_rows=4)) as model:
            np.testing.assert_array_equal(model.predict({"x": rows})["y"], 2 * rows)
            assert [str(port) for port in (*model.inputs, *model.outputs)] == ["x float32 [n, 3]", "y float32 [n, 3]"]
            assert (model.provider, model.format) == ("CPUExecutionProvider", "onnx")
            assert model.metadata["workload"] == "toy"
            assert len(model.manifest["golden"]) == 2


def test_a_model_of_a_fixed_batch_takes_any_number_of_rows(tmp_path: Path) -> None:
    rows = np.arange(21, dtype=np.float32).reshape(7, 3)
    with open_model(nowhere, str(doubling(tmp_path / "four.onnx", rows=4))) as model:
        np.testing.assert_array_equal(model.predict({"x": rows})["y"], 2 * rows)


def test_the_contract_is_checked(tmp_path: Path) -> None:
    with open_model(nowhere, str(doubling(tmp_path / "m.onnx"))) as model:
        model.require("toy", "toy/1")
        with pytest.raises(AnelabError, match="with preprocessing toy/1, but it must be toy/2 of toy"):
            model.require("toy", "toy/2")


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({}, "takes x float32 .n, 3., but got nothing"),
        ({"z": np.zeros((2, 3), np.float32)}, "but got z"),
        ({"x": np.zeros((2, 3))}, r"\(n: rows\), but got x float64 .2, 3."),
        ({"x": np.zeros((2, 4), np.float32)}, "but got x float32 .2, 4."),
        ({"x": np.zeros(3, np.float32)}, "but got x float32 .3."),
    ],
)
def test_rows_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray], problem: str, tmp_path: Path) -> None:
    with open_model(nowhere, str(doubling(tmp_path / "m.onnx"))) as model, pytest.raises(UsageError, match=problem):
        model.check_rows(arrays)


def test_another_file_under_the_name_and_a_name_that_leads_out_are_refused(export: Path, tmp_path: Path) -> None:
    doubling(export / "model.onnx", kind=TensorProto.DOUBLE)
    with pytest.raises(AnelabError, match=r"is not the file that manifest\.json lists"):
        inputs_of(export)
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["files"] = {"../m.onnx": manifest["files"]["model.onnx"]}
    doubling(tmp_path / "m.onnx")
    write_json(export / "manifest.json", manifest)
    with (
        pytest.raises(AnelabError, match=r"'\.\./m\.onnx' is not a plain file name"),
        open_model(nowhere, str(export)),
    ):
        pass


@pytest.mark.parametrize("lost", ["metadata", "size_bytes", "variant", "sha256"])
def test_a_manifest_that_lacks_what_commands_read_is_refused(lost: str, export: Path) -> None:
    manifest = json.loads((export / "manifest.json").read_text())
    (manifest if lost == "metadata" else manifest["files"]["model.onnx"]).pop(lost)
    write_json(export / "manifest.json", manifest)
    with pytest.raises(AnelabError, match=rf"manifest\.json: is not of a model \(KeyError: '{lost}'\)"):
        inputs_of(export)


def test_several_outputs_do_not_go_into_one_array_and_nothing_is_run_for_it(tmp_path: Path) -> None:
    check_out(Path("out.npz"), ["a", "b"])
    check_out(Path("-"), ["a", "b"])
    with pytest.raises(UsageError, match=r"out\.npy: holds one output, but the model has a, b; name an \.npz"):
        check_out(Path("out.npy"), ["a", "b"])


def with_int8(export: Path) -> Path:
    """A variant that is listed first, as an export lists them by name."""
    manifest = json.loads((export / "manifest.json").read_text())
    doubling(export / "model.int8.onnx", rows=4)
    entry = {**manifest["files"]["model.onnx"], "variant": "int8", "sha256": path_digest(export / "model.int8.onnx")}
    manifest["files"] = {"model.int8.onnx": entry, **manifest["files"]}
    write_json(export / "manifest.json", manifest)
    return export


def test_a_folder_means_the_file_that_is_called_model(export: Path) -> None:
    with open_model(nowhere, str(with_int8(export))) as model:
        assert model.path.name == "model.onnx"
    with open_model(nowhere, str(export), file="model.int8.onnx") as model:
        assert model.path.name == "model.int8.onnx"


def test_a_file_that_is_missing_or_another_is_named(export: Path) -> None:
    with_int8(export)
    (export / "model.int8.onnx").unlink()
    described = json.loads(run("model", "inspect", str(export), "--json").stdout)["files"]
    assert described["model.int8.onnx"].endswith("; MISSING")
    assert described["model.onnx"].endswith(path_digest(export / "model.onnx"))
    doubling(export / "model.onnx", rows=8)
    for reference in (export, export / "model.onnx"):
        with pytest.raises(AnelabError, match=r"is not the file that manifest\.json"):
            inputs_of(reference)
    (export / "model.onnx").unlink()
    with pytest.raises(AnelabError, match=r"model\.onnx: is missing, but manifest\.json lists it"):
        inputs_of(export)


def test_rows_are_never_written_over_and_odd_outputs_are_said(export: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.full((2, 3), np.nan, np.float32))
    (tmp_path / "link.npy").symlink_to(tmp_path / "rows.npy")
    for out in ("rows.npy", "link.npy"):
        done = run("predict", str(export), "rows.npy", "-o", out, cwd=tmp_path)
        assert (done.returncode, "is the file of the rows; give another" in done.stderr) == (2, True)
    assert np.load(tmp_path / "rows.npy").shape == (2, 3)
    done = run("predict", str(export), "rows.npy", "-o", "out.npy", cwd=tmp_path)
    assert (done.returncode, "6 of 6 values of y are NaN or infinite" in done.stderr) == (0, True)


def test_predict_works_in_an_empty_folder(export: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    np.save(empty / "rows.npy", np.ones((5, 3), np.float32))
    done = run("predict", str(export), "rows.npy", "-o", "out.npz", cwd=empty)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(empty / "out.npz")["y"], np.full((5, 3), 2, np.float32))
    assert "(model.onnx) on CPUExecutionProvider: y float32 [5, 3]" in done.stderr
    assert "5 rows in" in done.stderr and "us a row" in done.stderr
    facts = run("predict", str(export), "rows.npy", "-o", "out.npy", "--json", cwd=empty)
    assert json.loads(facts.stdout)["outputs"] == {"y": {"dtype": "float32", "shape": [5, 3]}}
    assert np.load(empty / "out.npy").shape == (5, 3)
    described = json.loads(run("model", "inspect", str(export / "model.onnx"), "--json", cwd=empty).stdout)
    assert described["inputs"] == ["x float32 [n, 3]"]


def test_predict_stands_in_a_pipeline_and_imports_neither_torch_nor_mlflow(export: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom anelab.cli import main\n"
        f"try: main(['predict', {str(export)!r}, '-', '-o', '-'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert not {'torch', 'mlflow', 'onnx', 'pandas', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    given = io.BytesIO()
    np.savez(given, x=np.ones((2, 3), np.float32))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, input=given.getvalue(), capture_output=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout))["y"], np.full((2, 3), 2, np.float32))


def test_golden_vectors_pass_and_the_case_that_fails_is_named(export: Path) -> None:
    done = run("predict", str(export), "--golden")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 golden cases pass, largest difference 0" in done.stdout
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["golden"][1]["outputs"]["model.onnx"]["y"]["values"][2] += 0.01
    write_json(export / "manifest.json", manifest)
    done = run("predict", str(export), "--golden")
    assert done.returncode == 1
    assert "golden case 2 fails: output y differs by 0.01, allowed 0.0001; it was given {'x': 7.0}" in done.stdout
    assert run("predict", str(export), "--golden", "--tolerance", "0.02").returncode == 0


def test_golden_values_that_are_no_numbers_are_compared_as_such(export: Path) -> None:
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["golden"][1]["outputs"]["model.onnx"]["y"]["values"][0] = "nan"
    write_json(export / "manifest.json", manifest)
    done = run("predict", str(export), "--golden", "--json")
    assert [case["largest"] for case in json.loads(done.stdout)] == [0.0, "inf"]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["EXPORT"], "predict needs ROWS and -o OUT, or --golden"),
        (["EXPORT", "rows.npy"], "predict needs ROWS and -o OUT, or --golden"),
        (["EXPORT", "rows.npy", "-o", "-", "--golden"], "predict needs ROWS and -o OUT, or --golden without them"),
        (["EXPORT", "--golden", "-o", "-"], "predict needs ROWS and -o OUT, or --golden without them"),
        (["EXPORT/model.onnx", "--golden", "--file", "model.raw.onnx"], "is a single file; --file chooses one of"),
        (["EXPORT", "rows.npy", "-o", "out.csv"], "--out must end in .npz or .npy, or be -, but got out.csv"),
        (["EXPORT", "absent.npy", "-o", "out.npz"], "ROWS absent.npy: there is no such file"),
        (["EXPORT", "--golden", "--file", "other.onnx"], "has no file other.onnx; it has model.onnx"),
        (["absent.onnx", "--golden"], "absent.onnx: is not there; a model is NAME, NAME@alias or NAME/3"),
        (["notes.txt", "--golden"], "notes.txt: is not there"),
        (["mnist-onnx", "--golden"], "no params.yaml in"),
    ],
)
def test_what_cannot_be_meant_is_explained(words: list[str], problem: str, export: Path, tmp_path: Path) -> None:
    given = [word.replace("EXPORT", str(export)) for word in words]
    done = run("predict", *given, cwd=tmp_path)
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_what_onnx_runtime_refuses_is_a_sentence_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    done = run("predict", "damaged.onnx", "--golden", cwd=tmp_path)
    assert done.returncode == 1
    assert "damaged.onnx: ONNX Runtime cannot load it" in done.stderr
