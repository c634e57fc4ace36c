"""Bundles: what one machine measured, on another; and what is refused."""

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from anelab.bench.results import samples
from anelab.bench.results.bundle import CONTENTS, REPORT, SAMPLES, opened_bundle, write_bundle
from anelab.bench.results.report import identity, parse_report, read_report
from anelab.bench.results.schema import Ending, Failure
from anelab.errors import AnelabError
from anelab.files import canonical_json, file_digest, read_json, sha256_text
from anelab.tracking.benchmarks import list_results
from anelab.tracking.store import open_store
from anelab.workspace import Workspace
from tests.commands import SETTINGS, anelab, anelab_alone
from tests.conftest import ROOT
from tests.shared import copy_mnist

BENCH = ["-S", "mnist.bench={arms: [ort-cpu, classical], processes: 6, rounds: 2, slice_ms: 1.0, scenarios: [single]}"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model was trained and registered."""
    return copy_mnist(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, measured elsewhere."""
    other = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(home, other, dirs_exist_ok=True)
    done = anelab(other, "bench", "run", "mnist", *SETTINGS, *BENCH, "--json")
    assert done.returncode == 0, done.stderr
    file = other / "result.bench.zip"
    assert anelab(other, "bench", "export", "mnist", "-o", str(file)).returncode == 0
    return file


def rewritten(bundle: Path, target: Path, change: Callable[[dict[str, bytes]], None], sign: bool = False) -> Path:
    """A copy with changed contents; `sign`: by somebody who also makes the digests and the signature anew."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if sign:
        contents = json.loads(files[CONTENTS])
        report = json.loads(files[REPORT])
        contents["files"] = {REPORT: sha256_text(files[REPORT].decode()), SAMPLES: contents["files"][SAMPLES]}
        contents["id"] = report["id"]
        unsigned = {key: value for key, value in contents.items() if key != "signature"}
        files[CONTENTS] = canonical_json({**unsigned, "signature": sha256_text(canonical_json(unsigned))}).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def with_report(change: Callable[[Any], None], new_id: bool = False) -> Callable[[dict[str, bytes]], None]:
    def changed(files: dict[str, bytes]) -> None:
        report = json.loads(files[REPORT])
        change(report)
        if new_id:
            from anelab.bench.results.schema import Report

            report["id"] = identity(Report.model_validate(report))
        files[REPORT] = canonical_json(report).encode()

    return changed


def faster(report: Any) -> None:
    cell = report["arms"]["ort-cpu:fp32"]["cells"]["single"]
    cell["median_ns"] = cell["median_ns"] / 2


def other_verdict(report: Any) -> None:
    report["comparisons"][0]["verdict"] = "faster" if report["comparisons"][0]["verdict"] != "faster" else "slower"


def test_a_bundle_holds_what_was_measured(bundle: Path) -> None:
    with opened_bundle(bundle) as found:
        assert found.report.subject.workload == "mnist"
        assert file_digest(found.samples) == found.report.samples_sha256
        assert found.report.imported is False
        assert not [value for value in canonical_json(found.report.as_json()).split() if str(ROOT) in value]


@pytest.mark.parametrize("kept", [0, 10, 200, 5000, -1, -40])
def test_a_truncated_bundle_is_refused(bundle: Path, tmp_path: Path, kept: int) -> None:
    cut = tmp_path / "cut.bench.zip"
    cut.write_bytes(bundle.read_bytes()[:kept])
    with pytest.raises(AnelabError, match=r"truncated|is refused"), opened_bundle(cut):
        pass


@pytest.mark.parametrize("place", [0.01, 0.05, 0.3, 0.5, 0.9])
def test_a_flipped_bit_is_refused_or_in_no_content(bundle: Path, tmp_path: Path, place: float) -> None:
    data = bytearray(bundle.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    bad = tmp_path / "bad.bench.zip"
    bad.write_bytes(data)
    with opened_bundle(bundle) as whole:
        try:
            with opened_bundle(bad) as found:  # a ZIP file says some things twice, and one of them is not read
                assert found.report == whole.report
        except AnelabError:
            pass


@pytest.mark.parametrize("name", [CONTENTS, REPORT, SAMPLES])
def test_a_flipped_bit_of_content_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(bundle) as archive:
        info = archive.getinfo(name)
    data = bytearray(bundle.read_bytes())
    data[info.header_offset + 30 + len(name) + info.compress_size // 2] ^= 0x10
    bad = tmp_path / "bad.bench.zip"
    bad.write_bytes(data)
    with pytest.raises(AnelabError), opened_bundle(bad):
        pass


@pytest.mark.parametrize("change", [faster, other_verdict])
@pytest.mark.parametrize(("new_id", "sign"), [(False, False), (True, False), (False, True), (True, True)])
def test_an_edited_figure_is_refused_even_if_it_is_signed_anew(
    bundle: Path, tmp_path: Path, change: Callable[[Any], None], new_id: bool, sign: bool
) -> None:
    """Whoever edits can also make the id and the signature; the samples still say otherwise."""
    edited = rewritten(bundle, tmp_path / "edited.bench.zip", with_report(change, new_id), sign)
    with pytest.raises(AnelabError, match=r"is refused|was changed"), opened_bundle(edited):
        pass


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("samples", 10**9),
        ("measured_at", "not a date"),
        ("measured_at", "2026-11-20T10:00:00"),
        ("seconds", -5),
        ("conditions", []),
        ("settings.arms", []),
        ("settings.arms", ["ghost:fp32"]),
        ("settings.resamples", 10**9),
        ("settings.resamples", -1),
        ("settings.reference", "ghost"),
        ("arms.ort-cpu:fp32.wants_ne", True),
        ("arms.ort-cpu:fp32.device", "NE"),
        ("schema", "anelab.bench/2"),
        ("measured_at", "9999-12-31T23:59:59-14:00"),
        ("seconds", 1e12),
        ("subject.workload", "mnist-onnx' and tags.variant != '/../../outside"),
        ("subject.files", {"../model.onnx": "0" * 64}),
        ("subject.input_key", "../../outside"),
        ("host.processor", "\x1b]0;title\x07"),
        ("host.processor", "A" * 200_000),
        ("host.cores", 10**30),
    ],
)
def test_what_does_not_hold_together_is_refused_however_it_is_signed(
    bundle: Path, tmp_path: Path, where: str, value: object
) -> None:
    def edit(report: Any) -> None:
        *path, last = where.split(".")
        for key in path:
            report = report[key]
        report[last] = value

    def change(files: dict[str, bytes]) -> None:
        try:
            with_report(edit, new_id=True)(files)
        except ValueError:  # our own reading refuses it before it has an id
            with_report(edit)(files)

    edited = rewritten(bundle, tmp_path / "edited.bench.zip", change, sign=True)
    with pytest.raises(AnelabError), opened_bundle(edited):
        pass


def test_what_else_is_in_it_is_refused(bundle: Path, tmp_path: Path) -> None:
    def add(files: dict[str, bytes]) -> None:
        files["../../evil.py"] = b"print()"

    added = rewritten(bundle, tmp_path / "added.bench.zip", add)
    with pytest.raises(AnelabError, match="it holds"), opened_bundle(added):
        pass
    assert not (tmp_path.parent / "evil.py").exists()


def test_more_files_than_a_bundle_holds_are_refused_before_their_names_are_read(tmp_path: Path) -> None:
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(5000):
            archive.writestr(str(number), b"")
    with pytest.raises(AnelabError, match="it holds 5000 files"), opened_bundle(many):
        pass


def test_a_file_that_is_larger_than_it_says_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        size = archive.getinfo(REPORT).file_size
    liar = tmp_path / "liar.zip"
    liar.write_bytes(bundle.read_bytes().replace(size.to_bytes(4, "little"), (size // 2).to_bytes(4, "little")))
    with pytest.raises(AnelabError, match="is not a bundle, or is truncated"), opened_bundle(liar):
        pass


def test_too_large_a_file_and_another_compression_are_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for compression, more in ((zipfile.ZIP_DEFLATED, b" " * (17 << 20)), (zipfile.ZIP_LZMA, b"")):
        made = tmp_path / "made.zip"
        with zipfile.ZipFile(made, "w", compression) as archive:
            for name, data in files.items():
                archive.writestr(name, data + (more if name == REPORT else b""))
        with pytest.raises(AnelabError, match=r"bench.json|contents.json"), opened_bundle(made):
            pass


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"samples": 10_000_001}, "10,000,001 samples"), ({"conditions": "many"}, "resamples of 1000 processes")],
)
def test_what_no_import_could_check_is_not_exported(
    bundle: Path, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with opened_bundle(bundle) as found:
        if "conditions" in changes:
            settings = found.report.settings.model_copy(update={"resamples": 100_000})
            changes = {"conditions": [found.report.conditions[0]] * 1000, "settings": settings}
        with pytest.raises(AnelabError, match=f"is not written, .*{why}"):
            write_bundle(found.report.model_copy(update=changes), found.samples, tmp_path / "x.bench.zip")


def test_samples_are_the_same_however_many_are_read_at_once(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_bundle(bundle) as found:
        whole = samples.read_samples(found.samples)
        monkeypatch.setattr(samples, "ROWS_AT_ONCE", 37)
        parts = samples.read_samples(found.samples)
        assert len(whole) > 10
        assert [vars(one) | {"ns": one.ns.tolist()} for one in parts] == [
            vars(one) | {"ns": one.ns.tolist()} for one in whole
        ]
        with pytest.raises(AnelabError, match=r"rows, but the result states 3 samples"):
            samples.read_samples(found.samples, "it", 3)


def test_other_samples_are_refused(bundle: Path, tmp_path: Path) -> None:
    def swap(files: dict[str, bytes]) -> None:
        files[SAMPLES] = files[SAMPLES][:-1] + b"x"

    with pytest.raises(AnelabError, match="is refused"), opened_bundle(rewritten(bundle, tmp_path / "x.zip", swap)):
        pass


def test_a_result_edited_in_place_is_told_from_a_real_one(home: Path, tmp_path: Path) -> None:
    content = read_json(home / "reports/mnist/bench.json")
    assert parse_report(content, "it").id == content["id"]
    content["seconds"] += 1
    with pytest.raises(AnelabError, match="was changed after it was written"):
        parse_report(content, "it")
    content["arms"] = 3
    with pytest.raises(AnelabError, match="is not a benchmark result that this anelab reads: arms"):
        parse_report(content, "it")


def test_a_result_of_this_machine_whose_libraries_print_colours_is_read(home: Path) -> None:
    """ONNX Runtime's warnings have them; results of before they were left out are in stores."""
    report = read_report(home / "reports/mnist/bench.json")
    ending = Ending(kind="error", doing="open", detail="failed", log="\x1b[0;93mwarning\x1b[m")
    lost = report.model_copy(update={"failures": [Failure(arm="ort-cpu:fp32", block=0, ending=ending)]})
    content = lost.model_copy(update={"id": identity(lost)}).as_json()
    assert parse_report(json.loads(canonical_json(content)), "it").failures[0].ending.log == ending.log


def test_the_own_result_is_attached_when_the_model_is_registered(home: Path) -> None:
    store = open_store(Workspace(ROOT, home))
    report = read_report(home / "reports/mnist/bench.json")
    version = store.client.get_model_version_by_alias("mnist-onnx", "champion")
    run = store.client.get_run(version.tags[f"anelab.bench.{report.id[:12]}"])
    assert run.data.tags["anelab.stage"] == "bench"
    assert {item.path for item in store.client.list_artifacts(run.info.run_id)} >= {REPORT, SAMPLES}
    (only,) = list_results(store, "mnist")
    assert only["id"] == report.id
    assert [one for one in report.estimates if not one.estimate] == []
    assert report.estimates[0].winner == "CPU"


def test_an_imported_bundle_is_attached_to_the_same_version_once(home: Path, bundle: Path) -> None:
    done = anelab(home, "bench", "import", str(bundle))
    assert done.returncode == 0, done.stderr
    assert "is attached to mnist-onnx/1" in done.stdout
    store = open_store(Workspace(ROOT, home))
    with opened_bundle(bundle) as found:
        short = found.report.id[:12]
    version = store.client.get_model_version_by_alias("mnist-onnx", "champion")
    run = store.client.get_run(version.tags[f"anelab.bench.{short}"])
    assert run.data.tags["anelab.imported"] == "true"
    assert {item.path for item in store.client.list_artifacts(run.info.run_id)} == {REPORT, SAMPLES}
    model = store.client.get_logged_model(str(version.source).removeprefix("models:/"))
    assert "single.ort-cpu.fp32.median_us" in {metric.key for metric in model.metrics}
    again = anelab(home, "bench", "import", str(bundle))
    assert again.returncode == 1
    assert "is here already" in again.stderr
    shown = anelab(home, "bench", "show", f"mnist:{short}")
    assert "imported" in shown.stdout.splitlines()[0]


def test_the_same_samples_are_not_attached_twice_under_another_id(home: Path, bundle: Path, tmp_path: Path) -> None:
    def warm(report: Any) -> None:
        report["host"]["processor"] = "Apple M4"

    anelab(home, "bench", "import", str(bundle))
    other = rewritten(bundle, tmp_path / "other.bench.zip", with_report(warm, new_id=True), sign=True)
    again = anelab(home, "bench", "import", str(other))
    assert again.returncode == 1
    assert "is here already" in again.stderr


def test_a_store_that_lost_it_gets_it_back(home: Path, bundle: Path) -> None:
    """In another process: MLflow keeps its connection to a database that was deleted."""
    anelab(home, "bench", "import", str(bundle))
    shutil.rmtree(home / "mlruns")
    done = anelab_alone(home, "sync", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == []
    look = anelab_alone(home, "bench", "history", "mnist", "--json")
    assert sorted(one["imported"] for one in json.loads(look.stdout)) == [False, True]


def test_a_result_that_was_brought_back_keeps_its_machine_and_its_date(home: Path) -> None:
    """As after `dvc pull` in a fresh clone: no record of the execution is there, and no store."""
    for lost in ("mlruns", ".anelab"):
        shutil.rmtree(home / lost)
    done = anelab_alone(home, "sync")
    assert done.returncode == 0, done.stderr
    report = read_report(home / "reports/mnist/bench.json")
    look = anelab_alone(home, "bench", "history", "mnist", "--json")
    (only,) = [one for one in json.loads(look.stdout) if not one["imported"]]
    assert only["host"] == report.host.fingerprint
    assert only["started_ms"] == int(datetime.fromisoformat(report.measured_at).timestamp() * 1000)


def test_a_bundle_of_a_model_that_is_not_here_is_refused(bundle: Path, tmp_path: Path) -> None:
    done = anelab_alone(tmp_path / "empty", "bench", "import", str(bundle))
    assert done.returncode == 1
    assert "that no registered version here has" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "empty/models").exists()
