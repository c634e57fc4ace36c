"""Splice sites and decoys of a genome with its annotation.

A donor is the last base of an exon that an intron follows, an acceptor the first base of an exon that follows one; both
on the transcript's strand. Decoys lie within genes, on their strand, and are no annotated site of it: positions with GT
after them or AG before them, as sites have, and any others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import COMPLEMENT, Genome
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.config import DecoyConfig
from anelab.workloads.splice.features import SCORES
from anelab.workloads.splice.windows import (
    ACCEPTOR,
    DONOR,
    NEITHER,
    SUBGROUPS,
    UNKNOWN,
    A,
    C,
    G,
    Names,
    T,
    Windows,
    has_motif,
    readable_motif,
)

LEAST_INTRON = 20
"""Bases; shorter gaps between exons are of frame shifts and the like, and no introns."""
DEEP = 100
"""Bases from both ends of an intron of another transcript: sites farther inside are deep intronic."""
USUAL_PREVALENCE = (2e-4, 2e-4)
"""Of donors and acceptors among positions of genes, where no annotation tells: of the order that human genes have."""
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
    contigs: Iterable[tuple[str, Bytes]],
    transcripts: Sequence[Transcript],
    width: int,
    decoys: DecoyConfig,
    seed: int,
    genes: Names,
    chromosomes: Names,
    absent: list[str],
) -> Iterator[Windows]:
    """All sites and some decoys, one strand of a contig (name and codes) after another. `absent` gets the contigs that
    have genes but are not there. Raises AnelabError, at the end, if all are, if there is no intron, or if what stands
    beside the sites shows that the files do not belong together."""
    strands = strands_of(transcripts)
    coding = {one.gene for one in transcripts if one.coding}
    reader = _Reader(width, decoys, coding, seed, genes, chromosomes)
    motifs, there = _Motifs(), []
    for name, codes in contigs:
        there.append(name)
        for sign in (-1, 1):
            strand = strands.get((name, sign))
            if strand is not None and strand.sites:
                windows = reader.windows(name, codes, sign, strand)
                motifs.add(windows)
                yield windows
    absent += absent_contigs(strands, there)
    if not any(strand.sites for (contig, _), strand in strands.items() if contig in there):
        raise AnelabError("the annotation has no intron, so there is no splice site to learn from")
    motifs.check()


def prevalence_of(strands: Iterable[Strand]) -> tuple[float, float]:
    """Share of the positions of genes that are annotated donors, and acceptors; USUAL_PREVALENCE without introns."""
    bases, counts = 0, {DONOR: 0, ACCEPTOR: 0}
    for strand in strands:
        for _, kind in strand.sites:
            counts[kind] += 1
        end = 0
        for first, last in sorted(strand.spans.values()):
            bases += max(last - max(first - 1, end), 0)
            end = max(end, last)
    return (counts[DONOR] / bases, counts[ACCEPTOR] / bases) if all(counts.values()) else USUAL_PREVALENCE


def check_sites(contig: str, size: int, positions: Sequence[int]) -> None:
    """Raises AnelabError if one lies beyond the contig's end."""
    if (last := max(positions, default=0)) > size:
        raise AnelabError(
            f"the annotation has a site at {contig}:{last:,}, but the FASTA has {size:,} bases there; they are of "
            "different builds"
        )


def absent_contigs(strands: Iterable[tuple[str, int]], there: Sequence[str]) -> list[str]:
    """Contigs that the annotation names and that are not there. Raises AnelabError if that is so of all."""
    named = {contig for contig, _ in strands}
    if not named & set(there):
        raise AnelabError(
            f"the annotation names {', '.join(sorted(named)[:5])}, but the FASTA has none of these contigs; names of "
            "contigs must be the same in both"
        )
    return sorted(named - set(there))


@dataclass
class _Reader:
    """Windows of one strand of a contig after another. `coding`: genes with a CDS."""

    width: int
    decoys: DecoyConfig
    coding: set[str]
    seed: int
    genes: Names
    chromosomes: Names

    def windows(self, contig: str, codes: Bytes, sign: int, strand: Strand) -> Windows:
        """Its sites, and its decoys."""
        positions = np.array([position for position, _ in strand.sites], np.int64)
        labels = np.array([kind for _, kind in strand.sites], np.int8)
        check_sites(contig, codes.size, positions.tolist())
        rng = np.random.default_rng([self.seed, 31, crc32(contig.encode()), sign > 0])
        others = _decoys(codes, sign, strand, self.decoys, rng)
        owners = [site.gene for site in strand.sites.values()] + owners_of(strand, others)
        sequence = Genome({contig: codes}).windows(contig, np.concatenate([positions, others]), sign, self.width)
        flags = np.full((len(sequence), len(SUBGROUPS)), UNKNOWN, np.int8)
        flags[: len(positions)] = self._flags(strand, positions)
        label = np.concatenate([labels, np.full(len(others), NEITHER, np.int8)])
        for kind in (DONOR, ACCEPTOR):
            rows = label == kind
            flags[rows, SUBGROUPS.index("non_canonical")] = ~has_motif(sequence[rows], kind)
        count = len(sequence)
        return Windows(
            sequence,
            np.full((count, len(SCORES)), np.nan, np.float32),
            label,
            np.ones(count, np.float32),
            self.genes.of(owners),
            self.chromosomes.of([contig] * count),
            np.full(count, UNKNOWN, np.int64),
            np.concatenate([positions, others]),
            np.full(count, sign, np.int8),
            flags,
        )

    def _flags(self, strand: Strand, positions: Positions) -> NDArray[np.int8]:
        """Int8 [sites, 5] in the order of SUBGROUPS; whether a site is canonical follows from the sequence."""
        found = np.full((len(positions), len(SUBGROUPS)), UNKNOWN, np.int8)
        rows: dict[str, list[int]] = defaultdict(list)
        sites = list(strand.sites.values())
        for row, site in enumerate(sites):
            rows[site.gene].append(row)
        for gene, chosen in rows.items():
            transcripts, place = strand.transcripts[gene], positions[chosen][:, None]
            spans = np.array([(one.exons[0][0], one.exons[-1][1]) for one in transcripts])
            introns = np.array([intron for one in transcripts for intron in one.introns])
            spanning = ((spans[:, 0] < place) & (place < spans[:, 1])).sum(axis=1)
            deep = ((introns[:, 0] + DEEP <= place) & (place <= introns[:, 1] - DEEP)).any(axis=1)
            used = np.array([(sites[row].used, sites[row].terminal) for row in chosen])
            non_coding = int(gene not in self.coding) if self.coding else UNKNOWN
            columns = (used[:, 0] < spanning, non_coding, used[:, 0] == used[:, 1], 0, deep)
            for column, values in enumerate(columns):
                found[chosen, column] = values
        return found


def _decoys(codes: Bytes, sign: int, strand: Strand, wanted: DecoyConfig, rng: np.random.Generator) -> Positions:
    """Rising positions within genes, none of which is a site of this strand."""
    inside = within(codes.size, strand.spans.values())
    inside[np.array([position for position, _ in strand.sites]) - 1] = False
    many, chosen = len(strand.sites), []
    for kind in (DONOR, ACCEPTOR):
        alike = np.flatnonzero(inside & beside_motif(codes, sign, kind))
        chosen.append(_some(alike, round(wanted.motif * many / 2), rng))
    chosen.append(_some(np.flatnonzero(inside), round(wanted.random * many), rng))
    return np.unique(np.concatenate(chosen)) + 1


def _some(positions: Positions, most: int, rng: np.random.Generator) -> Positions:
    return positions[rng.choice(len(positions), min(most, len(positions)), replace=False, shuffle=False)]


def within(size: int, spans: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """Bool [size], by place from 0: whether it is in one of the spans, which count from 1 with both ends."""
    found = np.zeros(size, bool)
    for first, last in spans:
        found[first - 1 : last] = True
    return found


def beside_motif(codes: Bytes, sign: int, kind: int, second: int = T) -> NDArray[np.bool_]:
    """Bool [n], by place from 0 on the forward strand: what `has_motif` says of the window around it."""
    letters = (G, second) if kind == DONOR else (A, G)
    offsets = (1, 2) if kind == DONOR else (-2, -1)
    found = np.ones(codes.size, bool)
    for offset, letter in zip(offsets, letters, strict=True):
        move, base = offset * sign, letter if sign > 0 else COMPLEMENT[letter]
        at = np.zeros(codes.size, bool)
        if move > 0:
            at[:-move] = codes[move:] == base
        else:
            at[-move:] = codes[:move] == base
        found &= at
    return found


def owners_of(strand: Strand, positions: Positions) -> list[str]:
    """A gene that has each position: of several, the one that begins last."""
    found = np.full(len(positions), "", object)
    for name, (first, last) in sorted(strand.spans.items(), key=lambda item: item[1]):
        low, high = np.searchsorted(positions, [first, last + 1])
        found[low:high] = name
    return list(found)


@dataclass
class _Motifs:
    """How many sites there are, and how many have beside them what sites have."""

    sites: dict[int, int] = field(default_factory=lambda: {DONOR: 0, ACCEPTOR: 0})
    alike: dict[int, int] = field(default_factory=lambda: {DONOR: 0, ACCEPTOR: 0})

    def add(self, windows: Windows) -> None:
        for kind in (DONOR, ACCEPTOR):
            sequence = windows.sequence[windows.label == kind]
            sequence = sequence[readable_motif(sequence, kind)]
            alike = has_motif(sequence, kind)
            if kind == DONOR:
                alike |= has_motif(sequence, kind, second=C)
            self.sites[kind] += len(sequence)
            self.alike[kind] += int(alike.sum())

    def check(self) -> None:
        for kind, text, wanted in (
            (DONOR, "donors have GT or GC after them", "GT"),
            (ACCEPTOR, "acceptors have AG before them", "AG"),
        ):
            share = self.alike[kind] / max(self.sites[kind], 1)
            if self.sites[kind] >= FEWEST_SITES and share < LEAST_CANONICAL:
                raise AnelabError(
                    f"only {share:.1%} of the annotated {text}, where nearly all have {wanted}; FASTA and annotation "
                    "are of different builds, or strands are wrong"
                )


def counts_by_subgroup(flags: NDArray[np.int8], rows: NDArray[np.bool_]) -> Mapping[str, int]:
    """Of those rows, how many are in each subgroup that the source can tell."""
    told = {name: flags[rows, place] for place, name in enumerate(SUBGROUPS)}
    return {name: int((values == 1).sum()) for name, values in told.items() if (values >= 0).any()}
