"""Which sequences are held out: some of each species, whole species, whole genera, or whole clusters; and of some
genera all, to see whether the unknown is recognised.

Rows of validation and test are queries and the references that they are compared with, which training saw.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.learning.splits import stratified_split
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.profiles import kmer_profiles
from anelab.sequences.taxonomy import FAMILY, GENUS, SPECIES, Taxonomy
from anelab.workloads.edna.config import Config

Rows = NDArray[np.int64]
KINDS = ("reference", "known", "novel")
REFERENCE, KNOWN, NOVEL = range(3)
CLUSTER_K = 5
CLUSTER_COSINE = 0.95
"""Of counts of 5-mers: sequences of a cluster are linked by pairs as alike as this."""
FEWEST = 3


@dataclass
class Parts:
    """By split: rows of the sequences, and which of KINDS each is."""

    rows: dict[str, Rows] = field(default_factory=dict)
    kinds: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def counts(self, name: str) -> dict[str, int]:
        return {kind: int((self.kinds[name] == code).sum()) for code, kind in enumerate(KINDS)}


def split_sequences(config: Config, sequences: SequenceArray, taxonomy: Taxonomy) -> Parts:
    """Raises AnelabError if nothing is left for a split."""
    split, rng = config.split, np.random.default_rng([config.seed, 2])
    novel = _novel(taxonomy, split.novel, rng)
    rest = np.flatnonzero(~novel)
    strata, groups = _strata(config, sequences, taxonomy, rest, rng)
    chosen = {name: rest[rows] for name, rows in stratified_split(strata, groups, split, config.seed).items()}
    if not len(chosen["train"]):
        raise AnelabError("edna: no sequences are left for training; give more, or lower edna.split.novel")
    parts = Parts({"train": chosen["train"]}, {"train": np.zeros(len(chosen["train"]), np.int8)})
    for name in ("validation", "test"):
        queries = {KNOWN: chosen[name], NOVEL: np.flatnonzero(novel) if name == "test" else rest[:0]}
        references = _references(taxonomy, chosen["train"], chosen[name], split.references, rng)
        rows = [references, queries[KNOWN], queries[NOVEL]]
        parts.rows[name] = np.concatenate(rows)
        parts.kinds[name] = np.repeat(np.arange(3, dtype=np.int8), [len(part) for part in rows])
    if not len(chosen["test"]) or not len(chosen["validation"]):
        raise AnelabError(
            f"edna.split.by={split.by}: no sequences are left for validation or test: a taxon needs {FEWEST} of them "
            "to spare some; give more, or split by another unit"
        )
    return parts


def _novel(taxonomy: Taxonomy, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Sequences of as many whole genera as make up that share of all genera."""
    genus = taxonomy.codes[:, GENUS]
    present = np.unique(genus[genus >= 0])
    held = rng.permutation(present)[: round(share * len(present))]
    return np.isin(genus, held) & (genus >= 0)


def _strata(
    config: Config, sequences: SequenceArray, taxonomy: Taxonomy, rows: Rows, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Of those rows: in what shares are kept, and what stays together."""
    codes = taxonomy.codes[rows].astype(np.int64)
    alone = 2 * len(taxonomy) + np.arange(len(rows))
    match config.split.by:
        case "random":
            least = min(share for share in (config.split.validation, config.split.test, 1.0) if share)
            return _small_strata(_or_alone(_smallest_taxon(codes), alone), least, rng), np.arange(len(rows))
        case "species":
            return codes[:, GENUS] + 1, _or_alone(codes[:, SPECIES], alone)
        case "genus":
            return codes[:, FAMILY] + 1, _or_alone(codes[:, GENUS], alone)
    return np.zeros(len(rows), np.int64), clusters(sequences.take(rows))


def _smallest_taxon(codes: Rows) -> Rows:
    """Int [n]: the species, or the genus if there are too few of the species; below 0 if neither is known."""
    species, genus = codes[:, SPECIES], codes[:, GENUS]
    enough = np.bincount(species[species >= 0], minlength=int(species.max(initial=0)) + 1)[species] >= FEWEST
    return np.where((species >= 0) & enough, species, np.where(genus >= 0, species.max(initial=0) + 1 + genus, -1))


def _small_strata(taxa: Rows, share: float, rng: np.random.Generator) -> Rows:
    """Int [n]. Taxa of which each split gets its share are strata. Of the others one sequence is alone, and so a
    reference; the rest of theirs are one stratum together, so that not more is held out than is asked for."""
    _, code, size = np.unique(taxa, return_inverse=True, return_counts=True)
    order = rng.permutation(len(code))
    first = np.zeros(len(code), bool)
    first[order[np.unique(code[order], return_index=True)[1]]] = True
    is_rare = size[code] * share < 1
    together, alone = len(size), len(size) + 1 + np.arange(len(code))
    found: Rows = np.where(is_rare, np.where(first | (size[code] < FEWEST), alone, together), code)
    return found


def _or_alone(codes: Rows, alone: Rows) -> Rows:
    """What has no name is like no other."""
    return np.where(codes >= 0, codes, alone)


def _references(taxonomy: Taxonomy, train: Rows, queries: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Training sequences, `most` of them: first those of the species that are asked for."""
    if len(train) <= most:
        return train
    asked = np.isin(taxonomy.codes[train, SPECIES], taxonomy.codes[queries, SPECIES])
    order = np.lexsort((rng.random(len(train)), ~asked))
    answer: Rows = train[np.sort(order[:most])]
    return answer


def clusters(sequences: SequenceArray, k: int = CLUSTER_K, cosine: float = CLUSTER_COSINE) -> Rows:
    """Int [n]: the number of each sequence's cluster, single linkage by the cosine of k-mer counts, both strands."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    profile = kmer_profiles(sequences, k)
    links: list[NDArray[Any]] = []
    for start in range(0, len(profile), 1024):
        near = np.argwhere(profile[start : start + 1024] @ profile.T >= cosine)
        links.append(near + np.array([start, 0]))
    pairs = np.concatenate(links)
    shape = (len(profile), len(profile))
    graph = csr_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape)
    found: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return found
