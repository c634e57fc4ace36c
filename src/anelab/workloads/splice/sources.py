"""What the user's files are, by their content, and all windows that they give."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from anelab.workloads.splice.position_scores import PLACE, with_position_scores
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
    return POSITIONS if all(key in found for key in PLACE) and {SCORES[0], CENTER_SCORES[0]} & set(found) else TABLE


def read_sources(config: Config, files: Sequence[Path]) -> Found:
    """Raises AnelabError for files that do not go together, and for what is wrong in them."""
    kinds = {path: kind_of(path, config.data) for path in files}
    of = {kind: [path for path in files if kinds[path] == kind] for kind in KINDS}
    _check_kinds(of)
    found = _read_tables(config, of[TABLE], of[VARIANTS]) if of[TABLE] else _read_genes(config, of)
    if (drawn := len(found.windows)) < found.rows:
        found.left_out["more than data.max_samples"] = found.rows - drawn
    if of[POSITIONS]:
        windows, facts = with_position_scores(found.windows, found.chromosomes, of[POSITIONS], config.data)
        found.left_out["no scores of the base model"] = len(found.windows) - len(windows)
        found.windows, found.facts = windows, found.facts | facts
        if found.left_out["no scores of the base model"]:
            found.warnings.append(
                f"{found.left_out['no scores of the base model']:,} of {drawn:,} positions are left out, because no "
                "table has scores of the base model for them"
            )
    return found


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
    transcripts = [one for path in of[ANNOTATION] for one in read_transcripts(path)]
    chromosomes, sample = Names(), Sample(config.data.max_samples, config.seed)
    for windows in annotated_windows(config, of[FASTA], transcripts, chromosomes):
        sample.add(windows)
    facts = {"transcripts": len(transcripts), "genes": len({one.gene for one in transcripts})}
    return Found(sample.windows(), sample.count, chromosomes, facts, [], annotated=True)


def annotated_windows(
    config: Config, fastas: Sequence[Path], transcripts: Sequence[Transcript], chromosomes: Names
) -> Iterator[Windows]:
    """Sites and decoys of the transcripts, a strand of a contig at a time; the same ones for the same seed."""
    contigs, data = read_all_contigs(fastas, {one.contig for one in transcripts}), config.data
    return windows_of(contigs, transcripts, data.window, data.decoys, config.seed, Names(), chromosomes)


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
    return Found(sample.windows(), sample.count, reader.chromosomes, facts, reader.warnings())
