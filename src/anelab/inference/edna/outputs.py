"""Files of embeddings and of taxa: whole under their names, or not there."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from anelab.errors import UsageError
from anelab.files import replacing
from anelab.inference.edna.assign import COLUMNS, VERDICTS, Assigned, assign_points
from anelab.inference.edna.build import points_of
from anelab.inference.edna.embed import Embeddings, Vectors
from anelab.inference.edna.index import Index
from anelab.inference.reads.outputs import opened
from anelab.sequences.records import Records
from anelab.sequences.taxonomy import RANKS, Lineage

SUFFIXES = (".parquet", ".npy")
REFERENCES = "reference"
"""What the column `verdict` of a table of clusters says of a row that is no query."""
ROWS_AT_ONCE = 4096


def check_embeddings_file(path: Path) -> None:
    """Raises UsageError before any work is done."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--out takes a file that ends in {' or '.join(SUFFIXES)}, but got {path}")


def write_embeddings(path: Path, vectors: Vectors, blocks: Iterable[Records]) -> int:
    """A row a sequence, in order; how many. Memory does not grow with their number."""
    with replacing(path.resolve()) as draft:
        return (_write_parquet if path.suffix == ".parquet" else _write_npy)(draft, vectors, blocks)


def _write_parquet(path: Path, vectors: Vectors, blocks: Iterable[Records]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.string()), ("embedding", pa.list_(pa.float32(), vectors.dimension))])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        for block in blocks:
            found = pa.FixedSizeListArray.from_arrays(pa.array(vectors(block.sequences).ravel()), vectors.dimension)
            writer.write_table(pa.Table.from_arrays([pa.array(block.names), found], schema=schema))
            count += len(block.names)
    return count


def _write_npy(path: Path, vectors: Vectors, blocks: Iterable[Records]) -> int:
    """The header, which has the number of rows, is written again in the end; it has room for any."""
    count = 0
    with path.open("wb") as handle:
        _write_header(handle, 0, vectors.dimension)
        for block in blocks:
            handle.write(vectors(block.sequences).astype("<f4", copy=False).tobytes())
            count += len(block.names)
        handle.seek(0)
        _write_header(handle, count, vectors.dimension)
    return count


def _write_header(handle: IO[bytes], rows: int, dimension: int) -> None:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimension}), }}"
    body = text.ljust(117).encode() + b"\n"
    handle.write(b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body)


def write_assignments(path: Path, parts: Iterable[Assigned]) -> dict[str, int]:
    """A line a query under a line of names; how many have each verdict."""
    counts: Counter[str] = Counter()
    with ExitStack() as names, opened(path, names) as handle:
        handle.write(("\t".join(COLUMNS) + "\n").encode())
        for part in parts:
            counts.update(part.verdict)
            handle.write("".join("\t".join(row) + "\n" for row in part.rows()).encode())
    return {verdict: counts[verdict] for verdict in VERDICTS}


def write_clusters(path: Path, index: Index, blocks: Iterable[Records]) -> dict[str, int]:
    """A row for each reference, then for each query: `id`, `verdict`, place on the map `x` and `y`, `cluster` (-1: in
    none), and a taxon of each rank. How many queries there are, and how many of them are in a cluster."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [(name, pa.string()) for name in ("id", "verdict", *RANKS)]
    schema = pa.schema([*texts[:2], ("x", pa.float32()), ("y", pa.float32()), ("cluster", pa.int32()), *texts[2:]])
    queries = inside = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.resolve()) as draft, pq.ParquetWriter(draft, schema) as writer:
        for names, verdicts, vectors, taxa in _mapped(index, blocks):
            places, clusters = index.clusters.places(vectors), index.clusters.clusters(vectors)
            columns = [names, verdicts, places[:, 0], places[:, 1], clusters, *zip(*taxa, strict=True)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            asked = np.array([verdict != REFERENCES for verdict in verdicts])
            queries, inside = queries + int(asked.sum()), inside + int((asked & (clusters >= 0)).sum())
    return {"queries": queries, "in a cluster": inside}


def _mapped(
    index: Index, blocks: Iterable[Records]
) -> Iterator[tuple[Sequence[str], Sequence[str], Embeddings, list[Lineage]]]:
    for start in range(0, len(index), ROWS_AT_ONCE):
        names = index.names[start : start + ROWS_AT_ONCE]
        taxa = [index.taxonomy.lineage(row) for row in range(start, start + len(names))]
        yield names, [REFERENCES] * len(names), index.points.vectors[start : start + len(names)], taxa
    for block in blocks:
        points = points_of(index.vectors, block.sequences)
        found = assign_points(index, block.names, points)
        yield block.names, found.verdict, points.vectors, found.taxa
