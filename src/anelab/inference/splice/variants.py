"""What a variant does to splice sites: chances with it less chances without it, around it, by the model and its base.

Positions are those of the reference. Where the alternative allele has fewer bases, the ones that it lacks have a chance
of 0; where it has more, the last base before the additional ones has the highest chance of all of them. So does
SpliceAI (Jaganathan et al. 2019), whose four values these are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from anelab.inference.splice.scorer import MATRIX_WIDTH, Prevalence, Scorer
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.sequences.nucleotides import NUCLEOTIDES, PAD_CODE, Bytes, encode_bases
from anelab.workloads.splice.features import OFFSETS
from anelab.workloads.splice.sites import Strand, prevalence_of, strands_of
from anelab.workloads.splice.windows import ACCEPTOR, DONOR

VALUES = ("DS_AG", "DS_AL", "DS_DG", "DS_DL")
"""Gain and loss of acceptors and of donors, each the largest."""
OF_VALUES = ((ACCEPTOR, 1), (ACCEPTOR, -1), (DONOR, 1), (DONOR, -1))
LONGEST_INSERTION = 10_000
POSITIONS_AT_ONCE = 8000
"""Of variants that are computed together."""
BASES_ALONE = re.compile(f"[{NUCLEOTIDES.decode()}]+")

Floats = NDArray[np.float64]
Changes = Floats
"""[2 * distance + 1, 3, 2]: of the chance of each class at every position, the model's and the base model's."""
Key = tuple[str, int, int, int, str]
"""Contig, position, bases of the reference allele, strand, and allele."""


@dataclass(frozen=True)
class Variant:
    """`position`: of the first base of `ref`, from 1 on the forward strand."""

    contig: str
    position: int
    ref: str
    alt: str


@dataclass(frozen=True)
class Effect:
    """On one strand, or on a gene there: `values` in the order of VALUES, from 0 to 1, and where each is, as bases
    after the variant's position; the model's and the base model's."""

    gene: str
    strand: int
    values: tuple[float, ...]
    offsets: tuple[int, ...]
    base_values: tuple[float, ...]
    base_offsets: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """`skipped`: why there is no effect, or nothing."""

    effects: tuple[Effect, ...] = ()
    skipped: str = ""


class Genes:
    """Genes and their annotated sites, by (position, type), on each strand of a contig; `prevalence` of sites among
    their positions."""

    def __init__(self, transcripts: Sequence[Transcript]) -> None:
        self.strands = strands_of(transcripts)
        self.prevalence = prevalence_of(self.strands.values())
        self.spans = {
            key: np.array(list(strand.spans.values()), np.int64).reshape(-1, 2) for key, strand in self.strands.items()
        }

    def at(self, contig: str, first: int, last: int) -> list[tuple[str, int]]:
        """Name and strand of each gene that has one of the bases."""
        found = []
        for strand in (1, -1):
            if (key := (contig, strand)) in self.spans:
                spans, names = self.spans[key], list(self.strands[key].spans)
                rows = np.flatnonzero((spans[:, 0] <= last) & (spans[:, 1] >= first))
                found += [(names[row], strand) for row in rows]
        return found

    def sites(self, contig: str, strand: int) -> Mapping[tuple[int, int], object]:
        return self.strands.get((contig, strand), Strand()).sites


@dataclass
class VariantScorer:
    """`distance`: bases on each side of a variant in which sites are looked for. Without `genes` both strands are
    looked at, called + and -. `mask`: gains of annotated sites and losses of others are no effects.
    `prevalence`: of sites among all positions; the base model is taken as it is."""

    scorer: Scorer
    genome: Genome
    genes: Genes | None = None
    distance: int = 50
    mask: bool = False
    prevalence: Prevalence | None = None

    def outcomes(self, variants: Iterable[Variant]) -> Iterator[Outcome]:
        """Of each, in order; memory does not grow with their number."""
        rest, together = iter(variants), max(1, POSITIONS_AT_ONCE // (4 * self.distance + 2))
        while some := list(islice(rest, together)):
            places = [(variant, *self._places(variant)) for variant in some]
            changes = self._changes({(variant, strand) for variant, _, found in places for _, strand in found})
            for variant, skipped, found in places:
                effects = [self._effect(variant, gene, strand, changes[variant, strand]) for gene, strand in found]
                yield Outcome(tuple(effects), skipped)

    def _places(self, variant: Variant) -> tuple[str, list[tuple[str, int]]]:
        """Why it is skipped, or nothing; and the genes, or the strands, that are looked at."""
        if reason := self._why_skipped(variant):
            return reason, []
        if self.genes is None:
            return "", [("+", 1), ("-", -1)]
        found = self.genes.at(variant.contig, variant.position, variant.position + len(variant.ref) - 1)
        return ("" if found else "no gene of the annotation is there"), found

    def _why_skipped(self, variant: Variant) -> str:
        codes = self.genome.contigs.get(variant.contig)
        if codes is None:
            return "the FASTA has no such contig"
        if not (BASES_ALONE.fullmatch(variant.ref) and BASES_ALONE.fullmatch(variant.alt)):
            return "an allele is no sequence of bases"
        given, other = encoded(variant.ref), encoded(variant.alt)
        first = variant.position - 1
        if first < 0 or not np.array_equal(codes[first : first + len(given)], given):
            return "the FASTA has another reference allele"
        if len(given) > 2 * self.distance:
            return f"the reference allele has more than {2 * self.distance} bases"
        return "" if len(other) <= LONGEST_INSERTION else f"the allele has more than {LONGEST_INSERTION:,} bases"

    def _changes(self, wanted: Iterable[tuple[Variant, int]]) -> Mapping[tuple[Variant, int], Changes]:
        asked = {
            (variant, strand, allele): self._sequence(variant, allele)
            for variant, strand in wanted
            for allele in (variant.ref, variant.alt)
        }
        # Alternative alleles of one position have the reference in common.
        keys = {one: (one[0].contig, one[0].position, len(one[0].ref), *one[1:]) for one in asked}
        chances = self._chances({keys[one]: (codes, one[1]) for one, codes in asked.items()})
        found = {}
        for variant, strand in {one[:2] for one in asked}:
            sides = [
                aligned(chances[keys[variant, strand, allele]], self.distance, len(variant.ref), len(allele))
                for allele in (variant.alt, variant.ref)
            ]
            first = variant.position - self.distance
            there = self.genome.stretch(variant.contig, first, first + 2 * self.distance) != PAD_CODE
            found[variant, strand] = (sides[0] - sides[1]) * there[:, None, None]
        return found

    @property
    def _reach(self) -> int:
        """Bases beside a position that its chances depend on, and more."""
        context = self.scorer.base_model.context if self.scorer.base_model else 0
        return max(self.scorer.window, MATRIX_WIDTH, context) // 2 + len(OFFSETS)

    def _sequence(self, variant: Variant, allele: str) -> Bytes:
        """Codes of an allele with what its chances depend on."""
        beside, after = self.distance + self._reach, variant.position + len(variant.ref)
        left = self.genome.stretch(variant.contig, variant.position - beside, variant.position - 1)
        return np.concatenate([left, encoded(allele), self.genome.stretch(variant.contig, after, after + beside - 1)])

    def _chances(self, asked: Mapping[Key, tuple[Bytes, int]]) -> Mapping[Key, Floats]:
        """Of each sequence and strand, float64 [positions, 3, 2]: of every position that has its whole reach, the
        model's and the base model's."""
        windows, scores, sizes = [], [], []
        for codes, strand in asked.values():
            positions = np.arange(self._reach + 1, len(codes) - self._reach + 1)
            windows.append(Genome({"": codes}).windows("", positions, strand, self.scorer.window))
            scores.append(self.scorer.scores_at(codes, positions, strand))
            sizes.append(len(positions))
        if not sizes:
            return {}
        given = np.concatenate(scores)
        own = self.scorer.probabilities(np.concatenate(windows), given, self.prevalence).astype(np.float64)
        parts = np.split(np.stack([own, self.scorer.base_probabilities(given)], axis=2), np.cumsum(sizes)[:-1])
        return dict(zip(asked, parts, strict=True))

    def _effect(self, variant: Variant, gene: str, strand: int, changes: Changes) -> Effect:
        sites = self.genes.sites(variant.contig, strand) if self.genes and self.mask else None
        own, base = (self._largest(changes[:, :, side], variant.position, sites) for side in (0, 1))
        return Effect(gene, strand, *own, *base)

    def _largest(
        self, changes: Floats, position: int, sites: Mapping[tuple[int, int], object] | None
    ) -> tuple[tuple[float, ...], tuple[int, ...]]:
        values, offsets = [], []
        for kind, sign in OF_VALUES:
            change = np.maximum(sign * changes[:, kind], 0)
            if sites is not None:
                annotated = [(position + offset, kind) in sites for offset in range(-self.distance, self.distance + 1)]
                change = change * (np.array(annotated) == (sign < 0))
            at = int(change.argmax())
            values.append(float(change[at]))
            offsets.append(at - self.distance if change[at] > 0 else 0)
        return tuple(values), tuple(offsets)


def encoded(bases: str) -> Bytes:
    """Codes of letters."""
    found: Bytes = encode_bases(np.frombuffer(bases.encode(), np.uint8)[None, :])[0]
    return found


def aligned(chances: Floats, distance: int, ref: int, alt: int) -> Floats:
    """[2 * distance + 1, ...], by position of the reference, of what an allele of `alt` bases has at its own positions,
    the first of which lies `distance` bases before the variant; the reference allele has `ref` bases."""
    found = np.zeros((2 * distance + 1, *chances.shape[1:]))
    common, last = min(ref, alt), distance + min(ref, alt) - 1
    inside = min(distance + common, len(found))
    found[:inside] = chances[:inside]
    if alt > ref and last < len(found):
        found[last] = chances[last : distance + alt].max(axis=0)
    if (start := distance + ref) < len(found):
        rest = chances[distance + alt :]
        found[start:] = rest[: len(found) - start]
    return found
