"""What comes from elsewhere: names that lead out of a folder, links, text that is no text, and work without bounds."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anelab.cli.packages import read_rows
from anelab.errors import AnelabError, DamagedFileError, UsageError
from anelab.export.manifest_file import read_manifest
from anelab.export.mlpackage import read_spec
from anelab.files import canonical_json, damaged_files, file_digest, inside, read_json, write_json
from anelab.inference.reads.run import Outputs, Reading, score_reads
from anelab.inference.reads.scorer import model_scorer
from anelab.learning.arrays import load_array
from anelab.learning.base import Split
from anelab.texts import MOST_BYTES, parse_json, printable, printable_lines, utc_time, value_text
from anelab.tracking.benchmarks import import_bundle
from anelab.tracking.query import named, tagged
from anelab.tracking.receipt import Receipt, receipt_path
from anelab.tracking.runs import publish
from anelab.tracking.store import open_store
from anelab.workloads.read_quality.encode import read_reads
from anelab.workspace import Workspace
from tests.commands import anelab

OUTSIDE = ("../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "x\n", "\x1b", ".hidden", "n" * 300)
ENTRY = {"format": "onnx", "graph": "model", "primary": True, "sha256": "0" * 64, "size_bytes": 1, "variant": "fp32"}


@pytest.fixture(scope="session")
def hostile(real_data: Path) -> Path:
    return real_data / "hostile"


@pytest.mark.parametrize("text", ["x' or name != 'y", 'a"', "a`b", "a\\", "a\nb", "a b", "x" * 251, "ä"])
def test_no_text_ends_a_filter(text: str) -> None:
    for build in (named, lambda value: tagged("key", value), lambda value: tagged(value, "1")):
        with pytest.raises(AnelabError, match="is no name, id or digest"):
            build(text)


def test_filters_are_made_in_one_place() -> None:
    """A quote before a value in braces is a filter made elsewhere."""
    source = Path(__file__).parents[1] / "src"
    made = [path.name for path in source.rglob("*.py") if "= '{" in path.read_text() and "tags.`" in path.read_text()]
    assert made == ["query.py"]
    assert [path.name for path in source.rglob("*.py") if "tags.`" in path.read_text()] == ["query.py"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="is not a plain file name"):
        inside(tmp_path, name)
    for part in ("files", "companions"):
        content = {"metadata": {}, "files": {}, "companions": {}, part: {name: ENTRY}}
        write_json(tmp_path / "manifest.json", content)
        with pytest.raises(DamagedFileError, match=r"is not a plain file name|control character"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"metadata": [], "files": {}},
        {"metadata": {"a": 1}, "files": {}},
        {"metadata": {}, "files": []},
        {"metadata": {}, "files": {"model.onnx": None}},
        {"metadata": {}, "files": {"model.onnx": {**ENTRY, "sha256": "x"}}},
        {"metadata": {}, "files": {"model.onnx": {**ENTRY, "primary": "yes"}}},
        {"metadata": {}, "files": {}, "companions": {"a": {}}},
    ],
)
def test_a_manifest_of_other_types_is_refused(content: object, tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", content)
    with pytest.raises(DamagedFileError, match="is not of a model"):
        read_manifest(tmp_path)


def test_links_out_of_a_folder_are_not_followed_and_devices_not_read(tmp_path: Path) -> None:
    folder, secret = tmp_path / "export", tmp_path / "secret"
    (folder / "model.mlpackage").mkdir(parents=True)
    secret.write_text("secret")
    listed = {"files": {"leak": {"sha256": file_digest(secret)}}, "companions": {}}
    (folder / "leak").symlink_to(secret)
    with pytest.raises(DamagedFileError, match="is a link that leads out of export"):
        damaged_files(folder, listed)
    (folder / "model.mlpackage" / "zero").symlink_to("/dev/zero")
    with pytest.raises(DamagedFileError, match="is a link that leads out of"):
        inside(folder, "model.mlpackage")
    (folder / "model.mlpackage" / "zero").unlink()
    os.mkfifo(folder / "model.mlpackage" / "pipe")
    with pytest.raises(DamagedFileError, match="is no file, but a device or a pipe"):
        inside(folder, "model.mlpackage")
    (folder / "circle").symlink_to(folder / "circle")
    with pytest.raises(DamagedFileError, match="cannot be followed"):
        inside(folder, "circle")


def test_links_into_the_cache_of_dvc_are_files(tmp_path: Path) -> None:
    """`dvc config cache.type symlink` makes them."""
    cached = tmp_path / ".dvc/cache/files/md5/0a" / ("b" * 30)
    cached.parent.mkdir(parents=True)
    cached.write_text("weights")
    (tmp_path / "export").mkdir()
    (tmp_path / "export/model.onnx").symlink_to(cached)
    assert inside(tmp_path / "export", "model.onnx").read_text() == "weights"


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd"])
def test_a_package_that_names_what_is_not_in_it_is_refused(name: str, tmp_path: Path) -> None:
    package = tmp_path / "model.mlpackage"
    (package / "Data/com.apple.CoreML").mkdir(parents=True)
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"")
    items = {"itemInfoEntries": {"a": {"path": name}}, "rootModelIdentifier": "a"}
    (package / "Manifest.json").write_text(json.dumps(items))
    with pytest.raises(AnelabError, match="which is not in the package"):
        read_spec(package)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home", tmp_path / "home")


@pytest.mark.parametrize(
    "change",
    [
        {"reports": ["/etc/passwd"]},
        {"reports": ["../../x"]},
        {"workload": "read_quality"},
        {"stage": "train"},
        {"input_key": "../../../x"},
        {"input_key": "a' or '1"},
    ],
)
def test_a_receipt_names_reports_of_its_own_folder_only(change: dict[str, object], workspace: Workspace) -> None:
    path = receipt_path(workspace, "mnist", "search")
    Receipt("mnist", "search", "a" * 64, {}, reports=["search.json"]).write(path)
    Receipt.read(path)
    write_json(path, {**read_json(path), **change})
    with pytest.raises(AnelabError, match=r"receipts/search\.json: is damaged"):
        Receipt.read(path)


def test_a_report_that_is_a_link_is_not_logged(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    workspace.reports("mnist").mkdir(parents=True)
    (workspace.reports("mnist") / "search.json").symlink_to(tmp_path / "secret")
    receipt = Receipt("mnist", "search", "a" * 64, {}, reports=["search.json"])
    with pytest.raises(AnelabError, match="is a link that leads out of mnist"):
        publish(open_store(workspace), workspace, receipt)


@pytest.mark.parametrize("name", ["wl_inject", "wl_new", "year10000", "texts", "nan2", "surrogate", "deep2"])
def test_a_refused_bundle_leaves_nothing_behind(name: str, workspace: Workspace, hostile: Path, tmp_path: Path) -> None:
    store = open_store(workspace)
    before = sorted(path for path in tmp_path.rglob("*") if "mlflow.db" not in path.name and path.name != ".lock")
    shutil.copy(hostile / f"{name}.zip", tmp_path / "bundle.zip")
    with pytest.raises(AnelabError) as refused:
        import_bundle(store, workspace, tmp_path / "bundle.zip")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000
    (tmp_path / "bundle.zip").unlink()
    after = sorted(path for path in tmp_path.rglob("*") if "mlflow.db" not in path.name and path.name != ".lock")
    assert after == before
    assert [one.name for one in store.client.search_experiments()] == ["Default"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "deep"),
        ("[" * 70 + "]" * 70, "deep"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "at most 2"),
        ("[" + "9" * 400 + "]", "at most 2"),
        ("[" + "9" * 5000 + "]", "limit"),
        ('["\\ud800"]', "control character \\\\ud800"),
        (" " * (MOST_BYTES + 1), "bytes, at most"),
        ('["' + "a" * 100_001 + '"]', "100,001 characters"),
        ("[" + "[]," * 500_000 + "0]", "more than 1,000,000 values"),
    ],
)
def test_json_is_bounded(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(text)


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x00", "\x9b", "\u202e", "\u2028"])
def test_control_characters_are_refused_where_they_are_not_wanted(character: str) -> None:
    """A log of this machine may hold them; what comes from elsewhere may not."""
    for value in ([character], {character: 1}):
        assert parse_json(json.dumps(value)) == value
        with pytest.raises(ValueError, match="control character"):
            parse_json(json.dumps(value), control=False)


def test_json_of_ours_is_taken() -> None:
    value = {"a": [1, 2.5, None, True, "tab\tline\n", "ä 漢 🐟"], "b": {}}
    assert parse_json(canonical_json(value)) == value
    assert parse_json(json.dumps(value).encode()) == value, "a pair of surrogates is one character"


def test_text_is_shown_without_control_characters() -> None:
    assert printable("a\x1b]0;t\x07\r\nb\u202e\ud800") == "a\\x1b]0;t\\x07\\x0d\\x0ab\\u202e\\ud800"
    assert printable("x" * 400) == "x" * 297 + "..."
    assert printable_lines("a\tb\n\x1bc") == "a\tb\n\\x1bc"
    assert printable("Grüße, 漢字") == "Grüße, 漢字"


def test_a_value_of_any_size_is_shown_by_its_beginning() -> None:
    assert value_text([[]] * 1_000_000) == "[[], [], [], [], [], [], ...]"
    assert value_text("x" * 10**6, 20) == "'xxxxxxx...xxxxxxxx'"
    assert value_text({"a": 1, "b": [2.5, None]}) == "{'a': 1, 'b': [2.5, None]}"


def test_a_time_that_no_calendar_has_is_shown_as_unknown() -> None:
    """A store may hold one, from before results were checked for it."""
    assert utc_time(0) == "1970-01-01 00:00"
    assert [utc_time(value) for value in (253402351199000, 10**30, float("inf"), -(10**18))] == ["time unknown"] * 4


def reads_model(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[object],
    kind: int = TensorProto.FLOAT,
    label: str = "mean_quality",
) -> Path:
    """A model that says of itself that it judges reads."""
    given = helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 300])
    answer = helper.make_tensor_value_info("output", kind, shape)
    graph = helper.make_graph([helper.make_node("Cast", ["input"], ["f"], to=kind), *nodes], "lie", [given], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"workload": "read_quality", "preprocessing": "reads/3", "label": label})
    onnx.save(model, path)
    return path


MEAN_OF_ALL = helper.make_node("ReduceMean", ["f"], ["output"], axes=[0, 1])
MEAN_OF_EACH = helper.make_node("ReduceMean", ["f"], ["output"], axes=[1])
SCALAR = helper.make_node("ReduceMean", ["f"], ["output"], keepdims=0)
SAME = helper.make_node("Identity", ["f"], ["output"])


def first_alone() -> list[onnx.NodeProto]:
    """The first row's answer, by a slice whose end only the values tell."""
    ends = {"zero": (TensorProto.FLOAT, 0.0), "one": (TensorProto.FLOAT, 1.0), "size": (TensorProto.INT64, 1)}
    constants = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [1], [value]))
        for name, (kind, value) in ends.items()
    ]
    return [
        *constants,
        helper.make_node("ReduceMean", ["f"], ["each"], axes=[1]),
        helper.make_node("ReduceMax", ["each"], ["largest"], keepdims=0),
        helper.make_node("Reshape", ["largest", "size"], ["vector"]),
        helper.make_node("Mul", ["vector", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["more"]),
        helper.make_node("Cast", ["nothing"], ["start"], to=TensorProto.INT64),
        helper.make_node("Cast", ["more"], ["end"], to=TensorProto.INT64),
        helper.make_node("Slice", ["each", "start", "end"], ["output"]),
    ]


@pytest.mark.parametrize(
    ("nodes", "shape", "kind", "why"),
    [
        ([MEAN_OF_ALL], ["n", 1], TensorProto.FLOAT, r"gives output float32 \[1, 1\] for n rows"),
        ([SCALAR], [], TensorProto.FLOAT, r"gives output float32 \[\] for n rows"),
        ([MEAN_OF_EACH], ["n", 1], TensorProto.DOUBLE, "is no model of reads: .*output float64"),
        ([SAME], ["n", 300], TensorProto.FLOAT, "is no model of reads"),
        (first_alone(), ["n", 1], TensorProto.FLOAT, r"answers 3 rows with an array of shape \[1, 1\] as output"),
    ],
)
def test_a_model_that_lies_is_not_believed(
    nodes: list[onnx.NodeProto], shape: list[object], kind: int, why: str, tmp_path: Path
) -> None:
    (tmp_path / "r.fq").write_text("".join(f"@r{row}\nACGT\n+\nIIII\n" for row in range(3)))
    model = reads_model(tmp_path / "lie.onnx", nodes, shape, kind)
    parts = list(read_reads(tmp_path / "r.fq", 33, "--phred "))
    with pytest.raises(AnelabError, match=why), model_scorer(Workspace.anywhere, str(model)) as scorer:
        scorer.score(parts[0])


def test_a_model_that_answers_each_row_is_believed(tmp_path: Path) -> None:
    (tmp_path / "r.fq").write_text("".join(f"@r{row}\nACGT\n+\nIIII\n" for row in range(3)))
    model = reads_model(tmp_path / "m.onnx", [MEAN_OF_EACH], ["n", 1])
    with model_scorer(Workspace.anywhere, str(model)) as scorer:
        assert len(scorer.score(next(read_reads(tmp_path / "r.fq", 33, "--phred ")))) == 3


@pytest.mark.parametrize(
    "answers", [[np.nan, 0.75, 0.25], [np.inf, 0.75, 0.25], [-3.0, 0.75, 0.25], [1e30, 0.75, 0.25]]
)
@pytest.mark.parametrize("sorts", [True, False])
def test_an_answer_that_is_no_probability_is_counted_and_fails(
    answers: list[float], sorts: bool, tmp_path: Path
) -> None:
    """The model answers a read by the first of its bases: A, C, G."""
    (tmp_path / "r.fq").write_text("".join(f"@{base}\n{base * 9}\n+\n{'I' * 9}\n" for base in "ACG"))
    table = helper.make_tensor("table", TensorProto.FLOAT, [9, 1], [0] * 4 + answers + [0, 0])
    nodes = [
        helper.make_node("Constant", [], ["table"], value=table),
        helper.make_node("Slice", ["f", "zero", "one", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["places"], to=TensorProto.INT64),
        helper.make_node("GatherND", ["table", "places"], ["output"]),
    ]
    constants = {"zero": 0, "one": 1, "axis": 1}
    for name, value in constants.items():
        tensor = helper.make_tensor(name, TensorProto.INT64, [1], [value])
        nodes.insert(0, helper.make_node("Constant", [], [name], value=tensor))
    model = reads_model(tmp_path / "m.onnx", nodes, ["n", 1], label="true_errors" if sorts else "mean_quality")
    out = tmp_path / "o.tsv"
    with model_scorer(Workspace.anywhere, str(model)) as scorer:
        found = score_reads([tmp_path / "r.fq"], scorer, Outputs(out), Reading(phred=33))
    assert (found.reads, found.passing, found.invalid) == (3, 1, 1)
    assert out.read_text().splitlines()[1:] == ["A\tnan\tFAIL", "C\t0.750000\tPASS", "G\t0.250000\tFAIL"]
    assert found.as_json()["invalid"] == 1
    assert set(found.thresholds().values()) <= {0.24, 0.74}


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("one_out", 1, "gives output float32 [1, 1] for n rows; the first axis of an output must be the rows"),
        ("scalar_out", 1, "gives output float32 [] for n rows"),
        ("nan", 0, "3 reads FAIL: the model's answer is no probability"),
        ("huge_const", 1, "ONNX Runtime cannot run it on these rows"),
        ("ansi_meta", 1, "name one of read_quality"),
    ],
)
def test_hostile_models_are_answered_by_a_sentence(
    name: str, status: int, says: str, hostile: Path, tmp_path: Path
) -> None:
    model = onnx.load(hostile / f"{name}.onnx")
    onnx.helper.set_model_props(
        model, {**{one.key: one.value for one in model.metadata_props}, "label": "mean_quality"}
    )
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "r.fq").write_text("".join(f"@r{row}\nACGT\n+\nIIII\n" for row in range(3)))
    paths = [str(tmp_path / file) for file in ("r.fq", "m.onnx", "o.tsv")]
    done = anelab(tmp_path, "score", paths[0], "--phred", "33", "--model", paths[1], "-o", paths[2])
    assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done
    assert (tmp_path / "o.tsv").exists() == (status == 0)


def test_rows_that_unpack_to_more_than_is_taken_are_refused_by_their_declared_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "rows.npz", input=np.zeros((100, 300), np.uint8))
    read_rows(tmp_path / "rows.npz", ["input"])
    monkeypatch.setattr("anelab.learning.arrays.MOST_UNPACKED", 30_000)
    with pytest.raises(UsageError, match=r"it unpacks to 30,128 bytes; at most 30,000 are taken"):
        read_rows(tmp_path / "rows.npz", ["input"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\0v\0{'descr': 'O', 'fortran_order': False, 'shape': (1,), }",
        b"PK\3\4",
        b"x" * 99,
    ],
)
def test_damaged_prepared_arrays_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "test.image.npy").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"test\.image\.npy: is damaged"):
        load_array(tmp_path / "test.image.npy")
    np.save(tmp_path / "test.image.npy", np.zeros((3, 1, 28, 27), np.uint8))
    with pytest.raises(DamagedFileError, match=r"holds uint8 \[3, 1, 28, 27\], not numbers \[n, 1, 28, 28\]"):
        load_array(tmp_path / "test.image.npy", (None, 1, 28, 28))


def test_a_split_has_as_many_rows_in_each_array() -> None:
    with pytest.raises(AnelabError, match=r"different numbers of rows \(3, 4\)"):
        Split({"model": {"input": np.zeros((3, 2))}}, {"label": np.zeros(4)}, np.zeros(3))


def test_a_spec_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    package = tmp_path / "model.mlpackage"
    (package / "Data/com.apple.CoreML").mkdir(parents=True)
    (package / "Manifest.json").write_text(json.dumps({"itemInfoEntries": {}}))
    with (package / "Data/com.apple.CoreML/model.mlmodel").open("wb") as handle:
        handle.truncate((128 << 20) + 1)
    with pytest.raises(AnelabError, match=r"has 134,217,729 bytes; at most 134,217,728 are taken"):
        read_spec(package)
