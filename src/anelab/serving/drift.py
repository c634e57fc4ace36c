"""Whether what clients send still looks like the training rows: PSI of each input, by the reference in the manifest.

A sample of the rows of each second is counted, in a thread, so that no request waits. Every minute a row for each input
is added to a table, which the dashboard shows."""

import fcntl
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from anelab.files import replacing
from anelab.inference.model import Model
from anelab.learning.base import Array, Arrays
from anelab.learning.drift import Reference, read_reference

ROWS_A_SECOND = 128
"""That are looked at."""
MOST_ROWS = 100_000
"""Of a table: ten weeks of one input. The oldest go."""
log = logging.getLogger("anelab.serving")


@dataclass(frozen=True)
class InputDrift:
    """Of one input of one version. `mean` and `largest` are over its features; `noise` is the mean that chance alone
    gives."""

    rows: int
    mean: float
    largest: float
    feature: int
    noise: float


def references_of(model: Model) -> dict[str, Reference]:
    """By input; {} if the manifest has none."""
    entry = model.manifest.get("files", {}).get(model.path.name, {})
    described: Mapping[str, Any] = model.manifest.get("reference", {}).get(entry.get("graph", ""), {})
    try:
        return {port.name: read_reference(described[port.name]) for port in model.inputs if port.name in described}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("%s: the reference in its manifest cannot be read (%s); its drift is not told", model.name, error)
        return {}


class Sampler:
    """Of one version of a model. `offer` is called in the event loop, `count` in a thread."""

    def __init__(self, references: Mapping[str, Reference]) -> None:
        self.references = references
        self._sample: list[Arrays] = []
        self._room = ROWS_A_SECOND
        self._lock = threading.Lock()
        self.counts = {name: np.zeros_like(one.shares, np.int64) for name, one in references.items()}
        """Since the last `taken`."""

    def offer(self, arrays: Arrays, rows: int) -> None:
        """Rows of a request: kept as long as there is room in this second."""
        if self._room > 0 and self.references:
            self._sample.append({name: array[: self._room] for name, array in arrays.items()})
            self._room -= rows

    def count(self) -> None:
        """What was offered, once a second."""
        sample, self._sample, self._room = self._sample, [], ROWS_A_SECOND
        if not sample:
            return
        found = {
            name: one.counts(np.concatenate([arrays[name] for arrays in sample]))
            for name, one in self.references.items()
        }
        with self._lock:
            for name, counts in found.items():
                self.counts[name] += counts

    def taken(self) -> dict[str, Array]:
        """The counts, which begin anew."""
        with self._lock:
            found, self.counts = self.counts, {name: np.zeros_like(one) for name, one in self.counts.items()}
        return found


def drift_of(reference: Reference, counts: Array) -> InputDrift | None:
    """None if there were no rows."""
    rows = int(counts[0].sum())
    if not rows:
        return None
    psi = reference.psi(counts)
    return InputDrift(rows, float(psi.mean()), float(psi.max()), int(psi.argmax()), reference.noise(rows))


class Monitor:
    """Of one version: its sampler, and what the last minute was like. `table` is where rows are added, if anywhere."""

    def __init__(self, model: Model, version: str, folder: Path | None) -> None:
        self.sampler = Sampler(references_of(model))
        self.last: dict[str, InputDrift] = {}
        self._version, self._workload = version, model.metadata.get("workload", "")
        self._table = folder / f"{model.name}.parquet" if folder else None

    def finish_minute(self) -> None:
        """In a thread."""
        counts = self.sampler.taken()
        found = {name: drift_of(one, counts[name]) for name, one in self.sampler.references.items()}
        self.last = {name: one for name, one in found.items() if one is not None}
        if self.last and self._table is not None:
            try:
                add_rows(self._table, self._workload, self._version, self.last)
            except OSError as error:
                log.error("%s: cannot be written (%s); this minute's drift is lost", self._table, error)


def add_rows(
    table: Path, workload: str, version: str, found: Mapping[str, InputDrift], now: datetime | None = None
) -> None:
    """To the table of a model: a row for each input. Several processes may do so at the same time. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    time = (now or datetime.now(UTC)).replace(microsecond=0)
    rows = [
        {
            "time": time,
            "workload": workload,
            "version": version,
            "input": name,
            "rows": one.rows,
            "psi_mean": one.mean,
            "psi_largest": one.largest,
            "feature": one.feature,
            "noise": one.noise,
        }
        for name, one in found.items()
    ]
    added = pa.Table.from_pylist(rows, _schema())
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            before = pq.read_table(table).cast(added.schema) if table.exists() else added.slice(0, 0)
        except (pa.ArrowInvalid, ValueError) as error:
            log.warning("%s: is no table of drift (%s); it begins anew", table, error)
            before = added.slice(0, 0)
        whole = pa.concat_tables([before, added])
        with replacing(table) as draft:
            pq.write_table(whole.slice(max(0, whole.num_rows - MOST_ROWS)), draft)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("time", pa.timestamp("s", "UTC")),
            ("workload", pa.string()),
            ("version", pa.string()),
            ("input", pa.string()),
            ("rows", pa.int64()),
            ("psi_mean", pa.float64()),
            ("psi_largest", pa.float64()),
            ("feature", pa.int64()),
            ("noise", pa.float64()),
        ]
    )
