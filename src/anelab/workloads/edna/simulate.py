"""Marker genes that evolved on a tree: families, genera, species, individuals.

Substitutions fall more on some places than on others and are transitions four times in five; some are insertions or
deletions of a few bases; the flanks, where primers sit, hardly change. Branches of a rank are of different lengths, and
part of the records are short. No real gene was looked at: the default data
show that the pipeline works.
"""

import gzip
from pathlib import Path

import numpy as np

from anelab.sequences.nucleotides import Bytes
from anelab.workloads.edna.augment import TRANSITION
from anelab.workloads.edna.config import SimulationConfig

BASES = np.frombuffer(b"ACGT", np.uint8)
FLANK = 22
DISTANCES = {"order": 0.06, "family": 0.05, "genus": 0.02, "species": 0.008, "individual": 0.003}
"""Changes a base from the ancestor on, in the median of such branches."""
SPREAD = 0.7
"""Of the logarithm of a branch's length: some taxa are young."""
FAMILIES = 4
"""Of an order."""
AMPLICON = 130
AMPLICONS = 0.4
"""Share of records that have only so many bases from the middle, as most records of some surveys do."""
CHANGED_FLANK = 0.05
"""Of these rates, in flanks."""
INDELS = 0.08
"""Of the changes."""
TRANSITIONS = 0.8


def simulate_genes(config: SimulationConfig, seed: int, out: Path) -> None:
    """Write genes.fasta.gz and taxonomy.tsv into the folder `out`."""
    rng = np.random.default_rng([seed, 11])
    root = BASES[rng.integers(0, 4, config.length + 2 * FLANK)]
    speeds = rng.gamma(0.7, 1 / 0.7, len(root))
    records, lines = list[str](), ["Feature ID\tTaxon"]
    for family in range(config.families):
        if family % FAMILIES == 0:
            order = _evolved(root, speeds, "order", rng)
        first = _evolved(*order, "family", rng)
        for genus in range(_some(config.genera, rng)):
            second = _evolved(*first, "genus", rng)
            for species in range(_some(config.species, rng)):
                third = _evolved(*second, "species", rng)
                taxon = _lineage(family, genus, species)
                for _ in range(_some(config.individuals, rng)):
                    sequence, _ = _evolved(*third, "individual", rng)
                    if rng.random() < AMPLICONS:
                        start = (len(sequence) - AMPLICON) // 2
                        sequence = sequence[start : start + AMPLICON]
                    name = f"sim{len(records):05d}"
                    records.append(f">{name}\n{sequence.tobytes().decode()}\n")
                    lines.append(f"{name}\t{taxon}")
    (out / "genes.fasta.gz").write_bytes(gzip.compress("".join(records).encode(), mtime=0))
    (out / "taxonomy.tsv").write_text("\n".join([*lines, ""]))


def _some(mean: int, rng: np.random.Generator) -> int:
    return 1 + int(rng.binomial(2 * (mean - 1), 0.5)) if mean > 1 else 1


def _lineage(family: int, genus: int, species: int) -> str:
    name = f"Genus{family}x{genus}"
    ranks = (
        "d__Simulated",
        "p__Phylum",
        "c__Class",
        f"o__Order{family // FAMILIES}",
        f"f__Family{family}",
        f"g__{name}",
    )
    return ";".join([*ranks, f"s__{name} species{species}"])


def _evolved(
    sequence: Bytes, speeds: "np.ndarray[tuple[int], np.dtype[np.float64]]", kind: str, rng: np.random.Generator
) -> "tuple[Bytes, np.ndarray[tuple[int], np.dtype[np.float64]]]":
    """A descendant, and how fast each of its places changes."""
    rate = DISTANCES[kind] * np.exp(rng.normal(0, SPREAD)) * speeds
    rate[:FLANK] *= CHANGED_FLANK
    rate[-FLANK:] *= CHANGED_FLANK
    changed = np.flatnonzero(rng.random(len(sequence)) < 1 - np.exp(-rate * (1 - INDELS)))
    found = sequence.copy()
    slight = rng.random(len(changed)) < TRANSITIONS
    other = BASES[rng.integers(0, 4, len(changed))]
    found[changed] = np.where(slight, TRANSITION[found[changed]], other)
    copies = np.ones(len(found), np.int64)
    inside = slice(FLANK, -FLANK)
    hit = rng.random(len(found[inside])) < rate[inside] * INDELS
    copies[inside][hit] = np.where(rng.random(int(hit.sum())) < 0.5, 0, rng.integers(2, 4, int(hit.sum())))
    inserted = np.repeat(np.arange(len(found)), copies)
    fresh = np.append(False, inserted[1:] == inserted[:-1])
    found = found[inserted]
    found[fresh] = BASES[rng.integers(0, 4, int(fresh.sum()))]
    return found, speeds[inserted]
