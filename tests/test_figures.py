"""What `make figures` says of what it measured; nothing is measured here."""

import importlib
from typing import Any

import pytest

from anelab.files import read_json
from tests.conftest import ROOT


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("figures")


def run(value: float, host: str = "a" * 16, **more: float) -> dict[str, Any]:
    found = {
        name: {"high": one, "low": one, "samples": 3, "value": one} for name, one in {"help": value, **more}.items()
    }
    return {"figures": found, "host": host, "left_out": {"scoring": "there is no model; run `make repro`"}}


def test_what_left_the_noise_of_its_own_past_is_said_and_nothing_else(figures: Any) -> None:
    past = [run(value) for value in (0.20, 0.21, 0.19, 0.20)]
    assert figures.changes([*past, run(0.205)]) == []
    (slower,) = figures.changes([*past, run(0.30)])
    assert slower.startswith("`anelab --help`: regression, 0.3 where 0.17")
    (faster,) = figures.changes([*past, run(0.1)])
    assert "improvement, 0.1 where" in faster
    other = run(0.3, "b" * 16)
    assert figures.changes([*past, other]) == [
        "`anelab --help`: 0 earlier runs on such a machine, too few to tell noise"
    ]


def test_of_a_rate_less_is_a_regression(figures: Any) -> None:
    past = [run(0.2, scoring=value) for value in (0.30, 0.31, 0.29, 0.30)]
    (slower,) = figures.changes([*past, run(0.2, scoring=0.2)])
    assert slower.startswith(f"{figures.FIGURES['scoring'].title}: regression, 0.2 where 0.2")


def test_the_page_has_a_run_that_is_kept(figures: Any) -> None:
    page = figures.PAGE.read_text()
    kept = [figures.with_table(page, one) for one in read_json(figures.REPORT)["runs"]]
    assert page in kept, "benchmarks/figures.py --docs writes it"
