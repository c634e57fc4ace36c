"""One published figure: what was measured on what, by whom, and how sure it is."""

import math
import statistics
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from anelab.bench.results.fields import Count
from anelab.bench.results.schema import Record

Device = Literal["NE", "GPU", "CPU", "ALL", "NE and GPU at once", "not stated"]
"""What was asked for. ALL leaves the choice to Core ML."""
Kind = Literal["raw repeats", "raw summary", "author table", "soak", "excerpt"]
"""raw repeats: a file with every repeat; raw summary: a file with one number; author table: a table in a text; soak:
successive windows of one run; excerpt: only a part of the text was read."""
OPEN_LICENCES = ("MIT", "CC BY 4.0", "CC0 1.0", "Apache-2.0", "BSD-3-Clause")
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for a two-sided interval of 95 %, by degrees of freedom from 1 on."""
T_MANY = 2.2
"""For more degrees of freedom: the interval is no narrower than it should be."""
SECONDS_OF = {"ms per call": 1e-3, "s per call": 1.0, "s per inference": 1.0, "s per image": 1.0}
"""A time's unit, by how its metric begins. A call holds a whole batch."""
RATES = ("items/s", "images/s", "positions/s", "chunks/s")
Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Number = Annotated[float, Field(gt=0, lt=1e18, allow_inf_nan=False)]


class Energy(Record):
    package_watts: Number | None = None
    millijoule_per_item: Number | None = None
    note: Text | None = None


class Published(Record):
    """`value` is in the unit of `metric`, which is the source's own; `values` are all repeats where the source gives
    them. `macs`: multiply-adds of one item. `placement`: shares by device, as the source has them. `upper_bound`: the
    value is printed as "less than"."""

    source: Text
    licence: Text
    kind: Kind
    chip: Text
    model: Text
    family: Text
    units: Text
    """As the source calls them; in Core ML's words where it sets compute units."""
    device: Device
    framework: Text
    metric: Text
    value: Number
    values: list[Number] | None = Field(None, max_length=10_000)
    repeats: Count | None = None
    standard_deviation: Annotated[float, Field(ge=0, lt=1e18)] | None = None
    upper_bound: bool = False
    batch: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    precision: Text | None = None
    machine: Text | None = None
    os: Text | None = None
    computes: Text | None = None
    path: Text | None = None
    commit: Text | None = None
    note: Text | None = None
    macs: Count | None = None
    weight_bytes: Count | None = None
    size_source: Text | None = None
    static: bool = True
    placement: dict[Text, Annotated[float, Field(ge=0, le=1)]] | None = None
    placement_by: Text | None = None
    energy: Energy | None = None

    @model_validator(mode="after")
    def _cited_figures_only(self) -> "Published":
        """Of a source that may not be copied, only what a citation needs."""
        more = {"path": self.path, "note": self.note, "values": self.values, "computes": self.computes}
        if self.licence not in OPEN_LICENCES and (given := [name for name, value in more.items() if value is not None]):
            allowed = ", ".join(OPEN_LICENCES)
            raise ValueError(
                f"{', '.join(given)}: only for sources under {allowed}; of others, the figure and the link"
            )
        return self

    @property
    def rate(self) -> float | None:
        """Items a second; None where the metric is neither a time nor a rate."""
        return self._rate(self.value)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the mean rate, 95 % by Student's t, where repeats are given. They share a process and a thermal state."""
        if self.kind == "soak" or self.values is None or len(self.values) < 2:
            return None
        rates = [rate for value in self.values if (rate := self._rate(value)) is not None]
        if len(rates) < 2:
            return None
        t = T_95[len(rates) - 2] if len(rates) - 2 < len(T_95) else T_MANY
        mean, half = statistics.mean(rates), t * statistics.stdev(rates) / math.sqrt(len(rates))
        return max(0.0, mean - half), mean + half

    def _rate(self, value: float) -> float | None:
        unit = self.metric.partition(",")[0]
        if unit.partition(" ")[0] in RATES:
            return value
        seconds = SECONDS_OF.get(unit)
        return None if seconds is None else (self.batch or 1) / (value * seconds)

    @property
    def call_ms(self) -> float | None:
        """Of a call, with its whole batch."""
        return None if self.rate is None else 1e3 * (self.batch or 1) / self.rate

    @property
    def setting(self) -> tuple[str, str, str, int | None, str | None]:
        """What figures have in common that may be compared: source, chip, model, batch, precision."""
        return self.source, self.chip, self.model, self.batch, self.precision

    def as_json(self) -> dict[str, object]:
        return {"kind_of_figure": "published by others", **self.model_dump(mode="json", exclude_none=True)}


def merged(common: Mapping[str, object], row: Mapping[str, object]) -> Published:
    return Published.model_validate({**common, **row})
