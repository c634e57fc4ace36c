"""A base model's scores of the positions that preparing takes from a genome, as a table to train on."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from anelab.errors import warn
from anelab.inference.reads.outputs import opened
from anelab.inference.splice.base_model import BaseModel
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.features import SCORES
from anelab.workloads.splice.sites import windows_of
from anelab.workloads.splice.sources import absent_text, odd_text, read_all_contigs, read_annotations
from anelab.workloads.splice.windows import Names


def write_base_scores(
    base_model: BaseModel, config: Config, fastas: Sequence[Path], annotations: Sequence[Path], out: Path
) -> int:
    """How many positions; sites and decoys are those of the same seed and data.decoys."""
    transcripts, left = read_annotations(annotations)
    data, count, absent = config.data, 0, list[str]()
    with ExitStack() as names, opened(out, names) as handle:
        handle.write(("\t".join(["chrom", "position", "strand", *SCORES]) + "\n").encode())
        held: dict[str, Bytes] = {}
        contigs = _holding(read_all_contigs(fastas, {one.contig for one in transcripts}), held)
        for windows in windows_of(
            contigs, transcripts, data.window, data.decoys, config.seed, Names(), Names(), absent
        ):
            ((name, codes),) = held.items()
            strand, positions = int(windows.strand[0]), np.unique(windows.position)
            scores = base_model.scores(codes, positions, strand)
            for position, row in zip(positions.tolist(), scores.tolist(), strict=True):
                cells = [name, str(position), "+" if strand > 0 else "-", *(f"{value:.7g}" for value in row)]
                handle.write(("\t".join(cells) + "\n").encode())
            count += len(positions)
    for text in (absent_text(absent), odd_text(left)):
        if text:
            warn(text)
    return count


def _holding(contigs: Iterator[tuple[str, Bytes]], held: dict[str, Bytes]) -> Iterator[tuple[str, Bytes]]:
    """The contigs; `held` is the one that is read."""
    for name, codes in contigs:
        held.clear()
        held[name] = codes
        yield name, codes
