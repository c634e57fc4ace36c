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
    """Positions of a strand of a contig, rising, [n], and their chances, [n, 3]. `owners`: a gene of each."""

    contig: str
    strand: int
    positions: NDArray[np.int64]
    owners: list[str]
    annotated: list[str]
    chances: NDArray[np.float32]
    base: NDArray[np.float64]


def score_genome(
    scorer: Scorer,
    fastas: Sequence[Path],
    annotations: Sequence[Path],
    out: Path,
    positions: str,
    prevalence: Prevalence | None = None,
) -> dict[str, int]:
    """A line for each position, or bedGraph if `out` is called so; how many have each verdict, and how many positions
    of genes were not looked at. `positions`: "sites", annotated ones; "motifs", these and what has GT or GC after it or
    AG before it; "all". `prevalence`: None is that of the annotation. Raises AnelabError as preparing does."""
    transcripts, left = read_annotations(annotations)
    counts = Counter[str]()
    written = _bedgraph if is_bedgraph(out) else _table
    with ExitStack() as names, opened(out, names) as handle, written(handle) as write:
        for scored in _scored(scorer, fastas, transcripts, positions, prevalence, counts):
            write(scored)
            counts.update(LABELS[code] for code in scored.chances.argmax(axis=1))
    if left:
        warn(odd_text(left))
    return {name: counts[name] for name in (*LABELS, "not scored")}


def is_bedgraph(out: Path) -> bool:
    return out.name.lower().endswith(BEDGRAPH)


def _scored(
    scorer: Scorer,
    fastas: Sequence[Path],
    transcripts: Sequence[Transcript],
    positions: str,
    prevalence: Prevalence | None,
    counts: Counter[str],
) -> Iterator[Scored]:
    strands, there = strands_of(transcripts), []
    prevalence = prevalence or prevalence_of(strands.values())
    for contig, codes in read_all_contigs(fastas, {one.contig for one in transcripts}):
        there.append(contig)
        for sign in (1, -1):
            strand = strands.get((contig, sign))
            if strand is None:
                continue
            inside, chosen = _chosen(contig, codes, sign, strand, positions)
            counts["not scored"] += inside - len(chosen)
            for start in range(0, len(chosen), ROWS_AT_ONCE):
                some = chosen[start : start + ROWS_AT_ONCE]
                yield _part(scorer, contig, codes, sign, strand, some, prevalence)
    if text := absent_text(absent_contigs(strands, there)):
        warn(text)


def _chosen(contig: str, codes: Bytes, sign: int, strand: Strand, positions: str) -> tuple[int, NDArray[np.int64]]:
    """How many positions are within genes, and those that are scored. Raises AnelabError if the contig is shorter."""
    check_sites(contig, codes.size, [position for position, _ in strand.sites])
    inside = within(codes.size, strand.spans.values())
    sites = np.zeros(codes.size, bool)
    sites[np.array([position - 1 for position, _ in strand.sites], np.int64)] = True
    if positions == "all":
        wanted = inside
    elif positions == "sites":
        wanted = sites
    else:
        alike = beside_motif(codes, sign, DONOR) | beside_motif(codes, sign, ACCEPTOR)
        wanted = inside & (sites | alike | beside_motif(codes, sign, DONOR, second=C))
    return int(inside.sum()), np.flatnonzero(wanted) + 1


def _part(
    scorer: Scorer,
    contig: str,
    codes: Bytes,
    sign: int,
    strand: Strand,
    positions: NDArray[np.int64],
    prevalence: Prevalence,
) -> Scored:
    windows = Genome({contig: codes}).windows(contig, positions, sign, scorer.window)
    scores = scorer.scores_at(codes, positions, sign)
    annotated = [
        ",".join(LABELS[kind] for kind in (DONOR, ACCEPTOR) if (position, kind) in strand.sites)
        for position in positions.tolist()
    ]
    chances, base = scorer.probabilities(windows, scores, prevalence), scorer.base_probabilities(scores)
    return Scored(contig, sign, positions, owners_of(strand, positions), annotated, chances, base)


@contextmanager
def _table(handle: IO[bytes]) -> Iterator[Callable[[Scored], None]]:
    handle.write(("\t".join((*FRONT, *COLUMNS)) + "\n").encode())

    def write(scored: Scored) -> None:
        sign = "+" if scored.strand > 0 else "-"
        lines = []
        for row, position in enumerate(scored.positions.tolist()):
            values = [f"{value:.6g}" for value in (*scored.chances[row].tolist(), *scored.base[row].tolist())]
            front = (scored.contig, str(position), sign, one_line(scored.owners[row]), scored.annotated[row])
            lines.append("\t".join([*front, *values, LABELS[int(scored.chances[row].argmax())]]))
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
                        scored.positions.tolist(), scored.chances[:, column].tolist(), strict=True
                    )
                ]
                waiting[label, scored.strand].write("".join(lines).encode())

        yield write
        for (label, strand), lines in waiting.items():
            sign = "+" if strand > 0 else "-"
            handle.write(f'track type=bedGraph name="{label} {sign}" viewLimits=0:1\n'.encode())
            lines.seek(0)
            shutil.copyfileobj(lines, handle)
