"""Tables, or a genome with its annotation, to checked and split windows; and the card that says what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.files import write_json
from anelab.learning.base import SPLITS, DataCard
from anelab.sequences.annotation import Transcript, is_annotation, read_transcripts
from anelab.sequences.genome import Genome, read_genome
from anelab.sequences.homology import relations
from anelab.sequences.nucleotides import CODES, PAD_CODE, Bytes
from anelab.sequences.streams import read_bytes
from anelab.workloads.splice.classifications import Classifications, is_classifications, read_classifications
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.matrices import fit_matrices, matrix_scores
from anelab.workloads.splice.sites import counts_by_subgroup, windows_of
from anelab.workloads.splice.splits import check_leaks, left_out, related, split_windows
from anelab.workloads.splice.table_files import header_of, is_table, read_cells
from anelab.workloads.splice.tables import TableReader
from anelab.workloads.splice.windows import (
    NEITHER,
    SUBGROUPS,
    Names,
    Windows,
    counts_by_label,
    joined,
    save_windows,
)

BASE = "base.json"
"""What the base model is: its name, where scores came from, and the matrices if it is some."""

OTHER_LETTER = CODES[ord("N")]
FASTA, ANNOTATION, VARIANTS, TABLE = "FASTA", "annotation", "SpliceVarDB's table", "table of windows"


@dataclass
class Found:
    """What the sources have."""

    windows: list[Windows] = field(default_factory=list)
    chromosomes: Names = field(default_factory=Names)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def summary(config: Config, files: Sequence[Path]) -> dict[str, Any]:
    """What `prepare` finds in sources, without splitting them."""
    found = read_sources(config, files)
    windows = joined(found.windows)
    return {
        "rows": len(windows),
        **counts_by_label(windows.label),
        **found.facts,
        "rows with scores": int(windows.has_scores.sum()),
        "rows with letters other than ACGT": int((windows.sequence == OTHER_LETTER).any(axis=1).sum()),
        "rows shorter than the window": int((windows.sequence == PAD_CODE).any(axis=1).sum()),
        "sum of weights": round(float(windows.weight.sum()), 3),
        "warnings": found.warnings,
    }


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Raises AnelabError for files that are none of these, cells that are wrong, and splits that would leak."""
    found = read_sources(config, files)
    windows = _sampled(config, joined(found.windows))
    hashes, of = relations(windows.sequence)
    groups = related(windows, hashes, of, by_gene=config.split.by == "gene")
    parts = split_windows(config, windows, groups, list(found.chromosomes.numbers))
    check_leaks(len(windows), hashes, of, parts)
    windows, scores_from, matrices = _with_base(config, windows, parts["train"])
    for name in SPLITS:
        part = windows.take(parts[name])
        save_windows(part, out, name)
        np.save(out / f"{name}.related.npy", groups[parts[name]])
    write_json(out / BASE, {"matrices": matrices, "model": config.data.base.model, "source": scores_from})
    return _card(config, found, windows, groups, parts, scores_from)


def kind_of(path: Path, config: Config) -> str:
    """By its content. Raises AnelabError for what is none of these."""
    head = next(read_bytes(path), b"")
    lines = [line for line in head[: 1 << 20].split(b"\n") if line.strip() and not line.startswith(b"#")]
    first = lines[0].decode("utf-8", "replace") if lines else ""
    if first.startswith(">"):
        return FASTA
    if is_annotation(first):
        return ANNOTATION
    if is_table(head):
        sequence = config.data.columns.get("sequence", "sequence")
        return VARIANTS if is_classifications(header_of(path), config.data.variants, sequence) else TABLE
    raise AnelabError(
        f"{path}: is no FASTA, no annotation (GFF3 or GTF) and no table with names of columns; splice.data.source "
        "takes tables of windows, or FASTA and annotation"
    )


def read_sources(config: Config, files: Sequence[Path]) -> Found:
    kinds = {path: kind_of(path, config) for path in files}
    of = {kind: [path for path in files if kinds[path] == kind] for kind in (FASTA, ANNOTATION, VARIANTS, TABLE)}
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
    found = Found()
    if of[TABLE]:
        _read_tables(config, of[TABLE], _classified(config, of[VARIANTS]), found)
        return found
    _read_genes(config, of[FASTA], of[ANNOTATION], found)
    if of[VARIANTS]:
        raise AnelabError(
            f"{of[VARIANTS][0]}: classes of variants are joined with tables of windows, but there is none"
        )
    return found


def _classified(config: Config, files: Sequence[Path]) -> Classifications:
    found = Classifications()
    for path in files:
        classes = read_classifications(path, read_cells(path), config.data.variants).classes
        if differ := [one for one in classes if found.classes.get(one, classes[one]) != classes[one]]:
            raise AnelabError(
                f"{path}: says {classes[differ[0]]} of {'-'.join(map(str, differ[0]))}, another table not"
            )
        found.classes |= classes
    return found


def _read_genes(config: Config, fastas: Sequence[Path], annotations: Sequence[Path], found: Found) -> None:
    transcripts: list[Transcript] = [one for path in annotations for one in read_transcripts(path)]
    wanted = {one.contig for one in transcripts}
    contigs: dict[str, Bytes] = {}
    for path in fastas:
        read = read_genome(path, wanted).contigs
        if twice := sorted(contigs.keys() & read.keys()):
            raise AnelabError(f"{path}: has {twice[0]}, which another FASTA of splice.data.source has too")
        contigs |= read
    data = config.data
    windows, counts = windows_of(
        Genome(contigs), transcripts, data.window, data.decoys, config.seed, Names(), found.chromosomes
    )
    found.windows.append(windows)
    found.facts |= counts


def _read_tables(config: Config, files: Sequence[Path], classified: Classifications, found: Found) -> None:
    reader = TableReader(config.data, classified)
    for path in files:
        found.windows += list(reader.read(path))
    found.chromosomes = reader.chromosomes
    found.facts |= {**reader.facts, "columns left out": reader.left_out}
    found.warnings += reader.warnings()
    if classified.classes:
        found.facts |= classified.facts()


def _sampled(config: Config, windows: Windows) -> Windows:
    """At most data.max_samples rows, whichever."""
    most = config.data.max_samples
    if most is None or len(windows) <= most:
        return windows
    rows = np.random.default_rng([config.seed, 37]).permutation(len(windows))[:most]
    return windows.take(np.sort(rows))


def _with_base(config: Config, windows: Windows, train: Any) -> tuple[Windows, str, Any]:
    """The windows with scores, where these came from, and the matrices. Raises AnelabError if scores are asked for that
    the tables lack, or only some rows have."""
    wanted, there = config.data.base.source, windows.has_scores
    if wanted == "none":
        return windows.with_scores(np.full_like(windows.scores, 1 / 3)), "none", None
    if wanted != "pwm" and there.any() and not there.all():
        raise AnelabError(
            f"{(~there).sum():,} of {len(there):,} rows have no scores of the base model, but others have"
        )
    if wanted == "table" and not there.all():
        raise AnelabError("splice.data.base.source=table, but the sources have no scores; take pwm, or none")
    if there.all() and wanted != "pwm":
        return windows, "table", None
    matrices = fit_matrices(windows.sequence[train], windows.label[train])
    return windows.with_scores(matrix_scores(matrices, windows.sequence)), "pwm", matrices


def _card(
    config: Config, found: Found, windows: Windows, groups: Any, parts: dict[str, Any], scores_from: str
) -> DataCard:
    origin = "simulated genes: NO REAL GENOME" if config.data.simulated else "tables or annotated genome"
    sums = windows.scores.reshape(len(windows), 3, -1).sum(axis=1)
    facts: dict[str, Any] = {
        **found.facts,
        "base model": config.data.base.model if scores_from == "table" else scores_from,
        "base scores from": scores_from,
        "groups": len(np.unique(groups)),
        "largest group": int(np.bincount(groups).max()),
        "rows in no split": left_out(windows, parts),
        "rows whose scores do not sum to one": int((np.abs(sums - 1) > 0.01).any(axis=1).sum()),
        "subgroups of test sites": counts_by_subgroup(
            windows.flags[parts["test"]], windows.label[parts["test"]] != NEITHER
        ),
    }
    facts["subgroups not known"] = [name for name in SUBGROUPS if name not in facts["subgroups of test sites"]]
    rows = {name: len(parts[name]) for name in SPLITS}
    classes = {name: counts_by_label(windows.label[parts[name]]) for name in SPLITS}
    warnings = [*found.warnings, *([origin] if config.data.simulated else [])]
    if scores_from == "table":
        facts["contamination"] = (
            "rows that the base model was trained on cannot be told from others: its scores are partly in-sample"
        )
    return DataCard(origin, rows, classes, facts, warnings)
