"""Raw samples: every call that was timed, warm-up included, as one Parquet file."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from anelab.bench.results.fields import MOST_NS
from anelab.bench.results.stats import outlier_labels
from anelab.bench.scenario import Scenario
from anelab.errors import AnelabError
from anelab.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

Phase = Literal["warm-up", "re-entry", "measured"]
AGAIN = " again"
"""Marks the reference's twin, by which the noise floor is measured."""


@dataclass(frozen=True)
class Slice:
    """Samples in ns that one process took in a row. `round` counts the turns of all arms in a block's cell, `order` is
    the arm's place in that turn. `steady`: whether a warm-up ended so."""

    arm: str
    cell: Scenario
    block: int
    round: int
    order: int
    phase: Phase
    began_unix_ns: int
    ns: NDArray[np.int64]
    steady: bool | None = None
    rate_hz: float | None = None
    kept_up: bool | None = None


MOST_BYTES_A_ROW, ROWS_AT_ONCE = 100, 1 << 19
BELONG_TOGETHER = ("arm", "cell", "phase", "block", "round", "began_unix_ns")
"""Rows that agree in these are of one slice."""
TEXTS = ["arm", "cell", "phase"]
"""Read as numbers of a few values each."""
COLUMNS = ("arm", "cell", "phase", "block", "round", "order", "began_unix_ns", "steady", "rate_hz", "kept_up")


def write_samples(path: Path, slices: Sequence[Slice]) -> int:
    """One row a sample; how many there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "arm": pa.string(),
        "cell": pa.string(),
        "phase": pa.string(),
        "block": pa.int16(),
        "round": pa.int16(),
        "order": pa.int16(),
        "began_unix_ns": pa.int64(),
        "steady": pa.bool_(),
        "rate_hz": pa.float64(),
        "kept_up": pa.bool_(),
    }
    sizes = [len(one.ns) for one in slices]
    index = pa.array(np.repeat(np.arange(len(slices)), sizes))
    columns = {
        name: pa.array([str(getattr(one, name)) for one in slices], kind).dictionary_encode().take(index)
        if kind == pa.string()
        else pa.array([getattr(one, name) for one in slices], kind).take(index)
        for name, kind in kinds.items()
    }
    none = np.empty(0, np.int64)
    columns["ns"] = pa.array(np.concatenate([none, *(one.ns for one in slices)]))
    columns["outlier"] = pa.array(np.concatenate([none.astype(np.int8), *_outliers(slices)]))
    with replacing(path) as draft:
        pq.write_table(pa.table(columns), draft, compression="zstd")
    return sum(sizes)


def _outliers(slices: Sequence[Slice]) -> list[NDArray[np.int8]]:
    """Labels of each slice's samples, among all that its process took in that cell and phase."""
    together: dict[tuple[str, Scenario, int, str], list[int]] = defaultdict(list)
    for index, one in enumerate(slices):
        together[one.arm, one.cell, one.block, one.phase].append(index)
    found: list[NDArray[np.int8]] = [np.empty(0, np.int8)] * len(slices)
    for indices in together.values():
        labels = outlier_labels(np.concatenate([slices[index].ns for index in indices]))
        ends = np.cumsum([len(slices[index].ns) for index in indices])[:-1]
        for index, part in zip(indices, np.split(labels, ends), strict=True):
            found[index] = part
    return found


def read_samples(path: Path, where: str = "", count: int | None = None) -> list[Slice]:
    """Raises AnelabError if the file is missing, damaged, not of samples, or not of `count`. `where`: what messages
    call it; default: its path."""
    import pyarrow.parquet as pq

    where = where or str(path)
    try:
        with pq.ParquetFile(path, read_dictionary=TEXTS) as file:
            _check_size(file.metadata, count)
            return _joined(_slices(batch) for batch in file.iter_batches(ROWS_AT_ONCE, columns=[*COLUMNS, "ns"]))
    except FileNotFoundError:
        raise AnelabError(f"{where}: there are no samples; run `anelab bench run` or `dvc checkout`") from None
    except AnelabError as error:
        raise AnelabError(f"{where}: cannot be read as samples: {error}") from None
    except Exception as error:  # pyarrow's own errors have no common base but Exception
        raise AnelabError(f"{where}: cannot be read as samples ({type(error).__name__}); restore it") from None


def _check_size(metadata: Any, count: int | None) -> None:
    """By what the file says of itself, before it is read. A column of few values is small however many rows it has."""
    rows = metadata.num_rows
    if count is not None and rows != count:
        raise AnelabError(f"it has {rows:,} rows, but the result states {count:,} samples")
    unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if unpacked > rows * MOST_BYTES_A_ROW + (1 << 20):
        raise AnelabError(f"its {rows:,} rows take {unpacked:,} bytes, which is more than samples do")


def _joined(batches: Iterable[Iterator[Slice]]) -> list[Slice]:
    """The slices of all batches; one that goes on in the next is whole."""
    found: list[Slice] = []
    for slices in batches:
        for one in slices:
            if found and all(getattr(found[-1], name) == getattr(one, name) for name in BELONG_TOGETHER):
                found[-1] = replace(found[-1], ns=np.concatenate([found[-1].ns, one.ns]))
            else:
                found.append(one)
    return found


def _slices(batch: "pa.RecordBatch") -> Iterator[Slice]:
    """The runs of rows that belong together."""
    columns: dict[str, Any] = {name: batch[name] for name in COLUMNS}
    ns = batch["ns"].to_numpy().copy()  # without the rest of the batch
    if not len(ns):
        return
    if ns.min() < 1 or ns.max() > MOST_NS:
        raise AnelabError(f"its times go from {ns.min():,} to {ns.max():,} ns; a time is from 1 to {MOST_NS:,} ns")
    changes = np.zeros(len(ns) - 1, bool)
    for name in BELONG_TOGETHER:
        values = columns[name]
        codes = values.indices if hasattr(values, "indices") else values
        changes |= np.diff(codes.to_numpy()) != 0
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], len(ns)], strict=True):
        found = {name: values[start].as_py() for name, values in columns.items()}
        yield Slice(**{**found, "cell": Scenario.parse(found["cell"])}, ns=ns[start:end])
