"""What a benchmark found: one typed, versioned record. `anelab bench schema` prints its JSON Schema.

Times are nanoseconds, memory is bytes, energy is millijoules. What was not observed is null, never 0. Summaries
follow from the samples: `bench/results/summary.py` makes them, and an import makes them again to check.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from anelab.bench.arms.placement import UNAVAILABLE, Placement
from anelab.bench.results.fields import ArmName, Count, Duration, FileName, Nanoseconds, NonNegative, Sha256
from anelab.bench.results.subject import CLOSED, MAIN_FILES, Network, Subject
from anelab.bench.scenario import Scenario
from anelab.export.placement.predicted import PredictedPlacement

MOST_RESAMPLES = 100_000
MOST_SECONDS = 10 * 366 * 86400
YEARS = range(2000, 2200)
"""What a result that comes from elsewhere may ask of this machine."""
Verdict = Literal["faster", "slower", "within noise", "not comparable", "not on NE"]


class Record(BaseModel):
    model_config = CLOSED


class Ending(Record):
    """How a worker ended before its time."""

    kind: Literal["signal", "hang", "memory", "exit", "error", "unavailable"]
    doing: str
    detail: str
    signal: str | None = None
    log: str = ""

    def text(self) -> str:
        what = self.signal or {"memory": "out of memory", "hang": "hung"}.get(self.kind, self.kind)
        return f"{what} while {self.doing}: {self.detail}"


class Failure(Record):
    """`block` is null for the gates, before any block."""

    arm: str
    block: int | None
    ending: Ending


class Gate(Record):
    """A condition for being timed. `passed` is null where it does not apply."""

    name: Literal["provider", "parity", "placement"]
    passed: bool | None
    detail: str


class Opening(Record):
    """One process's start. `first`: with an empty cache. `compile_ns` is null where nothing was compiled apart from
    loading."""

    block: int | None
    first: bool
    compile_ns: Nanoseconds | None
    load_ns: Nanoseconds
    first_predict_ns: Nanoseconds


class Memory(Record):
    """Medians over processes. The peak counts the interpreter and libraries, which `before_bytes` had already."""

    before_bytes: Count
    peak_bytes: Count


class Cell(Record):
    """One arm in one scenario, over all its processes. A percentile is there only with enough samples behind it."""

    scenario: str
    """Its kind."""
    rows: Count
    """Rows a sample stands for."""
    samples: Count
    processes: Count
    median_ns: Duration
    mad_ns: Duration
    mean_ns: Duration
    min_ns: Nanoseconds
    max_ns: Nanoseconds
    percentiles_ns: dict[str, Duration]
    outliers: dict[str, Count]
    """Samples beyond 1.5 (mild) and 3 (far) interquartile ranges of their process; none is dropped."""
    steady_processes: Count
    process_medians_ns: dict[int, Duration]
    rows_per_s: NonNegative | None
    """Of calls one after the other; null where calls wait for something else."""
    rate_hz: NonNegative | None = None
    """Of arrivals, in the scenario `server`."""
    kept_up: bool | None = None

    @property
    def steady(self) -> bool:
        return self.steady_processes == self.processes


class Energy(Record):
    """Above idle. `reason` says why there is none."""

    source: str
    mj_per_inference: float | None = None
    components_mj: dict[str, float] = {}
    inferences: int = 0
    seconds: float = 0.0
    reason: str = ""


class ArmResult(Record):
    kind: str
    variant: str
    device: str
    wants_ne: bool
    files: dict[FileName, Sha256]
    """sha256 by the name of each file it ran."""
    available: bool
    reason: str = ""
    gates: list[Gate] = []
    placements: dict[int, Placement] = {}
    """By rows a call."""
    quality: float | None = None
    """The headline metric of its answers for the example rows."""
    openings: list[Opening] = []
    memory: Memory | None = None
    cells: dict[Scenario, Cell] = {}
    energy: Energy | None = None

    @property
    def timed(self) -> bool:
        return bool(self.cells)

    @property
    def placement(self) -> Placement:
        """Of calls of one row."""
        return self.placements.get(1, UNAVAILABLE)


class Comparison(Record):
    """`speedup` above 1: the arm is faster than `against`. `low` and `high` bound its 95 % interval; `floor` is how
    far from 1 a ratio must be to count: as far as that of equals went on this machine in this run, and one per cent at
    least; null if equals were not seen."""

    cell: Scenario
    arm: str
    against: str
    blocks: int
    speedup: float | None
    low: float | None
    high: float | None
    floor: float | None
    p_value: float | None
    verdict: Verdict
    reason: str


class Conditions(Record):
    """At the borders of a block. `left_out` says why the block is no evidence; `busy` only that others were at work."""

    block: int
    load_average: float
    other_cpu_cores: float
    thermal: str
    power: str
    low_power: bool | None
    left_out: list[str] = []
    busy: bool = False


class Host(Record):
    """The machine and what runs on it. `neural_engine_cores` is null where there is none, or none was seen."""

    fingerprint: str = Field(pattern="^[0-9a-f]{1,64}$")
    system: str
    release: str
    build: str | None
    machine: str
    processor: str
    model: str | None
    cores: Count
    performance_cores: Count | None
    efficiency_cores: Count | None
    neural_engine_cores: Count | None
    memory_bytes: Count
    python: str
    translated: bool
    governor: str | None
    power: str
    low_power: bool | None
    thermal: str
    load_average: float
    versions: dict[str, str]
    anelab: str
    """sha256 of anelab's own source files."""


class Settings(Record):
    """How it was measured."""

    arms: list[ArmName]
    reference: ArmName
    processes: int
    rounds: int
    slice_ms: float
    min_calls: int
    warm_up_ms: float
    settle_ms: float
    """Idle time between two slices."""
    cells: list[Scenario]
    server_load: float
    energy: bool
    url: str | None
    timeout_s: float
    seed: int
    resamples: int = Field(ge=100, le=MOST_RESAMPLES)


class Bound(Record):
    low: NonNegative
    high: NonNegative


class Estimate(Record):
    """From the package alone, by constants that others published. Never a measurement."""

    estimate: Literal[True] = True
    file: str
    rows: int
    macs: Count
    bytes_moved: Count
    operators: Count
    cpu_ms: Bound
    neural_engine_ms: Bound
    winner: Literal["CPU", "NE", "too close to tell"]
    worth_a_test: bool
    advice: str
    sources: list[str]
    placement: PredictedPlacement | None = None
    """Not there in results from before it was predicted."""

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what older results lack, so that they keep their id."""
        found: dict[str, Any] = write(self)
        return {name: value for name, value in found.items() if name != "placement" or value is not None}


class Report(Record):
    schema_: Literal["anelab.bench/1"] = Field("anelab.bench/1", alias="schema")
    id: Sha256 | Literal[""] = ""
    """sha256 of everything else."""
    measured_at: str
    seconds: float = Field(ge=0, le=MOST_SECONDS)
    imported: bool = False
    subject: Subject
    metric: str
    host: Host
    settings: Settings
    arms: dict[ArmName, ArmResult]
    comparisons: list[Comparison]
    noise: dict[Scenario, Comparison]
    """The reference against itself, by cell."""
    conditions: list[Conditions]
    failures: list[Failure]
    warnings: list[str]
    estimates: list[Estimate] = []
    samples_sha256: Sha256 | Literal[""] = ""
    samples: Count = 0

    @field_validator("measured_at")
    @classmethod
    def _a_moment(cls, text: str) -> str:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or moment.year not in YEARS:
            raise ValueError(
                f"must be a time of the years {YEARS[0]} to {YEARS[-1]} with its zone, like 2026-11-20T10:00:00+00:00"
            )
        return text

    @model_validator(mode="after")
    def _of_one_piece(self) -> "Report":
        blocks = [one.block for one in self.conditions]
        if sorted(self.settings.arms) != sorted(self.arms):
            raise ValueError("settings.arms must be the arms that have results")
        if self.settings.reference not in self.arms:
            raise ValueError("settings.reference must be one of its arms")
        if blocks and blocks != list(range(len(blocks))):
            raise ValueError("conditions must be of every block, in order")
        return self

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    def timed_files(self) -> list[str]:
        """sha256 of the files that were timed, sorted."""
        return sorted({sha256 for arm in self.arms.values() if arm.timed for sha256 in arm.files.values()})

    def network_of(self, arm: str) -> Network | None:
        """What an arm computes; None if that is no network, or not known. An arm without files runs the trained module,
        which is the main model's network."""
        result, networks = self.arms[arm], self.subject.networks
        known = [networks[file] for file in result.files if file in networks]
        if not known and result.kind.startswith("torch"):
            known = [networks[file] for file in MAIN_FILES if file in networks]
        return known[0] if known else None

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")
