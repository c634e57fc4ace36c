"""Names under which medians are metrics in the store, such as `batch_64.ort-cpu.2.int8.median_us`: metrics may have
neither the colon nor the slash of an arm's name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from anelab.bench.results.schema import Report
from anelab.bench.results.subject import Network
from anelab.bench.scenario import Scenario
from anelab.files import canonical_json

SUFFIX = ".median_us"
NETWORKS = "networks"
"""Of a result's run: JSON of a `Network` by arm."""
TIMED_FILES = "timed_sha256"
"""Of a result's run: sha256 of the files that were timed, with commas between."""
NAME = re.compile(r"(?P<scenario>\w+)\.(?P<kind>[a-z-]+)(\.(?P<option>\w+))?\.(?P<variant>\w+)")


@dataclass(frozen=True)
class Median:
    """The median time of a call of one arm in one scenario, in microseconds."""

    scenario: Scenario
    arm: str

    @property
    def label(self) -> str:
        """As commands and pages show it: the metric's name without the unit."""
        return f"{self.scenario}.{self.arm.replace(':', '.').replace('/', '.')}"

    @property
    def metric(self) -> str:
        return f"{self.label}{SUFFIX}"

    @classmethod
    def of_label(cls, label: str) -> "Median | None":
        return _parsed(label)

    @classmethod
    def of_metric(cls, name: str) -> "Median | None":
        """None if the metric is no median of a benchmark."""
        return _parsed(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None


@lru_cache(4096)
def _parsed(label: str) -> Median | None:
    match = NAME.fullmatch(label)
    if match is None:
        return None
    try:
        scenario = Scenario.parse(match["scenario"])
    except ValueError:
        return None
    option = f"/{match['option']}" if match["option"] else ""
    return Median(scenario, f"{match['kind']}{option}:{match['variant']}")


def subject_params(report: Report) -> dict[str, str]:
    """What was timed, as parameters of the result's run: the files, by sha256, and what every arm computes, where that
    is known."""
    networks = {name: network for name in report.arms if (network := report.network_of(name))}
    known = {name: network.model_dump(exclude_none=True) for name, network in networks.items()}
    return {TIMED_FILES: ",".join(report.timed_files()), NETWORKS: canonical_json(known).strip()}


def network_of(params: Mapping[str, str], label: str) -> Network | None:
    """What the arm of a median's label computes in the run of these parameters; None if that is not known."""
    median = Median.of_label(label)
    try:
        known = json.loads(params.get(NETWORKS, "{}"))
        return Network(**known[median.arm]) if median is not None and median.arm in known else None
    except (TypeError, ValueError):  # cut off, or made by others
        return None


def medians(report: Report) -> dict[str, float]:
    """Medians in microseconds by the name of their metric."""
    return {
        Median(scenario, arm).metric: cell.median_ns / 1e3
        for arm, result in report.arms.items()
        for scenario, cell in result.cells.items()
    }
