"""What is no file, no address, no number, or not open: devices, addresses of stores, YAML's tags, closed streams."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anelab.bench.results.report import parse_report, read_report
from anelab.bench.results.samples import Slice, read_samples, write_samples
from anelab.bench.results.trend import times
from anelab.bench.scenario import Scenario
from anelab.cli.packages import write_outputs
from anelab.errors import AnelabError
from anelab.files import remove_drafts, replacing, write_text
from anelab.inference.golden import check_golden
from anelab.inference.model import open_model
from anelab.tracking.receipt import Receipt, write_execution
from anelab.tracking.store import StoreUnreachableError, open_store, without_password
from anelab.workspace import Workspace
from anelab.yaml_text import parse_yaml
from tests.commands import anelab
from tests.conftest import ROOT
from tests.shared import copy_mnist


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home", tmp_path / "home")


def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a device or a pipe; name a file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_process_that_ends_at_once_takes_its_drafts_away(tmp_path: Path) -> None:
    with replacing(tmp_path / "x") as draft:
        draft.write_text("half")
        remove_drafts()
        assert os.listdir(tmp_path) == []
        draft.parent.mkdir()
        draft.write_text("whole")
    assert (tmp_path / "x").read_text() == "whole"


@pytest.mark.parametrize(
    "uri", ["http://localhost:abc", "http://a b", "http://[::1", "http://\x1b", "http://127.0.0.1:9"]
)
def test_an_address_that_is_none_is_a_sentence(uri: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreUnreachableError, match="does not answer") as refused:
        open_store(workspace)
    assert "\x1b" not in str(refused.value)


def test_what_answers_but_is_no_server_of_http_is_a_sentence(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(StoreUnreachableError, match="does not answer"):
            open_store(workspace)
        thread.join()


@pytest.mark.parametrize("name", ["", "pipe"])
def test_a_store_that_is_no_file_is_a_sentence(
    name: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name if name else ''}")
    with pytest.raises(StoreUnreachableError, match=r"names no file|is no file"):
        open_store(workspace)
    assert os.listdir(tmp_path) == ["pipe"]


def test_no_part_of_a_password_is_shown() -> None:
    assert without_password("http://user:p@ss/w@host:1/x") == "http://***@host:1/x"
    for uri in ("postgresql://host/db", "sqlite:////home/me@work/mlflow.db"):
        assert without_password(uri) == uri


@pytest.mark.parametrize(
    "text",
    [
        "!!bool foo",
        '!!int ""',
        '!!float ""',
        "!!timestamp x",
        "!!set [a]",
        "1" + ":1" * 300 + ".0",
        "1" + ":1" * 40_000,
    ],
)
def test_values_that_are_not_of_their_type_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not of the type of its tag|a number has"):
        parse_yaml(f"x: {text}")


def test_a_number_in_base_60_is_one() -> None:
    assert parse_yaml("x: 1:30") == {"x": 90}


@pytest.mark.parametrize("ns", [-1, 0, 2**62])
def test_a_time_that_no_clock_gives_is_refused(ns: int, tmp_path: Path) -> None:
    one = Slice("a", Scenario("single"), 0, 0, 0, "timed", 1, np.array([5, ns], np.int64))
    write_samples(tmp_path / "s.parquet", [one])
    with pytest.raises(AnelabError, match="a time is from 1 to"):
        read_samples(tmp_path / "s.parquet")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("openings", 0, "load_ns"), -1),
        (("memory", "peak_bytes"), -1),
        (("cells", "single", "median_ns"), -5.0),
        (("cells", "single", "samples"), 2**60),
    ],
)
def test_a_result_has_no_negative_times_and_counts(
    place: tuple[str | int, ...], value: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = copy_mnist(tmp_path_factory.mktemp("home") / "home")
    content = read_report(home / "reports/mnist/bench.json").as_json()
    found = content["arms"]["ort-cpu:fp32"]
    for key in place[:-1]:
        found = found[key]
    found[place[-1]] = value
    with pytest.raises(AnelabError, match="is not a benchmark result"):
        parse_report(content, "x")


def test_a_figure_of_an_old_store_that_is_no_time_does_not_end_the_report() -> None:
    assert [point.value for point in times([40.0, -44.5, 0.0])] == [40.0, -44.5, 0.0]


def test_a_record_that_could_not_be_read_again_is_not_written(workspace: Workspace) -> None:
    receipt = Receipt("mnist", "bench", "a" * 64, {})
    with pytest.raises(AnelabError, match="ended_ms"):
        write_execution(workspace, receipt, {}, 0, 10**15)
    with pytest.raises(AnelabError, match="tags"):
        write_execution(workspace, receipt, {"anelab.host": "f" * 6000}, 0, 1)


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a/b:0"])
def test_outputs_of_any_name_are_written(name: str, tmp_path: Path) -> None:
    write_outputs(tmp_path / "o.npz", {name: np.arange(3), "x": np.zeros(2)})
    with np.load(tmp_path / "o.npz") as found:
        assert found[name].tolist() == [0, 1, 2]
    with pytest.raises(AnelabError, match="cannot be the name of an array"):
        write_outputs(tmp_path / "p.npz", {"../x": np.zeros(1)})
    assert os.listdir(tmp_path) == ["o.npz"]


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_closed_stream_is_a_sentence(closed: str, tmp_path: Path) -> None:
    (tmp_path / "a.fq").write_text("@r1\nACGT\n+\nIIII\n")
    reads, out = ("-", "o.tsv") if closed == "<&-" else ("a.fq", "-")
    words = f"score {reads} --rule mean_quality --phred 33 --workspace {ROOT} -o {out} {closed}"
    command = f"{sys.executable} -m anelab {words}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, "is closed" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_a_name_that_is_no_text_is_written_out(tmp_path: Path) -> None:
    reads = tmp_path / os.fsdecode(b"\xff.fq")
    reads.write_text("@r1\nACGT\n+\nIIII\n")
    words = ["score", str(reads), "--rule", "mean_quality", "--phred", "33", "-o", str(tmp_path / "o.tsv")]
    project = ["--report", str(tmp_path / "r.json"), "--workspace", str(ROOT)]
    done = subprocess.run([sys.executable, "-m", "anelab", *words, *project], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["samples"][0]["file"] == "\\udcff.fq"


def test_a_bundle_that_is_a_link_to_a_device_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "z.zip").symlink_to("/dev/zero")
    done = anelab(tmp_path, "bench", "show", str(tmp_path / "z.zip"))
    assert (done.returncode, "it is no file" in done.stderr) == (1, True)


def test_a_fixed_batch_that_fills_memory_is_refused(tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.UINT8, [2_000_000, 300]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    with (
        pytest.raises(AnelabError, match="takes 4,800,000,000 bytes in each call"),
        open_model(Workspace.anywhere, str(tmp_path / "m.onnx")),
    ):
        pass


@pytest.mark.parametrize("change", ["none", "empty", "overflow"])
def test_golden_vectors_that_compare_nothing_are_damaged(change: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    export = copy_mnist(tmp_path_factory.mktemp("home") / "home") / "models/mnist/export"
    content = json.loads((export / "manifest.json").read_text())
    outputs = content["golden"][0]["outputs"]["model.raw.onnx"]
    if change == "none":
        outputs.clear()
    elif change == "empty":
        outputs["output"] = {"shape": [0, 10], "values": []}
    else:
        content["golden"][0]["inputs"]["raw"]["input"]["values"][0] = 300
    (export / "manifest.json").write_text(json.dumps(content))
    refused = pytest.raises(AnelabError, match=r"golden case 1 of its manifest\.json is damaged")
    with open_model(Workspace.anywhere, str(export), file="model.raw.onnx") as model, refused:
        list(check_golden(model))


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1"])
def test_a_limit_that_is_none_is_refused(value: str, tmp_path: Path) -> None:
    done = anelab(tmp_path, "predict", "m.onnx", "r.npy", "-o", "o.npz", "--timeout", value)
    assert (done.returncode, "--timeout must be from 0.1" in done.stderr) == (2, True)
