"""The dashboard on a large store: 10,000 runs and 2,000 benchmark results by default.

The store is copied from one that `make repro` filled, and its runs are multiplied by SQL with values that vary; they
show how fast pages are and nothing else. Prints the time of the first page, of every page after it, and of a change of
a filter, as Chromium sees them, and the server's memory.

    python benchmarks/dashboard_scale.py WORKSPACE [--runs 10000] [--results 2000]
"""

import argparse
import contextlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, TimeoutError, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
DAY_MS = 86_400_000
IDLE = '[data-test-script-state="notRunning"]'
PAGES = ("engine", "compare", "pareto", "history", "search", "lineage", "data")


def multiply(database: Path, runs: int, results: int, workload: str) -> None:
    """Copies of the workload's training run and of its benchmark, one a commit, older and older."""
    with sqlite3.connect(database) as connection:
        (experiment,) = connection.execute(
            "select experiment_id from experiments where name = ?", (workload,)
        ).fetchone()
        there = connection.execute("select count(*) from runs").fetchone()[0]
        for stage, count in (("bench", results), ("train", max(0, runs - results - there))):
            source = connection.execute(
                "select r.run_uuid from runs r join tags t on t.run_uuid = r.run_uuid where r.experiment_id = ? and "
                "t.key = 'anelab.stage' and t.value = ? order by r.start_time desc limit 1",
                (experiment, stage),
            ).fetchone()[0]
            _copies(connection, source, count)
    connection.close()


def _copies(connection: sqlite3.Connection, source: str, count: int) -> None:
    rng = np.random.default_rng(count)
    columns = [row[1] for row in connection.execute("pragma table_info(runs)")]
    row = dict(
        zip(columns, connection.execute("select * from runs where run_uuid = ?", (source,)).fetchone(), strict=True)
    )
    tables = {
        name: [one[1] for one in connection.execute(f"pragma table_info({name})")]
        for name in ("tags", "params", "latest_metrics", "metrics")
    }
    kept = {
        name: connection.execute(f"select * from {name} where run_uuid = ?", (source,)).fetchall() for name in tables
    }
    for number in range(1, count + 1):
        fresh = uuid.UUID(bytes=rng.bytes(16)).hex
        made = {
            **row,
            "run_uuid": fresh,
            "start_time": row["start_time"] - number * DAY_MS // 50,
            "end_time": row["end_time"] - number * DAY_MS // 50,
        }
        connection.execute(
            f"insert into runs values ({','.join('?' * len(columns))})", [made[name] for name in columns]
        )
        for name, fields in tables.items():
            rows = [_varied(dict(zip(fields, one, strict=True)), name, fresh, rng) for one in kept[name]]
            if rows:
                connection.executemany(
                    f"insert or ignore into {name} values ({','.join('?' * len(fields))})",
                    [[one[field] for field in fields] for one in rows],
                )


def _varied(row: dict[str, object], table: str, fresh: str, rng: np.random.Generator) -> dict[str, object]:
    made = {**row, "run_uuid": fresh}
    if table in ("metrics", "latest_metrics"):
        made["value"] = float(row["value"]) * float(np.exp(rng.normal(0, 0.02)))  # type: ignore[arg-type]
    if table == "tags" and row["key"] in ("mlflow.source.git.commit", "anelab.input_key"):
        made["value"] = rng.bytes(20 if "commit" in str(row["key"]) else 32).hex()
    return made


def seconds(page: Page, url: str) -> float:
    """Until the page stands still."""
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("h1", timeout=120_000)
    page.wait_for_selector(IDLE, timeout=120_000)
    return time.perf_counter() - started


def timed(page: Page, act: str, url: str) -> None:
    print(f"{act:32} {seconds(page, url):6.2f} s", flush=True)


@contextlib.contextmanager
def opened(home: Path) -> Iterator[tuple[Page, str]]:
    """A page of a Chromium that has started, and the address of a server on the workspace that nobody has asked yet."""
    from tests.browser.conftest import CHROMIUM, serving

    with serving(home, home / "server.log") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browser.new_page().goto(f"{address}/_stcore/health")  # so that Chromium's own start is not timed
        yield browser.new_page(viewport={"width": 1400, "height": 900}), address
        browser.close()


def first_page(home: Path) -> float:
    with opened(home) as (page, address):
        return seconds(page, address)


def change(page: Page, label: str, act: str) -> None:
    """Choose the second option of a box, and wait until what follows from it is there."""
    page.wait_for_timeout(1500)  # as long as it takes to look for the box: charts are still being drawn
    page.get_by_label(label, exact=True).click()
    option = page.get_by_role("option").nth(1)
    option.wait_for()
    started = time.perf_counter()
    option.click()
    with contextlib.suppress(TimeoutError):  # it may be over before it is seen
        page.wait_for_selector('[data-test-script-state="running"]', timeout=250)
    page.wait_for_selector(IDLE, timeout=120_000)
    print(f"{act:32} {time.perf_counter() - started:6.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--results", type=int, default=2_000)
    parser.add_argument("--workload", default="mnist")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        shutil.copytree(given.workspace / "mlruns", home / "mlruns")
        subprocess.run(
            [sys.executable, "-m", "anelab", "sync", "--workspace", str(home)], capture_output=True, check=False
        )
        multiply(home / "mlruns" / "mlflow.db", given.runs, given.results, given.workload)
        with opened(home) as (page, address):
            server = next(one for one in psutil.Process().children(recursive=True) if "dashboard" in one.cmdline())
            timed(page, "first page of the server", address)
            timed(page, "the same again", address)
            for name in PAGES:
                timed(page, f"page {name}, first time", f"{address}/{name}?workload={given.workload}")
            for name, label in (
                ("engine", "Batch or scenario"),
                ("history", "Name"),
                ("history", "Figure"),
                ("lineage", "Version"),
            ):
                timed(page, f"page {name} again", f"{address}/{name}?workload={given.workload}")
                change(page, label, f"  filter {label}")
            memory = server.memory_info().rss / 1e6
            print(f"{'memory of the server':32} {memory:6.0f} MB")


if __name__ == "__main__":
    main()
