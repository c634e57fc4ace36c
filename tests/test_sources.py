import hashlib
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from anelab import inputs
from anelab.errors import AnelabError
from anelab.files import read_json
from anelab.inputs import write_manifest
from anelab.sources import expand, fetch, manifest
from anelab.workspace import Workspace
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("b.fq", "a.fq", "sub/c.fq"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_globs_folders_and_paths_keep_their_order_and_count_once(project: Path) -> None:
    found = expand(["sub", "*.fq", "a.fq"], project, "key")
    assert [path.relative_to(project).as_posix() for path in found] == ["sub/c.fq", "a.fq", "b.fq"]


def test_what_lies_deeper_in_a_folder_is_not_left_out_in_silence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [path.name for path in expand(["."], project, "key")] == ["a.fq", "b.fq"]
    assert "are not read (sub); name them" in capsys.readouterr().err
    expand(["*.fq", "sub"], project, "key")
    assert not capsys.readouterr().err


def test_a_pattern_without_a_file_names_key_pattern_and_fix(project: Path) -> None:
    with pytest.raises(AnelabError, match=r"reads\.data\.source: 'x/\*' matches no file.*give a path"):
        expand(["x/*"], project, "reads.data.source")


def test_names_with_brackets_broken_links_and_unknown_users(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "reads[1].fq").write_text("x")
    (project / "gone.fq").symlink_to(project / "nowhere")
    assert expand(["reads[1].fq"], project, "key") == [project / "reads[1].fq"]
    assert project / "gone.fq" not in expand(["*.fq"], project, "key")
    assert "gone.fq: is skipped: it is a broken link" in capsys.readouterr().err
    with pytest.raises(AnelabError, match="matches no file"):
        expand(["~nobody-of-that-name/x"], project, "key")


def test_a_scratch_copy_finds_what_only_the_real_project_has(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(project))
    scratch = tmp_path_factory.mktemp("scratch")
    assert expand(["a.fq"], scratch, "key") == [project / "a.fq"]
    (scratch / "a.fq").write_text("its own")
    assert expand(["a.fq"], scratch, "key") == [scratch / "a.fq"]


def test_the_manifest_has_no_folder_and_notices_every_change(project: Path) -> None:
    cache = project / "digests.json"
    first = manifest([project / "a.fq"], [], cache)
    assert first["files"] == [{"name": "a.fq", "sha256": hashlib.sha256(b"a.fq").hexdigest(), "size_bytes": 4}]
    assert str(project) not in json.dumps(first)
    (project / "a.fq").write_text("b.fq")
    os.utime(project / "a.fq", ns=(1, 1))
    assert manifest([project / "a.fq"], [], cache)["files"][0]["sha256"] == hashlib.sha256(b"b.fq").hexdigest()


def test_an_unchanged_file_is_not_read_again(project: Path) -> None:
    cache = project / "digests.json"
    manifest([project / "a.fq"], [], cache)
    content = json.loads(cache.read_text())
    content[str(project / "a.fq")][2] = "remembered"
    cache.write_text(json.dumps(content))
    assert manifest([project / "a.fq"], [], cache)["files"][0]["sha256"] == "remembered"
    cache.write_text("{broken")
    assert manifest([project / "a.fq"], [], cache)["files"][0]["sha256"] == hashlib.sha256(b"a.fq").hexdigest()


def test_simulated_data_have_an_empty_manifest(project: Path) -> None:
    workspace = Workspace(project, project)
    assert write_manifest("mnist", "simulate", workspace) == {"addresses": [], "files": [], "simulated": True}
    assert workspace.manifest("mnist").is_file()


def test_missing_files_of_one_workload_leave_the_others_theirs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given["mnist"]["data"]["source"] = ["nowhere/*"]
    (project / "params.yaml").write_text(yaml.safe_dump(given))
    monkeypatch.chdir(project)
    inputs.main()
    workspace = Workspace(project, project)
    assert read_json(workspace.manifest("read_quality"))["simulated"]
    assert "matches no file" in read_json(workspace.manifest("mnist"))["error"]
    assert "anelab: warning: mnist.data.source: 'nowhere/*' matches no file" in capsys.readouterr().err
    assert workspace.host_report.is_file()


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(project)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


def test_an_address_is_fetched_and_checked(server: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    digest = hashlib.md5(b"a.fq").hexdigest()
    assert fetch(f"{server}/a.fq#md5={digest}", out).read_text() == "a.fq"
    (tmp_path / "sub").mkdir(exist_ok=True)
    with pytest.raises(AnelabError, match=r"another address gives a file of the same name, a\.fq"):
        fetch(f"{server}/sub/../a.fq?copy=1#md5={digest}", out)
    with pytest.raises(AnelabError, match="cannot be fetched"):
        fetch(f"{server}/a b.fq#md5={digest}", out)
    with pytest.raises(AnelabError, match="needs its checksum"):
        fetch(f"{server}/a.fq", out)
    with pytest.raises(AnelabError, match="but 00 was expected"):
        fetch(f"{server}/b.fq#sha256=00", out)
    with pytest.raises(AnelabError, match="cannot be fetched"):
        fetch(f"{server}/nothing#sha256=00", out)
    assert [path.name for path in out.iterdir()] == ["a.fq"]
