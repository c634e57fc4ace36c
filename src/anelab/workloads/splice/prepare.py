"""Tables, or a genome with its annotation, to checked and split windows; and the card that says what was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anelab.errors import AnelabError
from anelab.files import write_json
from anelab.learning.base import SPLITS, DataCard
from anelab.sequences.homology import Relations
from anelab.sequences.nucleotides import CODES, PAD_CODE
from anelab.workloads.splice.config import Config
from anelab.workloads.splice.matrices import fit_matrices, matrix_scores
from anelab.workloads.splice.sites import counts_by_subgroup
from anelab.workloads.splice.sources import Found, read_sources
from anelab.workloads.splice.splits import check_leaks, grouped, left_out, split_windows
from anelab.workloads.splice.windows import NEITHER, SUBGROUPS, Windows, counts_by_label, save_windows

BASE = "base.json"
"""What the base model is: its name, where scores came from, and the matrices if it is some."""
EVIDENCE = "evidence.json"
"""What became of the sources' rows, and what the base model may have seen of them."""
CONTAMINATION = {
    "table": "rows that the base model was trained on cannot be told from others: its scores are partly in-sample",
    "pwm": "matrices are of the training split, so no test row was seen",
    "none": "there is no base model",
}
"""By where its scores come from."""
SIMULATED_MODEL = "a simulated one"
SIMULATED = "the base model is simulated, and was trained on nothing"
OTHER_LETTER = CODES[ord("N")]


def summary(config: Config, files: Sequence[Path]) -> dict[str, Any]:
    """What `prepare` finds in sources, without splitting them."""
    found = read_sources(config, files)
    windows = found.windows
    return {
        "rows": found.rows,
        **counts_by_label(windows.label),
        **found.facts,
        "rows left out": found.left_out,
        "rows with scores": int(windows.has_scores.sum()),
        "rows with letters other than ACGT": int((windows.sequence == OTHER_LETTER).any(axis=1).sum()),
        "rows shorter than the window": int((windows.sequence == PAD_CODE).any(axis=1).sum()),
        "sum of weights": round(float(windows.weight.sum()), 3),
        "warnings": found.warnings,
    }


def prepare(config: Config, files: Sequence[Path], out: Path) -> DataCard:
    """Raises AnelabError for files that are none of these, cells that are wrong, and splits that would leak."""
    found = read_sources(config, files)
    windows = found.windows
    if not (windows.label == NEITHER).any() or (windows.label == NEITHER).all():
        raise AnelabError(
            "the sources have rows of "
            + ", ".join(f"{name}: {count}" for name, count in counts_by_label(windows.label).items())
            + "; there must be sites, and positions that are none (splice.data.decoys, of a genome)"
        )
    relations = Relations(windows.sequence)
    groups = grouped(windows, relations, by_gene=config.split.by == "gene")
    parts = split_windows(config, windows, groups, list(found.chromosomes.numbers))
    check_leaks(relations, parts)
    windows, scores_from, matrices = _with_base(config, windows, parts["train"])
    for name in SPLITS:
        part = windows.take(parts[name])
        save_windows(part, out, name)
        np.save(out / f"{name}.related.npy", groups[parts[name]])
    write_json(out / BASE, _base(config, scores_from, matrices))
    found.left_out["related to rows of another split"] = left_out(windows, parts)
    evidence = _evidence(config, found, windows, scores_from)
    write_json(out / EVIDENCE, evidence)
    base = {"base model": config.data.base.model if scores_from == "table" else scores_from}
    found.facts |= base | {"base scores from": scores_from, "contamination": evidence["contamination"]}
    found.facts |= {"rows in the sources": found.rows, "rows left out": found.left_out}
    found.facts["subgroups not known"] = evidence["subgroups_unknown"]
    return _card(config, found, windows, groups, parts)


def _base(config: Config, scores_from: str, matrices: Any) -> dict[str, Any]:
    base = config.data.base
    if config.data.simulated:
        return {"channels": None, "context": 0, "matrices": matrices, "model": SIMULATED_MODEL, "source": scores_from}
    model = {"channels": base.channels_or_none(), "context": base.context, "model": base.model}
    return {"matrices": matrices, "source": scores_from, **model}


def _contamination(config: Config, scores_from: str) -> str:
    return SIMULATED if config.data.simulated and scores_from == "table" else CONTAMINATION[scores_from]


def _evidence(config: Config, found: Found, windows: Windows, scores_from: str) -> dict[str, Any]:
    decoys = config.data.decoys
    sampled = f"decoys: {decoys.motif:g} with a site's motif and {decoys.random:g} others for each site"
    return {
        "contamination": _contamination(config, scores_from),
        "left_out": found.left_out,
        "negatives": sampled if found.annotated or config.data.simulated else "those of the tables",
        "rows_read": found.rows,
        "subgroups_unknown": [name for name, flag in zip(SUBGROUPS, windows.flags.T, strict=True) if (flag < 0).all()],
    }


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


def _card(config: Config, found: Found, windows: Windows, groups: Any, parts: dict[str, Any]) -> DataCard:
    origin = "simulated genes: NO REAL GENOME" if config.data.simulated else "tables or annotated genome"
    sums = windows.scores.reshape(len(windows), 3, -1).sum(axis=1)
    test = windows.take(parts["test"])
    facts: dict[str, Any] = {
        **found.facts,
        "groups": len(np.unique(groups)),
        "largest group": int(np.bincount(groups).max()),
        "rows whose scores do not sum to one": int((np.abs(sums - 1) > 0.01).any(axis=1).sum()),
        "subgroups of test sites": counts_by_subgroup(test.flags, test.label != NEITHER),
    }
    rows = {name: len(parts[name]) for name in SPLITS}
    classes = {name: counts_by_label(windows.label[parts[name]]) for name in SPLITS}
    warnings = [*found.warnings, *([origin] if config.data.simulated else [])]
    return DataCard(origin, rows, classes, facts, warnings)
