"""Every page by Streamlit's own test harness, on the real store; and the static report."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from anelab.dashboard import WORKSPACE
from anelab.serving.drift import InputDrift, add_rows
from anelab.views.formatting import JOINER
from tests.commands import anelab
from tests.conftest import ROOT
from tests.dashboards.conftest import QUICK, map_genes

APP = ROOT / "dashboards" / "app.py"
EMPTY = {"mnist": ("search",), "read_quality": ("compare",)}
"""No trials, and one arm only: what these pages say instead."""
PAGES = ("overview", "engine", "chips", "compare", "pareto", "history", "search", "lineage", "data")


def page(name: str, home: Path, monkeypatch: pytest.MonkeyPatch, **query: str | list[str]) -> AppTest:
    monkeypatch.setenv(WORKSPACE, str(home))
    app = AppTest.from_file(str(APP), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    if name != "overview":
        app.switch_page(f"app_pages/{name}.py").run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def unescaped(text: str) -> str:
    """As a person sees it."""
    return text.replace("\\", "").replace(JOINER, "")


def texts(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "error", "warning")
    return unescaped("\n".join(str(one.value) for kind in kinds for one in app.get(kind)))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("workload", ["mnist", "read_quality"])
def test_every_page_shows_something_and_no_error(
    name: str, workload: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page(name, home, monkeypatch, workload=workload)
    assert not app.error, texts(app)
    assert app.title[0].value
    assert app.dataframe or app.table or name in EMPTY.get(workload, ())


def test_the_overview_answers_the_question(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("overview", home, monkeypatch)
    assert "coreml/cpu_and_ne:fp16 beats ort-cpu:fp32 at batch of 64, the largest measured" in texts(app)
    assert [one.label for one in app.metric] == [
        "edna-onnx champion, recall1_genus",
        "edna-coreml champion, recall1_genus",
        "mnist-onnx champion, accuracy",
        "mnist-coreml champion, accuracy",
        "read_quality-onnx champion, balanced_accuracy",
        "read_quality-coreml champion, balanced_accuracy",
        "splice-onnx champion, pr_auc_splice",
        "splice-coreml champion, pr_auc_splice",
    ]
    assert "Whether the Neural Engine beats the CPU is unknown" in texts(app)  # of read_quality


def test_clusters_of_a_survey_are_shown(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Clusters are of `anelab edna index`" in texts(page("clusters", home, monkeypatch))
    map_genes(home, home / "data/raw/edna", "edna-onnx", tmp_path)
    st.cache_data.clear()
    app = page("clusters", home, monkeypatch, map="a survey", colour="verdict")
    assert [one.label for one in app.metric] == ["References", "Clusters", "Queries", "Queries in no cluster"]
    assert {"cluster", "references", "queries", "family"} <= set(app.dataframe[0].value.columns)


def test_drift_of_what_a_server_is_sent_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = home / ".anelab/serving/digits.parquet"
    add_rows(table, "mnist", "3", {"input": InputDrift(rows=60, mean=0.02, largest=0.3, feature=4, noise=0.01)})
    app = page("data", home, monkeypatch, workload="mnist")
    assert "The newest minutes of digits" in texts(app)
    (frame,) = [one.value for one in app.dataframe if "psi_mean" in one.value.columns]
    assert frame["version"].tolist() == ["3"]
    assert "digits" not in texts(page("data", home, monkeypatch, workload="read_quality"))


def test_imported_results_stand_beside_our_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="mnist")
    (hosts,) = [one for one in app.multiselect if one.label == "Machines"]
    assert len(hosts.options) == 2
    assert any(option.startswith("Mac16,10") for option in hosts.options)
    (speedups,) = [one.value for one in (*app.dataframe, *app.table) if "origin" in one.value.columns]
    assert set(speedups["origin"]) == {"imported", "measured by this project"}


def test_filters_come_from_the_address_and_hold(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="mnist", arm=["ort-cpu:fp32"], scenario="batch of 4")
    assert app.multiselect(key="arm").value == ["ort-cpu:fp32"]
    assert app.selectbox(key="scenario").value == "batch of 4"
    (percentiles,) = [one.value for one in app.dataframe if "p50 (µs)" in one.value.columns]
    assert list(percentiles["arm"]) == ["ort-cpu:fp32"]


def test_what_the_address_names_and_is_not_there_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="nobody", scenario="never")
    assert not app.error
    assert app.selectbox(key="workload").value == "edna"
    told = [unescaped(one.value) for one in app.warning]
    assert any("the link's nobody is no choice here" in text for text in told)
    assert any("the link's never is no choice here" in text for text in told)


def test_results_of_chosen_versions_are_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="mnist", version=["mnist-onnx/1"])
    (machines,) = [one for one in app.multiselect if one.label == "Machines"]
    assert not any(option.startswith("Mac16,10") for option in machines.options)
    both = page("engine", home, monkeypatch, workload="mnist", version=["mnist-coreml/1", "mnist-coreml/4"])
    assert not both.error, texts(both)


def test_the_reference_alone_is_explained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="read_quality", arm=["ort-cpu:fp32"])
    assert "The others are compared with ort-cpu:fp32" in texts(app)


def test_one_version_is_compared_with_the_one_before_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("compare", home, monkeypatch, workload="mnist", kind="Versions", versions=["mnist-coreml/4"])
    (frame,) = [one.value for one in (*app.dataframe, *app.table) if "what" in one.value.columns]
    assert {"mnist-coreml/4", "mnist-coreml/1"} <= set(frame.columns)
    first = page("compare", home, monkeypatch, workload="mnist", kind="Versions", versions=["mnist-coreml/1"])
    assert "choose another version beside it" in texts(first)


def test_a_filter_does_not_hide_what_the_store_knows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("engine", home, monkeypatch, workload="mnist", arm=["coreml/cpu_only:fp16"])
    assert not app.error, texts(app)
    assert "Nothing that is chosen compares" in texts(app)
    assert "coreml/cpu_and_ne:fp16 beats ort-cpu:fp32 at batch of 64" in texts(app)
    assert "is unknown" not in texts(app)


def test_a_link_brings_no_markup_along(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x\n\n# Session expired\n\n[Sign in][b]\n\n[b]: https://evil.example/login"
    app = page("compare", home, monkeypatch, workload=text)
    (warning,) = [one.value for one in app.warning]
    assert "\n" not in warning
    assert not any(piece in warning for piece in (" [", "://", " # "))
    assert text.split()[-1] in unescaped(warning)


def test_versions_are_compared_by_significance(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("compare", home, monkeypatch, workload="mnist", kind="Versions", noise="true")
    (frame,) = [one.value for one in (*app.dataframe, *app.table) if "what" in one.value.columns]
    column = next(name for name in frame.columns if "95" in name)
    metrics = frame[frame["what"].str.startswith("metric")]
    assert len(metrics) == 4
    assert all("[" in text.replace("\\", "") for text in metrics[column])
    assert all("[" in text.replace("\\", "") for text in metrics.iloc[:, 1])


@pytest.mark.parametrize("kind", ["Results", "Versions", "Models by devices", "Models by datasets"])
def test_everything_can_be_compared(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page("compare", home, monkeypatch, workload="mnist", kind=kind, noise="true")
    assert not app.error, texts(app)
    if kind == "Results":
        (old,) = [one for one in app.selectbox if one.label == "Old"]
        old.set_value(next(name for name in old.options if "Mac16,10" in name)).run()
        assert "Times are not comparable: they are of different hosts" in texts(app)
        return
    assert app.dataframe or app.table
    assert any(one.value.startswith("| ") for one in app.code)
    assert any(one.value.startswith("\\begin{tabular}") for one in app.code)


def test_a_point_comes_with_its_command_unless_the_champion_holds_it_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = page("pareto", home, monkeypatch, workload="mnist", us="0.001")
    assert none.info[0].value == "No version is within these limits and past its gates."
    other = tmp_path / "other"
    shutil.copytree(home, other)
    with closing(sqlite3.connect(other / "mlruns/mlflow.db")) as connection, connection:
        connection.execute("update model_version_tags set value = '0.0' where key = 'anelab.margin'")
    worse = by_point(other, monkeypatch)
    assert any("It is held back now: champion: accuracy gain" in text for text in worse.values())
    assert not any("anelab model promote" in text for text in worse.values())
    assert anelab(other, "model", "promote", "mnist-onnx/1", "--force").returncode == 0
    words = [sys.executable, "-m", "anelab", "bench", "run", "mnist-onnx/3", *QUICK, "--arm", "ort-cpu"]
    subprocess.run([*words, "--workspace", str(other)], cwd=ROOT, check=True, capture_output=True)
    assert "anelab model promote mnist-onnx/3" in by_point(other, monkeypatch).values()


def by_point(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the page says of each point: the command, or why there is none."""
    st.cache_resource.clear()
    st.cache_data.clear()
    first = page("pareto", home, monkeypatch, workload="mnist")
    (picker,) = [one for one in first.selectbox if one.label == "Point"]
    apps = {point: page("pareto", home, monkeypatch, workload="mnist", point=point) for point in picker.options}
    return {point: app.code[0].value if app.code else unescaped(texts(app)) for point, app in apps.items()}


def test_without_a_store_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PAGES:
        app = page(name, tmp_path, monkeypatch)
        assert not app.error
        if name == "chips":
            assert len(app.dataframe) > 2  # what others measured needs no store
        else:
            assert "make repro" in unescaped(app.info[0].value)
    assert not (tmp_path / "mlruns").exists()  # looking makes nothing


def test_a_store_that_cannot_be_read_is_a_sentence(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, damage in (("damaged", _damage), ("newer", _renew)):
        other = tmp_path / name
        (other / "mlruns").mkdir(parents=True)
        shutil.copy(home / "mlruns" / "mlflow.db", other / "mlruns" / "mlflow.db")
        damage(other / "mlruns" / "mlflow.db")
        app = page("overview", other, monkeypatch)
        (error,) = app.error
        assert "cannot be opened" in unescaped(error.value)
        assert "Traceback" not in error.value
        assert "another version of MLflow" in unescaped(error.value) or name == "damaged"
        st.cache_resource.clear()
        st.cache_data.clear()


def _damage(database: Path) -> None:
    database.write_bytes(b"not a database" * 100)


def _renew(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'fromthefuture'")
    connection.close()


def test_a_locked_store_and_a_foreign_result_are_sentences(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "mlruns", tmp_path / "mlruns")
    holder = sqlite3.connect(tmp_path / "mlruns" / "mlflow.db", isolation_level=None)
    holder.execute("begin exclusive")
    app = page("overview", tmp_path, monkeypatch)
    assert "locked" in unescaped(app.error[0].value)
    assert "try again in a moment" in unescaped(app.error[0].value)
    holder.execute("rollback")
    holder.close()
    st.cache_resource.clear()
    for path in (tmp_path / "mlruns").rglob("bench.json"):
        path.write_text(path.read_text().replace("anelab.bench/1", "anelab.bench/9"))
    app = page("engine", tmp_path, monkeypatch)
    assert "is not a benchmark result that this anelab reads" in texts(app)


def test_a_server_that_is_down_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    app = page("overview", tmp_path, monkeypatch)
    assert "does not answer" in unescaped(app.error[0].value)


@pytest.mark.parametrize(
    ("name", "lost"), [("data", "data.json"), ("engine", "bench.json"), ("engine", "samples.parquet")]
)
def test_a_lost_artifact_is_a_sentence_that_names_it(
    name: str, lost: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "mlruns", tmp_path / "mlruns")
    for path in (tmp_path / "mlruns").rglob(lost):
        path.unlink()
    app = page(name, tmp_path, monkeypatch, workload="read_quality")
    assert lost in texts(app)
    assert "anelab sync" in texts(app)


def test_a_half_written_run_and_a_damaged_report_are_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "mlruns", tmp_path / "mlruns")
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as connection:
        connection.execute("update runs set status = 'RUNNING' where name like 'train-%'")
    connection.close()
    app = page("overview", tmp_path, monkeypatch)
    assert not app.error
    assert "no run of the stage train" in texts(app)
    for path in (tmp_path / "mlruns").rglob("bench.json"):
        path.write_text(path.read_text()[:200])
    st.cache_resource.clear()
    app = page("engine", tmp_path, monkeypatch)
    assert "bench.json" in texts(app)
    assert "damaged" in texts(app)


def test_the_report_stands_alone(home: Path, tmp_path: Path) -> None:
    page, text = tmp_path / "all.html", tmp_path / "mnist.md"
    assert anelab(home, "report", "-o", str(page)).returncode == 0
    assert anelab(home, "report", "--workload", "mnist", "-o", str(text)).returncode == 0
    html = page.read_text()
    titles = (
        "Quality, latency and size",
        "over results",
        "Search",
        "Importance of each setting",
        "Balance",
        "Placement",
    )
    assert [title for title in titles if title not in html] == []
    assert html.count("<svg") >= 12
    assert "<img" not in html
    assert "](" not in text.read_text().replace("]\\(", "")
    assert "beats ort-cpu:fp32 at batch of 64, the largest measured" in html
    assert not any(tag in html for tag in ("<script", "<link", "<iframe", "@import"))
    assert "url(" not in html.replace("url(#", "")
    assert text.read_text().startswith("## mnist\n")
    assert "], ▲ faster |" in text.read_text()  # the verdict stands with its interval
    assert "Estimates, not measured" in text.read_text()


def test_what_is_lost_keeps_nothing_else_out_of_the_report(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "mlruns", tmp_path / "mlruns")
    for lost in ("bench.json", "data.json", "search.json"):
        for path in (tmp_path / "mlruns").rglob(lost):
            path.unlink()
    out = tmp_path / "x.html"
    done = anelab(tmp_path, "report", "-o", str(out))
    assert done.returncode == 0, done.stderr
    page = out.read_text()
    assert "Not shown: bench.json of run" in page and "Not shown: data.json of run" in page
    assert "Gates of mnist-onnx/" in page
    assert page.count("Published by others") == 1


def test_a_lost_database_is_told_from_none(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(home / "models" / "mnist" / "receipts", tmp_path / "models" / "mnist" / "receipts")
    app = page("overview", tmp_path, monkeypatch)
    assert "`anelab sync`" in unescaped(app.info[0].value)
    assert app.code[0].value == "anelab sync"
    done = anelab(tmp_path, "report", "-o", str(tmp_path / "x.html"))
    assert (done.returncode, "`anelab sync` brings them back" in done.stderr) == (1, True)


def test_a_report_that_cannot_be_is_refused(home: Path, tmp_path: Path) -> None:
    wrong = anelab(home, "report", "-o", str(tmp_path / "x.pdf"))
    assert (wrong.returncode, "must end in .html or .md" in wrong.stderr) == (2, True)
    none = anelab(tmp_path / "empty", "report", "-o", str(tmp_path / "x.html"))
    assert (none.returncode, "empty does not exist" in none.stderr) == (1, True)
    unknown = anelab(home, "report", "--workload", "mnits", "-o", str(tmp_path / "x.html"))
    assert (unknown.returncode, "did you mean mnist?" in unknown.stderr) == (2, True)
