"""Files of embeddings and of taxa: whole under their names, or not there."""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from anelab.errors import UsageError
from anelab.files import replacing
from anelab.inference.edna.assign import COLUMNS, VERDICTS, Assigned
from anelab.inference.edna.embed import Vectors
from anelab.inference.reads.outputs import opened
from anelab.sequences.records import Records

SUFFIXES = (".parquet", ".npy")


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
