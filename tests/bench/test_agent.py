"""The bench agent against a real MLflow server: jobs are taken once, results come back, killing it loses nothing."""

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from anelab.agent import Agent
from anelab.errors import UsageError
from anelab.tracking import claims
from anelab.tracking.benchmarks import list_results
from anelab.tracking.claims import check_selector, matches
from anelab.tracking.store import Store, open_store
from anelab.workspace import Workspace
from tests.commands import SETTINGS, WIDE, Done, Running, anelab, anelab_alone, start_anelab
from tests.conftest import ROOT, tiny
from tests.mlflow_server import serving

BENCH = [
    "-S",
    "mnist.bench={arms: [ort-cpu], processes: 2, rounds: 1, slice_ms: 1.0, scenarios: [single], energy: false}",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder) as address:
        home = folder / "trained"
        named = {"MLFLOW_TRACKING_URI": address}
        done = anelab_alone(home, "run", "mnist", *SETTINGS, *WIDE, **named)
        assert done.returncode == 0, done.stderr
        # A workload goes to a server as to the embedded store.
        assert "not in MLflow" not in done.stderr
        assert not (home / "mlruns").exists()
        assert "aliases: champion" in anelab_alone(home, "model", "inspect", "mnist-onnx", **named).stdout
        assert json.loads(anelab_alone(home, "sync", "--json", **named).stdout)["runs_found"] == 6
        yield address


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return open_store(Workspace(ROOT, tmp_path))


def start_agent(home: Path, name: str, server: str, *more: str) -> Running:
    """An agent in a process and a workspace of its own: a machine that has nothing but the project's code."""
    words = ["bench", "agent", "--tracking-uri", server, "--name", name]
    return start_anelab(home, *words, *SETTINGS, *BENCH, *more)


def agent(home: Path, name: str, server: str) -> Done:
    """In this process, which has imported everything already."""
    words = ["bench", "agent", "--tracking-uri", server, "--once", "--name", name]
    return anelab(home, *words, *SETTINGS, *BENCH)


def ask(store: Store, model: str, number: str, selector: str = "*") -> Any:
    claims.request(store, store.client.get_model_version(model, number), selector)
    return store.client.get_model_version(model, number)


def tags(store: Store, model: str, number: str) -> dict[str, str]:
    found: dict[str, str] = store.client.get_model_version(model, number).tags
    return found


def test_a_version_that_asks_is_measured_and_says_so(store: Store, server: str, tmp_path: Path) -> None:
    before = len(list_results(store, "mnist"))
    asked = anelab_alone(
        tmp_path, "bench", "request", "mnist-onnx@champion", "--host", "system=*", MLFLOW_TRACKING_URI=server
    )
    assert asked.stdout.strip() == "mnist-onnx/1 asks for system=*"
    done = agent(tmp_path / "a", "a", server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1 versions done"
    found = tags(store, "mnist-onnx", "1")
    assert (found["bench.status"], found["bench.agent"]) == ("done", "a"), found.get("bench.error")
    assert "bench.request" not in found
    assert f"anelab.bench.{found['bench.result']}" in found
    results = list_results(store, "mnist")
    assert len(results) == before + 1
    assert "single.ort-cpu.fp32" in results[-1]["medians_us"]
    assert "single.ort-cpu.raw" not in results[-1]["medians_us"] or results[-1]["medians_us"]["single.ort-cpu.raw"] > 0
    again = agent(tmp_path / "a", "a", server)
    assert again.stdout.strip() == "0 versions done"


def test_a_version_that_asks_for_another_host_is_left_alone(store: Store, server: str, tmp_path: Path) -> None:
    ask(store, "mnist-onnx", "2", "system=Darwin,processor=Apple*")
    try:
        assert agent(tmp_path / "a", "a", server).stdout.strip() == "0 versions done"
        assert tags(store, "mnist-onnx", "2")["bench.status"] == "requested"
    finally:
        store.client.delete_model_version_tag("mnist-onnx", "2", "bench.request")


def test_what_cannot_be_measured_is_marked_failed_with_the_reason(store: Store, server: str, tmp_path: Path) -> None:
    """Its files are gone from the server's disk."""
    version = ask(store, "mnist-onnx", "2")
    folder = store.client.get_logged_model(str(version.source).removeprefix("models:/")).artifact_location
    (file,) = server_folder(tmp_path).rglob(f"{folder.rpartition('/models/')[2]}/examples.npz")
    away = file.rename(tmp_path / "examples.npz")
    try:
        done = agent(tmp_path / "a", "a", server)
    finally:
        away.rename(file)
    assert done.returncode == 0, done.stderr
    found = tags(store, "mnist-onnx", "2")
    assert found["bench.status"] == "failed"
    assert "examples.npz" in found["bench.error"]
    assert "bench.request" not in found
    ask(store, "mnist-onnx", "2")
    assert "bench.error" not in tags(store, "mnist-onnx", "2")
    store.client.delete_model_version_tag("mnist-onnx", "2", "bench.request")


def server_folder(tmp_path: Path) -> Path:
    return next(tmp_path.parent.glob("server*"))


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may measure it")
def test_a_core_ml_version_is_left_to_a_mac_whoever_was_asked(store: Store, server: str, tmp_path: Path) -> None:
    ask(store, "mnist-coreml", "1")
    assert agent(tmp_path / "a", "a", server).stdout.strip() == "0 versions done"
    found = tags(store, "mnist-coreml", "1")
    assert (found["bench.status"], found["bench.request"]) == ("requested", "*")
    store.client.delete_model_version_tag("mnist-coreml", "1", "bench.request")


def test_a_claim_whose_end_was_never_written_is_ended_by_its_holder(store: Store, server: str, tmp_path: Path) -> None:
    """Killed after the request was removed, and before anything else was."""
    version = ask(store, "mnist-onnx", "2")
    one = Agent(Workspace(ROOT, tmp_path / "a"), tiny(), False, "a", print)
    taken = claims.claim(store, version, one.id, 900)
    assert taken is not None
    claims.begin(store, taken, "a")
    store.client.delete_model_version_tag("mnist-onnx", "2", "bench.request")
    assert agent(tmp_path / "b", "b", server).stdout.strip() == "0 versions done"
    assert tags(store, "mnist-onnx", "2")["bench.status"] == "running"
    assert agent(tmp_path / "a", "a", server).stdout.strip() == "0 versions done"
    assert tags(store, "mnist-onnx", "2")["bench.status"] == "failed"


def test_two_agents_never_take_the_same_job(store: Store, server: str, tmp_path: Path) -> None:
    before = len(list_results(store, "mnist"))
    ask(store, "mnist-onnx", "1")
    ask(store, "mnist-onnx", "2")
    both = [start_agent(tmp_path / name, name, server, "--once") for name in ("a", "b")]
    counts = [int(running.wait().stdout.split()[0]) for running in both]
    assert sum(counts) == 2
    assert len(list_results(store, "mnist")) == before + 2
    for number in ("1", "2"):
        assert tags(store, "mnist-onnx", number)["bench.status"] == "done"


def test_of_many_that_reach_for_one_job_at_once_one_gets_it(store: Store) -> None:
    version = ask(store, "mnist-coreml", "2")
    try:
        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(lambda number: claims.claim(store, version, f"host:{number}", 900), range(16)))
        assert sum(claim is not None for claim in taken) == 1
        assert claims.claim(store, version, "host:late", 900) is None
    finally:
        store.client.delete_model_version_tag("mnist-coreml", "2", "bench.request")


def test_a_dead_agents_job_is_its_own_until_the_lease_is_over(store: Store) -> None:
    version = ask(store, "mnist-coreml", "3")
    try:
        first = claims.claim(store, version, "host:dead", 900)
        assert first is not None
        claims.begin(store, first, "dead")
        version = store.client.get_model_version("mnist-coreml", "3")
        assert claims.claim(store, version, "host:other", 900) is None
        again = claims.claim(store, version, "host:dead", 900)
        assert again is not None and again.number == first.number
        other = claims.claim(store, version, "host:other", -1)
        assert other is not None and other.number == first.number + 1
        claims.finish(store, first, "done", {})
        assert store.client.get_model_version("mnist-coreml", "3").tags["bench.request"] == "*"
        claims.finish(store, other, "done", {})
        assert "bench.request" not in store.client.get_model_version("mnist-coreml", "3").tags
    finally:
        found = store.client.get_model_version("mnist-coreml", "3").tags
        if "bench.request" in found:
            store.client.delete_model_version_tag("mnist-coreml", "3", "bench.request")


def test_an_agent_that_is_killed_takes_its_job_up_again(store: Store, server: str, tmp_path: Path) -> None:
    before = len(list_results(store, "mnist"))
    ask(store, "mnist-onnx", "1")
    running = start_agent(tmp_path / "a", "a", server, "--once", "-S", "mnist.bench.processes=200")
    for _ in range(600):
        if tags(store, "mnist-onnx", "1").get("bench.status") == "running":
            break
        time.sleep(0.2)
    time.sleep(3)
    running.kill()
    left = tags(store, "mnist-onnx", "1")
    assert (left["bench.status"], left["bench.request"]) == ("running", "*")
    assert agent(tmp_path / "b", "b", server).stdout.strip() == "0 versions done"
    done = agent(tmp_path / "a", "a", server)
    assert done.stdout.strip() == "1 versions done", done.stderr
    assert tags(store, "mnist-onnx", "1")["bench.status"] == "done"
    assert len(list_results(store, "mnist")) == before + 1


def test_one_agent_of_a_name_at_a_time(store: Store, server: str, tmp_path: Path) -> None:
    first = start_agent(tmp_path, "a", server)
    try:
        lock = tmp_path / ".anelab/agents/a/lock"
        for _ in range(200):
            if lock.is_file():
                break
            time.sleep(0.1)
        time.sleep(0.5)
        second = agent(tmp_path, "a", server)
        assert second.returncode == 1
        assert "an agent named a runs already" in second.stderr
    finally:
        first.kill()


def test_a_server_that_is_down_is_said_to_be_down(tmp_path: Path) -> None:
    done = anelab_alone(tmp_path, "bench", "agent", "--tracking-uri", "http://127.0.0.1:9", "--once")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("*", True),
        ("system=Linux", True),
        ("system=Darwin", False),
        ("name=lab-*,machine=x86_64", True),
        ("name=lab-*,machine=arm64", False),
        ("processor=AMD*", True),
        ("nonsense", False),
        ("colour=blue", False),
        ("colour=*", False),
    ],
)
def test_selectors_name_hosts(selector: str, meant: bool) -> None:
    facts = {"system": "Linux", "machine": "x86_64", "processor": "AMD EPYC", "name": "lab-3", "host": "f" * 16}
    assert matches(selector, facts) is meant


def test_a_wrong_selector_is_refused_when_it_is_asked_with() -> None:
    for wrong in ("", "darwin", "colour=blue", "system"):
        with pytest.raises(UsageError, match="a host selector is"):
            check_selector(wrong)
    assert json.dumps(check_selector("system=Darwin,name=m4"))
