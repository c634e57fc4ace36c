"""Positions within the genes of an annotation, scored by a model of splice: as a table, or as tracks of bedGraph."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import warn
from anelab.inference.reads.outputs import opened
from anelab.inference.splice.score import COLUMNS
from anelab.inference.splice.scorer import Prevalence, Scorer
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.sequences.nucleotides import Bytes
from anelab.texts import one_line
from anelab.workloads.splice.features import LABELS
from anelab.workloads.splice.sites import (
    Strand,
    absent_contigs,
    beside_motif,
    check_sites,
    owners_of,
    prevalence_of,
    strands_of,
    within,
)
from anelab.workloads.splice.sources import absent_text, odd_text, read_all_contigs, read_annotations
from anelab.workloads.splice.windows import ACCEPTOR, DONOR, C

ROWS_AT_ONCE = 4096
FRONT = ("chrom", "position", "strand", "gene_id", "annotated")
BEDGRAPH = (".bedgraph", ".bedgraph.gz", ".bg", ".bg.gz")
TRACKS = tuple((label, strand) for label in LABELS[:2] for strand in (1, -1))


@dataclass(frozen=True)
class Scored:
    """Positions of a strand of a contig, rising, [n], and their probabilities, [n, 3]. `owners`: a gene of each."""

    contig: str
    sign: int
    positions: NDArray[np.int64]
    owners: list[str]
    annotated: list[str]
    probabilities: NDArray[np.float32]
    base: NDArray[np.float64]


@dataclass
class GenomeScorer:
    """`positions`: "sites", annotated ones; "motifs", these and what has GT or GC after it or AG before it; "all".
    `prevalence`: None is that of the annotation. `not_scored`: positions of genes that were not looked at."""

    scorer: Scorer
    positions: str = "motifs"
    prevalence: Prevalence | None = None
    not_scored: int = 0

    def scored(self, fastas: Sequence[Path], transcripts: Sequence[Transcript]) -> Iterator[Scored]:
        """Some positions of a strand of a contig after another. Raises AnelabError as preparing does."""
        strands, there = strands_of(transcripts), []
        prevalence = self.prevalence or prevalence_of(strands.values())
        for contig, codes in read_all_contigs(fastas, {one.contig for one in transcripts}):
            there.append(contig)
            for sign in (1, -1):
                if (contig, sign) in strands:
                    yield from self._of_strand(contig, codes, sign, strands[contig, sign], prevalence)
        if text := absent_text(absent_contigs(strands, there)):
            warn(text)

    def _of_strand(
        self, contig: str, codes: Bytes, sign: int, strand: Strand, prevalence: Prevalence
    ) -> Iterator[Scored]:
        check_sites(contig, codes.size, [position for position, _ in strand.sites])
        inside = within(codes.size, strand.spans.values())
        chosen = np.flatnonzero(self._wanted(codes, sign, strand, inside)) + 1
        self.not_scored += int(inside.sum()) - len(chosen)
        for start in range(0, len(chosen), ROWS_AT_ONCE):
            some = chosen[start : start + ROWS_AT_ONCE]
            windows = Genome({contig: codes}).windows(contig, some, sign, self.scorer.window)
            scores = self.scorer.scores_at(codes, some, sign)
            found, base = self.scorer.probabilities(windows, scores, prevalence), self.scorer.base_probabilities(scores)
            yield Scored(contig, sign, some, owners_of(strand, some), _annotated(strand, some), found, base)

    def _wanted(self, codes: Bytes, sign: int, strand: Strand, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """By place, from 0."""
        if self.positions == "all":
            return inside
        sites = np.zeros(codes.size, bool)
        sites[np.array([position - 1 for position, _ in strand.sites], np.int64)] = True
        if self.positions == "sites":
            return sites
        alike = beside_motif(codes, sign, DONOR) | beside_motif(codes, sign, ACCEPTOR)
        return inside & (sites | alike | beside_motif(codes, sign, DONOR, second=C))


def score_genome(
    scorer: GenomeScorer, fastas: Sequence[Path], annotations: Sequence[Path], out: Path
) -> dict[str, int]:
    """A line for each position, or bedGraph if `out` is called so; how many have each verdict, and how many positions
    of genes were not looked at. Raises AnelabError as preparing does."""
    transcripts, left = read_annotations(annotations)
    counts = Counter[str]()
    written = _bedgraph if is_bedgraph(out) else _table
    with ExitStack() as names, opened(out, names) as handle, written(handle) as write:
        for scored in scorer.scored(fastas, transcripts):
            write(scored)
            counts.update(LABELS[code] for code in scored.probabilities.argmax(axis=1))
    if left:
        warn(odd_text(left))
    return {**{name: counts[name] for name in LABELS}, "not scored": scorer.not_scored}


def is_bedgraph(out: Path) -> bool:
    return out.name.lower().endswith(BEDGRAPH)


def _annotated(strand: Strand, positions: NDArray[np.int64]) -> list[str]:
    """Donor, acceptor, both or nothing."""
    kinds = [[kind for kind in (DONOR, ACCEPTOR) if (one, kind) in strand.sites] for one in positions.tolist()]
    return [",".join(LABELS[kind] for kind in found) for found in kinds]


@contextmanager
def _table(handle: IO[bytes]) -> Iterator[Callable[[Scored], None]]:
    handle.write(("\t".join((*FRONT, *COLUMNS)) + "\n").encode())

    def write(scored: Scored) -> None:
        sign = "+" if scored.sign > 0 else "-"
        lines = []
        for row, position in enumerate(scored.positions.tolist()):
            values = [f"{value:.6g}" for value in (*scored.probabilities[row].tolist(), *scored.base[row].tolist())]
            front = (scored.contig, str(position), sign, one_line(scored.owners[row]), scored.annotated[row])
            lines.append("\t".join([*front, *values, LABELS[int(scored.probabilities[row].argmax())]]))
        handle.write(("\n".join(lines) + "\n").encode())

    yield write


@contextmanager
def _bedgraph(handle: IO[bytes]) -> Iterator[Callable[[Scored], None]]:
    """A track for donors and one for acceptors of each strand; a track's lines must come together, so they wait in
    files."""
    with ExitStack() as stack:
        waiting: dict[Any, IO[bytes]] = {track: stack.enter_context(TemporaryFile()) for track in TRACKS}

        def write(scored: Scored) -> None:
            for column, label in enumerate(LABELS[:2]):
                lines = [
                    f"{scored.contig}\t{position - 1}\t{position}\t{value:.6g}\n"
                    for position, value in zip(
                        scored.positions.tolist(), scored.probabilities[:, column].tolist(), strict=True
                    )
                ]
                waiting[label, scored.sign].write("".join(lines).encode())

        yield write
        for (label, strand), lines in waiting.items():
            sign = "+" if strand > 0 else "-"
            handle.write(f'track type=bedGraph name="{label} {sign}" viewLimits=0:1\n'.encode())
            lines.seek(0)
            shutil.copyfileobj(lines, handle)
