"""References of an index: sequences and their taxa, each pair once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.inference.edna.build import FEWEST
from anelab.inference.edna.neighbours import LEAST_KMERS, K
from anelab.sequences.profiles import KmerSets
from anelab.workloads.edna.prepare import Labelled, read_labelled, taken


def read_references(files: Sequence[Path], labels: Sequence[Path], min_length: int) -> Labelled:
    """Of FASTA files and tables of taxa. Equal sequences of one taxon are one reference; those of several taxa are all
    kept, so that a query is told of each. What has too few k-mers to tell anything is left out. Raises AnelabError."""
    for path in (*files, *labels):
        if not path.is_file():
            raise AnelabError(f"{path}: is not there, or is no file")
    labelled = read_labelled([*files, *labels])
    is_short = labelled.sequences.lengths < min_length
    says_little = ~is_short & (KmerSets.of(labelled.sequences, K).sizes < LEAST_KMERS)
    seen: set[tuple[bytes, tuple[str, ...]]] = set()
    keep = []
    for row, key in enumerate(zip(labelled.sequences.digests(), labelled.lineages, strict=True)):
        if not is_short[row] and not says_little[row] and key not in seen:
            seen.add(key)
            keep.append(row)
    left_out = {
        f"shorter than {min_length} bases": int(is_short.sum()),
        f"fewer than {LEAST_KMERS} different {K}-mers": int(says_little.sum()),
    }
    left_out["repeated"] = len(labelled.names) - len(keep) - sum(left_out.values())
    if len(keep) < FEWEST:
        others = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
        why_few = f" are left of {len(labelled.names)} ({others})" if others else " are there"
        raise AnelabError(f"an index needs at least {FEWEST} references but {len(keep)}{why_few}; give more")
    facts = {**labelled.facts, "read": len(labelled.names), "left out": left_out}
    return taken(labelled, np.array(keep, np.int64), facts, labelled.warnings)
