"""A store in which an earlier anelab left a result that today's would refuse."""

import json
from pathlib import Path

import pytest

from anelab.bench.results.report import identity, read_report
from anelab.tracking import receipt, runs
from anelab.tracking.benchmarks import attach_result
from anelab.tracking.receipt import Receipt, execution_path
from anelab.tracking.store import open_store
from anelab.workspace import Workspace
from tests.commands import anelab
from tests.dashboards.test_pages import PAGES, page, texts
from tests.shared import copy_mnist

YEAR_10000 = "9999-12-31T23:59:59-14:00"


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its newest result was measured in the year 10000, on a machine whose name is two lines and a colour."""
    home = copy_mnist(tmp_path_factory.mktemp("old") / "home")
    workspace = Workspace(home, home)
    own = read_report(home / "reports/mnist/bench.json")
    host = own.host.model_copy(update={"model": "Mac\x1b[31m\nanelab: forged", "fingerprint": "f" * 16})
    odd = own.model_copy(update={"measured_at": YEAR_10000, "host": host, "imported": True})
    odd = odd.model_copy(update={"id": identity(odd)})

    def unchecked(workspace: Workspace, found: Receipt) -> object:
        return json.loads(execution_path(workspace, found).read_text())

    store = open_store(workspace)
    with pytest.MonkeyPatch.context() as patched, store.writing():
        patched.setattr(runs, "_execution", unchecked)
        patched.setattr(receipt, "problem_of", lambda kind, content: "")
        attach_result(store, workspace, odd, home / "models/mnist/bench/samples.parquet")
    return home


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_the_rest(name: str, old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(name, old_store, monkeypatch, workload="mnist")
    text = texts(app)
    assert "forged" not in text
    if name in ("overview", "engine", "pareto"):
        assert "Not shown: the benchmark of run" in text
        assert "must be a time of the years 2000 to 2199" in text
        assert not app.error
        assert len(app.markdown) + len(app.dataframe) > 2


def test_commands_and_reports_show_the_rest(old_store: Path, tmp_path: Path) -> None:
    listed = anelab(old_store, "bench", "history", "mnist")
    assert (listed.returncode, "time unknown" in listed.stdout) == (0, True)
    for name in ("report.md", "report.html"):
        assert anelab(old_store, "report", "-o", str(tmp_path / name)).returncode == 0
        text = (tmp_path / name).read_text()
        assert "Not shown" in text
        assert "classical" in text or "ort-cpu" in text
    assert anelab(old_store, "sync").returncode == 0
