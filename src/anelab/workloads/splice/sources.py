"""What the user's files are, by their content, and all windows that they give."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anelab.errors import AnelabError
from anelab.sequences.annotation import Transcript, is_annotation, read_transcripts
from anelab.sequences.genome import read_contigs
from anelab.sequences.nucleotides import Bytes
from anelab.sequences.streams import read_bytes
from anelab.workloads.splice.classifications import Classifications, is_classifications, read_classifications
from anelab.workloads.splice.config import Config, SpliceData
from anelab.workloads.splice.features import SCORES
from anelab.workloads.splice.position_scores import with_position_scores
from anelab.workloads.splice.sites import windows_of
from anelab.workloads.splice.table_files import header_of, is_table, read_cells
from anelab.workloads.splice.tables import CENTER_SCORES, TableReader, columns_of
from anelab.workloads.splice.windows import Names, Sample, Windows

FASTA, ANNOTATION, VARIANTS, TABLE = "FASTA", "annotation", "SpliceVarDB's table", "table of windows"
POSITIONS = "table of scores by position"
KINDS = (FASTA, ANNOTATION, VARIANTS, TABLE, POSITIONS)


@dataclass
class Found:
    """What the sources have. `rows`: how many rows they have, of which `windows` are those that are taken, and
    `left_out` says, by reason, how many are not; `annotated`: they are sites and decoys of a genome."""

    windows: Windows
    rows: int
    chromosomes: Names
    facts: dict[str, Any]
    warnings: list[str]
    left_out: dict[str, int] = field(default_factory=dict)
    annotated: bool = False


def kind_of(path: Path, data: SpliceData) -> str:
    """By its content. Raises AnelabError for what is none of these."""
    head = next(read_bytes(path), b"")
    lines = [line for line in head[: 1 << 20].split(b"\n") if line.strip() and not line.startswith(b"#")]
    first = lines[0].decode("utf-8", "replace") if lines else ""
    if first.startswith(">"):
        return FASTA
    if is_annotation(first):
        return ANNOTATION
    if is_table(head):
        return _kind_of_table(header_of(path), data)
    raise AnelabError(
        f"{path}: is no FASTA, no annotation (GFF3 or GTF) and no table with names of columns; splice.data.source "
        "takes tables of windows, or FASTA and annotation"
    )


def _kind_of_table(header: Sequence[str], data: SpliceData) -> str:
    sequence = data.columns.get("sequence", "sequence")
    if sequence in header:
        return TABLE
    if is_classifications(header, data.variants, sequence):
        return VARIANTS
    found = columns_of(header, data)
    return POSITIONS if {SCORES[0], CENTER_SCORES[0]} & set(found) and "position" in found else TABLE


def read_sources(config: Config, files: Sequence[Path]) -> Found:
    """Raises AnelabError for files that do not go together, and for what is wrong in them."""
    kinds = {path: kind_of(path, config.data) for path in files}
    of = {kind: [path for path in files if kinds[path] == kind] for kind in KINDS}
    _check_kinds(of)
    return _read_tables(config, of[TABLE], of[VARIANTS]) if of[TABLE] else _read_genes(config, of)


def _check_kinds(of: dict[str, list[Path]]) -> None:
    if bool(of[FASTA]) != bool(of[ANNOTATION]):
        there, lacks = (FASTA, "an annotation (GFF3 or GTF)") if of[FASTA] else (ANNOTATION, "a FASTA of its genome")
        raise AnelabError(f"splice.data.source has a {there} ({of[there][0].name}), but lacks {lacks}")
    if of[TABLE] and of[FASTA]:
        raise AnelabError(
            f"splice.data.source has a table of windows ({of[TABLE][0].name}) and a FASTA ({of[FASTA][0].name}); "
            "take the one or the other"
        )
    if not of[TABLE] and not of[FASTA]:
        raise AnelabError("splice.data.source has no table of windows, and no FASTA with an annotation")
    if of[VARIANTS] and not of[TABLE]:
        raise AnelabError(
            f"{of[VARIANTS][0]}: classes of variants are joined with tables of windows, but there is none"
        )
    if of[POSITIONS] and not of[FASTA]:
        raise AnelabError(
            f"{of[POSITIONS][0]}: has scores by position, but no sequence; give the genome's FASTA and its annotation "
            "beside it, or a table of windows with a column of sequences"
        )


def _not_drawn(sample: Sample) -> dict[str, int]:
    left = 0 if sample.most is None else max(sample.count - sample.most, 0)
    return {"more than data.max_samples": left} if left else {}


def read_classes(data: SpliceData, files: Sequence[Path]) -> Classifications:
    """Those of SpliceVarDB's tables. Raises AnelabError if two say different things of a variant."""
    found = Classifications()
    for path in files:
        classes = read_classifications(path, read_cells(path), data.variants).classes
        if differ := [one for one in classes if found.classes.get(one, classes[one]) != classes[one]]:
            raise AnelabError(
                f"{path}: says {classes[differ[0]]} of {'-'.join(map(str, differ[0]))}, another table not"
            )
        found.classes |= classes
    return found


def _read_genes(config: Config, of: dict[str, list[Path]]) -> Found:
    """Sites and decoys, of those that tables have scores of if these are wanted; rows are drawn of what then is
    left."""
    transcripts, left = read_annotations(of[ANNOTATION])
    chromosomes, absent = Names(), list[str]()
    tables = of[POSITIONS] if config.data.base.source in ("auto", "table") else []
    sample = Sample(None if tables else config.data.max_samples, config.seed)
    for windows in annotated_windows(config, of[FASTA], transcripts, chromosomes, absent):
        sample.add(windows)
    warnings = [text for text in (absent_text(absent), odd_text(left)) if text]
    genes = len({one.gene for one in transcripts})
    facts: dict[str, Any] = {"transcripts": len(transcripts), "genes": genes, **left}
    found = Found(sample.windows(), sample.count, chromosomes, facts, warnings, _not_drawn(sample), annotated=True)
    return _scored(config, found, tables) if tables else found


def _scored(config: Config, found: Found, tables: Sequence[Path]) -> Found:
    """With the scores of tables by position."""
    windows, facts = with_position_scores(found.windows, found.chromosomes, tables, config.data)
    lacking = len(found.windows) - len(windows)
    sample = Sample(config.data.max_samples, config.seed)
    sample.add(windows)
    texts = [
        f"{lacking:,} of {found.rows:,} positions are left out, because no table has scores of the base model for them",
        f"{facts['without all scores beside the position']:,} positions lack scores beside them; they count as no site",
    ]
    counts = (lacking, facts["without all scores beside the position"])
    return replace(
        found,
        windows=sample.windows(),
        facts=found.facts | facts,
        left_out={"no scores of the base model": lacking, **_not_drawn(sample)},
        warnings=found.warnings + [text for text, count in zip(texts, counts, strict=True) if count],
    )


def read_annotations(paths: Sequence[Path]) -> tuple[list[Transcript], dict[str, int]]:
    """Transcripts, and how many were left out, by reason."""
    left = Counter[str]()
    transcripts = [one for path in paths for one in read_transcripts(path, left)]
    return transcripts, dict(left)


def absent_text(absent: Sequence[str]) -> str:
    """What is said of contigs that the FASTA lacks, or nothing."""
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    return f"genes on {', '.join(absent[:5])}{more} are left out: the FASTA lacks these contigs" if absent else ""


def odd_text(left: Mapping[str, int]) -> str:
    """What is said of transcripts that were left out, or nothing."""
    return "; ".join(f"{count:,} {reason}" for reason, count in left.items())


def annotated_windows(
    config: Config, fastas: Sequence[Path], transcripts: Sequence[Transcript], chromosomes: Names, absent: list[str]
) -> Iterator[Windows]:
    """Sites and decoys of the transcripts, a strand of a contig at a time; the same ones for the same seed. `absent`
    gets the contigs that no FASTA has."""
    contigs, data = read_all_contigs(fastas, {one.contig for one in transcripts}), config.data
    return windows_of(contigs, transcripts, data.window, data.decoys, config.seed, Names(), chromosomes, absent)


def read_all_contigs(paths: Sequence[Path], wanted: set[str]) -> Iterator[tuple[str, Bytes]]:
    """Name and codes of each of the wanted contigs. Raises AnelabError if two files have one."""
    there = set[str]()
    for path in paths:
        for name, codes in read_contigs(path, wanted):
            if name in there:
                raise AnelabError(f"{path}: has {name}, which another FASTA has too")
            there.add(name)
            yield name, codes


def _read_tables(config: Config, files: Sequence[Path], classes: Sequence[Path]) -> Found:
    classified, sample = read_classes(config.data, classes), Sample(config.data.max_samples, config.seed)
    reader = TableReader(config.data, classified)
    for path in files:
        for windows in reader.read(path):
            sample.add(windows)
    facts: dict[str, Any] = {**reader.facts, "columns left out": reader.left_out}
    if classified.classes:
        facts |= classified.facts()
    return Found(sample.windows(), reader.rows, reader.chromosomes, facts, reader.warnings(), _not_drawn(sample))
