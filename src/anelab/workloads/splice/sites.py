"""Splice sites and decoys of a genome with its annotation.

A donor is the last base of an exon that an intron follows, an acceptor the first base of an exon that follows one; both
on the transcript's strand. Decoys lie within genes, on their strand, and are no annotated site of it: positions with GT
after them or AG before them, as sites have, and any others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.workloads.splice.config import DecoyConfig
from anelab.workloads.splice.features import SCORES
from anelab.workloads.splice.windows import (
    ACCEPTOR,
    DONOR,
    NEITHER,
    SUBGROUPS,
    UNKNOWN,
    C,
    Names,
    Windows,
    has_motif,
    joined,
)

LEAST_INTRON = 20
"""Bases; shorter gaps between exons are of frame shifts and the like, and no introns."""
LEAST_CANONICAL, FEWEST_SITES = 0.9, 20
"""Share of sites that have GT or GC after a donor and AG before an acceptor; with fewer, FASTA and annotation are of
different builds."""

Positions = NDArray[np.int64]


@dataclass
class Site:
    """What the transcripts of a gene say of one position: how many use it, and in how many of these its exon is the
    first or last."""

    gene: str
    used: int = 0
    terminal: int = 0


@dataclass
class Strand:
    """Annotated sites and genes of one strand of a contig. `sites`: by (position, type). `spans`: first and last base
    of each gene; `exons`: of all."""

    sites: dict[tuple[int, int], Site] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    transcripts: dict[str, list[Transcript]] = field(default_factory=lambda: defaultdict(list))


def strands_of(transcripts: Iterable[Transcript]) -> dict[tuple[str, int], Strand]:
    found: dict[tuple[str, int], Strand] = defaultdict(Strand)
    for one in transcripts:
        strand = found[one.contig, one.strand]
        first, last = strand.spans.get(one.gene, (one.exons[0][0], one.exons[-1][1]))
        strand.spans[one.gene] = min(first, one.exons[0][0]), max(last, one.exons[-1][1])
        strand.transcripts[one.gene].append(one)
        for place, (first, last) in enumerate(one.introns):
            if last - first + 1 >= LEAST_INTRON:
                left, right = place == 0, place == len(one.introns) - 1
                ends = [(first - 1, left), (last + 1, right)]
                for kind, (position, terminal) in zip((DONOR, ACCEPTOR)[:: one.strand], ends, strict=True):
                    site = strand.sites.setdefault((position, kind), Site(one.gene))
                    site.used, site.terminal = site.used + 1, site.terminal + terminal
    return found


def windows_of(
    genome: Genome,
    transcripts: Sequence[Transcript],
    width: int,
    decoys: DecoyConfig,
    seed: int,
    genes: Names,
    contigs: Names,
) -> tuple[Windows, dict[str, int]]:
    """All sites and some decoys, and counts for the data card. Raises AnelabError if contigs are missing, if there is
    no intron, or if what stands beside the sites shows that the files do not belong together."""
    strands = strands_of(transcripts)
    if absent := sorted({contig for contig, _ in strands} - genome.contigs.keys()):
        raise AnelabError(
            f"the annotation names {', '.join(absent[:5])}, but the FASTA has "
            f"{', '.join(list(genome.contigs)[:5]) or 'none of its contigs'}; names of contigs must be the same in both"
        )
    coding = {one.gene for one in transcripts if one.coding}
    reader = _Reader(genome, width, decoys, coding, genes, contigs, np.random.default_rng([seed, 31]))
    parts = [
        part for (contig, sign), strand in sorted(strands.items()) for part in reader.windows(contig, sign, strand)
    ]
    if not parts:
        raise AnelabError("the annotation has no intron, so there is no splice site to learn from")
    found = joined(parts)
    _check_motifs(found)
    counts = {"transcripts": len(transcripts), "genes": len({one.gene for one in transcripts})}
    return found, counts


@dataclass
class _Reader:
    """Windows of one strand of a contig after another. `coding`: genes with a CDS."""

    genome: Genome
    width: int
    decoys: DecoyConfig
    coding: set[str]
    genes: Names
    contigs: Names
    rng: np.random.Generator

    def windows(self, contig: str, sign: int, strand: Strand) -> list[Windows]:
        """Its sites, and its decoys."""
        if not strand.sites:
            return []
        size = self.genome.contigs[contig].size
        positions = np.array([position for position, _ in strand.sites], np.int64)
        labels = np.array([kind for _, kind in strand.sites], np.int8)
        if positions.max() > size:
            raise AnelabError(
                f"the annotation has a site at {contig}:{positions.max():,}, but the FASTA has {size:,} bases"
            )
        flags = np.array([self._flags(strand, *item) for item in strand.sites.items()], np.int8)
        names = [site.gene for site in strand.sites.values()]
        sites = self._windows(contig, sign, positions, labels, flags, names)
        others = self._decoys(contig, sign, strand)
        flags = np.full((len(others), len(SUBGROUPS)), UNKNOWN, np.int8)
        labels = np.full(len(others), NEITHER, np.int8)
        return [sites, self._windows(contig, sign, others, labels, flags, _owners(strand, others))]

    def _flags(self, strand: Strand, place: tuple[int, int], site: Site) -> list[int]:
        """In the order of SUBGROUPS; whether a site is canonical follows from the sequence."""
        transcripts, position = strand.transcripts[site.gene], place[0]
        spanning = sum(one.exons[0][0] < position < one.exons[-1][1] for one in transcripts)
        non_coding = int(site.gene not in self.coding) if self.coding else UNKNOWN
        return [site.used < spanning, non_coding, site.terminal == site.used, 0]

    def _windows(
        self,
        contig: str,
        sign: int,
        positions: Positions,
        labels: NDArray[np.int8],
        flags: NDArray[np.int8],
        owners: Sequence[str],
    ) -> Windows:
        sequence, count = self.genome.windows(contig, positions, sign, self.width), len(positions)
        for kind in (DONOR, ACCEPTOR):
            rows = labels == kind
            flags[rows, SUBGROUPS.index("non_canonical")] = ~has_motif(sequence[rows], kind)
        return Windows(
            sequence,
            np.full((count, len(SCORES)), np.nan, np.float32),
            labels,
            np.ones(count, np.float32),
            self.genes.of(owners),
            self.contigs.of([contig] * count),
            np.full(count, UNKNOWN, np.int64),
            flags,
        )

    def _decoys(self, contig: str, sign: int, strand: Strand) -> Positions:
        """Rising positions within genes, none of which is a site of this strand."""
        inside = np.zeros(self.genome.contigs[contig].size + 1, bool)
        for first, last in strand.spans.values():
            inside[first : last + 1] = True
        inside[[position for position, _ in strand.sites]] = False
        candidates = np.flatnonzero(inside[1:]) + 1
        if not candidates.size:
            return candidates
        near, many = self.genome.windows(contig, candidates, sign, 5), len(strand.sites)
        alike = [candidates[has_motif(near, kind)] for kind in (DONOR, ACCEPTOR)]
        chosen = [self.rng.permutation(some)[: round(self.decoys.motif * many / 2)] for some in alike]
        chosen.append(self.rng.permutation(candidates)[: round(self.decoys.random * many)])
        return np.unique(np.concatenate(chosen))


def _owners(strand: Strand, positions: Positions) -> list[str]:
    """A gene that has each position: of several, the one that begins last."""
    found = np.full(len(positions), "", object)
    for name, (first, last) in sorted(strand.spans.items(), key=lambda item: item[1]):
        low, high = np.searchsorted(positions, [first, last + 1])
        found[low:high] = name
    return list(found)


def _check_motifs(found: Windows) -> None:
    for kind, name, wanted in (
        (DONOR, "donors have GT or GC after them", "GT"),
        (ACCEPTOR, "acceptors have AG before them", "AG"),
    ):
        rows = found.take(np.flatnonzero(found.label == kind))
        alike = has_motif(rows.sequence, kind)
        if kind == DONOR:
            alike |= has_motif(rows.sequence, kind, second=C)
        share = float(alike.mean()) if len(rows) >= FEWEST_SITES else 1.0
        if share < LEAST_CANONICAL:
            raise AnelabError(
                f"only {share:.1%} of the annotated {name}, where nearly all have {wanted}; FASTA and annotation are "
                "of different builds, or strands are wrong"
            )


def counts_by_subgroup(flags: NDArray[np.int8], rows: NDArray[np.bool_]) -> Mapping[str, int]:
    """Of those rows, how many are in each subgroup that the source can tell."""
    told = {name: flags[rows, place] for place, name in enumerate(SUBGROUPS)}
    return {name: int((values == 1).sum()) for name, values in told.items() if (values >= 0).any()}
