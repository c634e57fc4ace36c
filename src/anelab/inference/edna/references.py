"""References of an index: sequences and their taxa, each pair once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.workloads.edna.prepare import Labelled, read_labelled, taken


def read_references(files: Sequence[Path], labels: Sequence[Path], min_length: int) -> Labelled:
    """Of FASTA files and tables of taxa. Equal sequences of one taxon are one reference; those of several taxa are all
    kept, so that a query is told of each. Raises AnelabError."""
    for path in (*files, *labels):
        if not path.is_file():
            raise AnelabError(f"{path}: is not there, or is no file")
    labelled = read_labelled([*files, *labels])
    seen: set[tuple[bytes, tuple[str, ...]]] = set()
    keep = []
    for row, key in enumerate(zip(labelled.sequences.digests(), labelled.lineages, strict=True)):
        if labelled.sequences.lengths[row] >= min_length and key not in seen:
            seen.add(key)
            keep.append(row)
    facts = {"read": len(labelled.names), "left out: repeated or too short": len(labelled.names) - len(keep)}
    return taken(labelled, np.array(keep, np.int64), {**labelled.facts, **facts}, labelled.warnings)
