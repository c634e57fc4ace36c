"""Reads through a scorer into files, in bounded memory."""

import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from anelab.errors import UsageError
from anelab.inference.reads.outputs import (
    COLUMNS_OF_MATES,
    MATE,
    STANDARD_OUTPUT,
    FastqFiles,
    fastq_files,
    files_of,
    is_special,
    lines,
    opened,
)
from anelab.inference.reads.pairs import Group, interleaved, paired, singles
from anelab.inference.reads.report import sample_names
from anelab.inference.reads.scorer import Scorer
from anelab.inference.reads.statistics import KEPT, ProbabilityCounts, ReadStatistics
from anelab.sequences.phred import Phred
from anelab.sequences.streams import STANDARD_INPUT, Source
from anelab.texts import printable
from anelab.workloads.read_quality.encode import WIDTH

Layout = Literal["single", "paired", "interleaved"]
WAYS = {"single": singles, "paired": paired, "interleaved": interleaved}
PHRED_OPTION = "--phred "


@dataclass(frozen=True)
class Outputs:
    """Where the table goes, and the reads of each verdict, if they are asked for. A pair is PASS if both mates are."""

    table: Path
    passing: Path | None = None
    failing: Path | None = None
    report: Path | None = None
    """Written by others, but checked with the rest."""


@dataclass
class Summary:
    """What was read and found. `offsets` counts reads by their quality offset."""

    scorer: str
    reads: int = 0
    passing: int = 0
    pairs: int = 0
    pairs_passing: int = 0
    longer: int = 0
    """Reads longer than what a model sees at once."""
    whole: bool = True
    """Whether these were judged as a whole, or by their first bases."""
    invalid: int = 0
    """Reads for which the model's answer is no probability."""
    offsets: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    statistics: list[ReadStatistics] = field(default_factory=list)
    """Of each file, or kind of mates in it, if they were asked for."""
    probabilities: ProbabilityCounts | None = None
    """Of all reads, if a model sorts them by their errors."""

    def add(self, other: "Summary") -> None:
        """The counts of other files, behind the ones that are here."""
        for name in ("reads", "passing", "pairs", "pairs_passing", "longer", "invalid"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.offsets.update(other.offsets)
        self.statistics += other.statistics
        if other.probabilities is not None:
            self.probabilities = self.probabilities or ProbabilityCounts()
            self.probabilities.counts += other.probabilities.counts

    def thresholds(self) -> dict[str, float]:
        """By per cent of the reads that each keeps; {} unless a model sorts reads by their errors."""
        counts = self.probabilities
        return {} if counts is None or not self.reads else {str(share): counts.threshold(share) for share in KEPT}

    def as_json(self) -> dict[str, Any]:
        apart = ("passing", "offsets", "statistics", "probabilities")
        kept = {name: value for name, value in vars(self).items() if name not in apart}
        rate = self.reads / self.seconds if self.seconds else 0.0
        offsets = {str(offset): count for offset, count in self.offsets.items()}
        return {
            **kept,
            "pass": self.passing,
            "fail": self.reads - self.passing,
            "offsets": offsets,
            "reads_per_s": round(rate),
            "thresholds": self.thresholds(),
        }


@dataclass(frozen=True)
class Unit:
    """What is read in one go: a file, or two of mates. `mates` are the names that statistics of its reads, or of first
    and second mates, go by."""

    sources: tuple[Source, ...]
    mates: tuple[str, ...]


def units_of(sources: Sequence[Source], layout: Layout) -> list[Unit]:
    names = sample_names(sources)
    if layout == "single":
        return [Unit((source,), (name,)) for source, name in zip(sources, names, strict=True)]
    if layout == "interleaved":
        return [Unit((source,), (f"{name}_1", f"{name}_2")) for source, name in zip(sources, names, strict=True)]
    pairs = zip(sources[::2], sources[1::2], strict=True)
    return [Unit(pair, both) for pair, both in zip(pairs, zip(names[::2], names[1::2], strict=True), strict=True)]


@dataclass(frozen=True)
class Reading:
    """How files are read. `max_records`: reads or pairs, all files together. `statistics`: also count lengths and
    qualities."""

    layout: Layout = "single"
    phred: Phred = "auto"
    max_records: int | None = None
    statistics: bool = False


def score_reads(
    sources: Sequence[Source],
    scorer: Scorer,
    outputs: Outputs,
    reading: Reading,
    progress: bool = False,
    on_scored: Callable[[Summary], None] | None = None,
) -> Summary:
    """Write every read's value and verdict, and the reads themselves where asked. Nothing is left under an output's
    name unless all went well, `on_scored` too. Raises AnelabError for input that cannot be read."""
    check_names(sources, outputs, reading.layout)
    summary, started = Summary(scorer.name, whole=scorer.whole), time.perf_counter()
    with ExitStack() as names, ExitStack() as stack:  # all are whole and closed before the first takes its name
        bar = stack.enter_context(_bar()) if progress else None
        writer = stack.enter_context(writing(outputs, reading.layout, names))
        writer.table.write(header(scorer, reading.layout))
        score_units(units_of(sources, reading.layout), scorer, writer, reading, summary, bar)
        summary.seconds = time.perf_counter() - started
        if on_scored is not None:
            on_scored(summary)
    return summary


@dataclass(frozen=True)
class Writer:
    """Open outputs."""

    table: IO[bytes]
    passing: FastqFiles | None
    failing: FastqFiles | None


@contextmanager
def writing(outputs: Outputs, layout: Layout, names: ExitStack) -> Iterator[Writer]:
    """Outputs that take their names when `names` is left."""
    with ExitStack() as stack:
        yield Writer(
            stack.enter_context(opened(outputs.table, names)),
            stack.enter_context(fastq_files(outputs.passing, layout != "single", names)),
            stack.enter_context(fastq_files(outputs.failing, layout != "single", names)),
        )


def header(scorer: Scorer, layout: Layout) -> bytes:
    """The first line of the table."""
    more = () if layout == "single" else COLUMNS_OF_MATES
    return "\t".join(["read_id", scorer.column, "verdict", *more]).encode() + b"\n"


def score_units(
    units: Sequence[Unit], scorer: Scorer, writer: Writer, reading: Reading, summary: Summary, bar: Any = None
) -> None:
    """Score and write each unit in turn, and count in `summary`."""
    left = reading.max_records
    for unit in units:
        if left == 0:
            return
        counted = _statistics(unit) if reading.statistics else []
        summary.statistics += counted
        for group in WAYS[reading.layout](unit.sources, reading.phred, PHRED_OPTION, left):
            _score_group(group, scorer, writer, summary, counted)
            left = None if left is None else left - len(group[0])
            if bar is not None:
                bar.update(sum(map(len, group)))


def _statistics(unit: Unit) -> list[ReadStatistics]:
    files = unit.sources if len(unit.sources) == len(unit.mates) else unit.sources * len(unit.mates)
    return [ReadStatistics(name, printable(Path(str(file)).name)) for name, file in zip(unit.mates, files, strict=True)]


def _score_group(
    group: Group, scorer: Scorer, writer: Writer, summary: Summary, counted: Sequence[ReadStatistics]
) -> None:
    blocks = [reads.block for reads in group]
    values = [scorer.score(reads) for reads in group]
    verdicts = [scorer.passes(some, block.lengths) for some, block in zip(values, blocks, strict=True)]
    both = np.logical_and.reduce(verdicts)
    writer.table.write(lines(blocks, values, verdicts))
    if writer.passing:
        writer.passing.write(blocks, both)
    if writer.failing:
        writer.failing.write(blocks, ~both)
    _count(summary, group, verdicts, both)
    summary.invalid += sum(int(np.isnan(some).sum()) for some in values)
    if scorer.sorts:
        summary.probabilities = summary.probabilities or ProbabilityCounts()
        for some in values:
            summary.probabilities.add(some)
    for statistics, reads, passes in zip(counted, group, verdicts, strict=False):
        statistics.add(reads, passes, both)


def check_names(sources: Sequence[Source], outputs: Outputs, layout: Layout) -> None:
    """Raise UsageError for what cannot be meant."""
    if layout == "paired" and len(sources) % 2:
        raise UsageError(f"--paired needs files in pairs, R1 R2, but got {len(sources)}")
    if sum(str(source) == STANDARD_INPUT for source in sources) > 1:
        raise UsageError("standard input (-) can be read once only")
    inputs = [_identity(source) for source in sources]
    for source, identity in zip(sources, inputs, strict=True):
        if identity is not None and inputs.count(identity) > 1:
            raise UsageError(f"{source}: is given twice; its reads would count twice")
    if MATE in str(outputs.table):
        raise UsageError(f"{outputs.table}: the table is one file, also of pairs, so its name has no {MATE}")
    given = [path for path in (outputs.table, outputs.passing, outputs.failing, outputs.report) if path is not None]
    named = [file for path in given for file in files_of(path, layout != "single")]
    places = [path if str(path) == STANDARD_OUTPUT else path.resolve() for path in named if str(path) != os.devnull]
    if len(set(places)) < len(places):
        raise UsageError("each output needs its own file")
    for path in named:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; give a file")
        if str(path) != STANDARD_OUTPUT and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}; create it first, or name another")
        if path.is_file() and not is_special(path) and _identity(path) in inputs:
            raise UsageError(f"{path}: is an input too; give another output")
        if not is_special(path) and not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path}: you may not write into the folder {path.parent}; name another")


def _identity(source: Source) -> tuple[int, int] | None:
    """Device and inode of a regular file, also of one that is standard input; None of anything else."""
    try:
        found = os.fstat(sys.stdin.fileno()) if str(source) == STANDARD_INPUT else Path(source).stat()
    except (AttributeError, OSError, ValueError):  # standard input may be closed
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _bar() -> Any:
    from tqdm import tqdm

    return tqdm(desc="score", unit=" reads", unit_scale=True, leave=False)


def _count(summary: Summary, group: Group, verdicts: Sequence[Any], both: Any) -> None:
    for reads, passes in zip(group, verdicts, strict=True):
        summary.reads += len(reads)
        summary.passing += int(passes.sum())
        summary.longer += int((reads.block.lengths > WIDTH).sum())
        summary.offsets[reads.offset] += len(reads)
    if len(group) > 1:
        summary.pairs += len(both)
        summary.pairs_passing += int(both.sum())
