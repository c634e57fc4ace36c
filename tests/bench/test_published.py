"""What others measured: a kind of its own, with sources; more of it is checked and kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from anelab.bench.published.collection import add_records, packed, pairs, published
from anelab.bench.published.records import OPEN_LICENCES, Published
from anelab.errors import AnelabError
from anelab.views import chips
from tests.commands import anelab

RECORD: dict[str, Any] = {
    "source": "https://example.org/results",
    "licence": "MIT",
    "kind": "raw repeats",
    "chip": "M9",
    "model": "net",
    "family": "convolutional network",
    "units": "CPU_AND_NE",
    "device": "NE",
    "framework": "Core ML",
    "metric": "ms per call",
    "value": 2.0,
    "values": [1.9, 2.0, 2.1],
    "batch": 8,
}


def record(**changes: Any) -> Published:
    return Published.model_validate({**RECORD, **changes})


def test_what_is_packed_has_sources_and_licences_and_cites_others_by_figure_alone() -> None:
    found = packed()
    assert len(found) >= 347
    assert sum(one.values is not None and one.kind == "raw repeats" for one in found) == 52
    for one in found:
        assert one.source and one.licence
        if one.licence not in OPEN_LICENCES:
            assert (one.path, one.note, one.values, one.computes) == (None,) * 4


def test_the_published_ranking_turns_round_from_chip_to_chip() -> None:
    """ResNet-50 in batches of 16, as the source has it."""
    found = chips.ranking([one for one in packed() if one.model == "resnet50"])
    assert found == [
        "M4 Pro, resnet50, batch 16: Neural Engine 930 / GPU 660 / all units 386 items/s",
        "M5 Max, resnet50, batch 16: GPU 3,278 / all units 3,259 / Neural Engine 1,095 items/s",
    ]


def test_rates_and_intervals_follow_from_the_repeats() -> None:
    one = record()
    assert one.rate == 4000 and one.call_ms == 2
    assert one.interval is not None
    low, high = one.interval
    rates = [8 / 1.9e-3, 8 / 2e-3, 8 / 2.1e-3]
    mean = sum(rates) / 3
    half = 4.303 * (sum((rate - mean) ** 2 for rate in rates) / 2) ** 0.5 / 3**0.5
    assert (low, high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    assert record(values=[2.0]).interval is None
    assert record(kind="soak").interval is None
    assert record(metric="GB/s of weights read").rate is None
    assert record(metric="items/s", value=5.0).rate == 5
    assert record(metric="s per call, mean", value=0.5, batch=None).rate == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": 0}, "greater than 0"),
        ({"value": float("inf")}, "finite"),
        ({"device": "TPU"}, "device"),
        ({"licence": "none found"}, "values: only for sources under MIT"),
        ({"chip": ""}, "at least 1 character"),
        ({"speed": 3}, "Extra inputs are not permitted"),
    ],
)
def test_records_that_are_none_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        record(**changes)


def test_pairs_are_of_one_source_and_setting() -> None:
    cpu = record(device="CPU", units="CPU_ONLY", value=4.0, values=None)
    assert pairs([record(), cpu]) == [(cpu, record())]
    assert pairs([record(), cpu.model_copy(update={"source": "elsewhere"})]) == []
    assert pairs([record(), cpu.model_copy(update={"batch": 1})]) == []
    assert pairs([record(), cpu.model_copy(update={"upper_bound": True})]) == []


def test_more_is_checked_kept_once_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps([RECORD, {**RECORD, "device": "CPU", "units": "CPU_ONLY"}]))
    folder = tmp_path / "reports/published"
    first, count = add_records(path, folder)
    assert (count, add_records(path, folder)[0]) == (2, first)
    assert len(published(folder)) == len(packed()) + 2
    path.write_text(json.dumps({**RECORD, "value": "fast"}))
    with pytest.raises(AnelabError, match=r"more\.json: record 1, value: Input should be a valid number.*schema"):
        add_records(path, folder)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("text", ["", "[", "[]", "3", "[3]"])
def test_what_is_no_record_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "more.json"
    path.write_text(text)
    with pytest.raises(AnelabError, match=r"more\.json: "):
        add_records(path, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_the_commands(tmp_path: Path) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps(RECORD))
    done = anelab(tmp_path, "bench", "published", "add", str(path))
    assert done.returncode == 0 and done.stdout.startswith("1 record in "), done.stderr
    listed = anelab(tmp_path, "bench", "published", "list", "--chip", "m9").stdout
    assert "PUBLISHED BY OTHERS" in listed and "2 ms per call" in listed
    (found,) = json.loads(anelab(tmp_path, "bench", "published", "list", "--chip", "m9", "--json").stdout)
    assert found["kind_of_figure"] == "published by others"
    assert "values" in json.loads(anelab(tmp_path, "bench", "published", "schema").stdout)["properties"]
    refused = anelab(tmp_path, "bench", "published", "add", str(tmp_path / "none.json"))
    assert refused.returncode == 1 and "none.json: cannot be read" in refused.stderr


def test_views_keep_sources_apart_and_say_what_they_leave_out() -> None:
    elsewhere = record(device="GPU", units="CPU_AND_GPU", source="elsewhere", value=1.0, values=None)
    assert chips.settings([record(), elsewhere]) == {}
    gpu = record(device="GPU", units="CPU_AND_GPU", value=1.0, values=None)
    every = record(device="ALL", units="ALL", value=9.0, values=None)
    assert chips.summary([record(), gpu, every]) == [
        "In 1 settings in which a source measured both, the Neural Engine was faster than the GPU in 0, and slower or "
        "equal in 1.",
        "Where Core ML chose among all units (1 settings), its choice was the slowest in 1.",
    ]
    assert chips.of_size([record(macs=100), record(macs=10_000), record()], 200) == [record(macs=100)]
    frame = chips.figures([record(), gpu])
    assert list(frame["device"]) == ["GPU", "NE"] and frame["95 % low"].notna().sum() == 1
    chips.rate_chart(frame).to_dict()
    windows = chips.sustained([one for one in packed() if one.kind == "soak"])
    assert windows["run"].nunique() == 4 and (windows[windows["window"] == 1]["relative"] == 1).all()
    chips.sustained_chart(windows).to_dict()
    assert set(chips.placements(packed())["on"]) >= {"Neural Engine", "GPU", "CPU"}
    assert chips.energy(packed())["package (W)"].notna().any()
