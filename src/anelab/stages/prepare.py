"""prepare: raw files to checked, split arrays and a data card."""

from collections.abc import Mapping
from pathlib import Path

from anelab import sources
from anelab.errors import AnelabError, warn
from anelab.files import dvc_md5, replacing_folder, write_json
from anelab.learning.base import DataCard
from anelab.stages.job import Job, Outcome, Stage
from anelab.tracking.receipt import Dataset


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"manifest": job.workspace.manifest(job.name), "raw": job.raw}


def _run(job: Job, work: Path, key: str) -> Outcome:
    with replacing_folder(job.prepared) as out:
        card = job.workload.prepare(job.config, _files(job), out)
        # What the data mean is part of them, so that later stages need not know where they came from.
        _require_rows(job.name, card)
        write_json(out / "settings.json", job.config.data.model_dump(exclude={"source"}))
    write_json(job.reports / "data.json", card.as_json())
    for text in card.warnings:
        warn(f"{job.name}: {text}")
    counts = {f"rows_{name}": float(count) for name, count in card.rows.items()}
    dataset = Dataset(job.name, dvc_md5(job.prepared), "prepared")
    return Outcome(metrics=counts, datasets=[dataset], reports=["data.json"])


def _require_rows(workload: str, card: DataCard) -> None:
    empty = [name for name, count in card.rows.items() if not count]
    if empty:
        raise AnelabError(
            f"{workload}: the data give {card.rows}, so there is nothing for {' and '.join(empty)}; "
            f"give more data, or change {workload}.split"
        )


def _files(job: Job) -> list[Path]:
    """What `simulate` made; or the user's files and those it fetched. A former configuration's are not taken."""
    if job.config.data.simulated:
        return sorted(job.raw.iterdir())
    listed = list(job.config.data.source)
    patterns = [item for item in listed if not sources.is_address(item)]
    own = sources.expand(patterns, job.workspace.project, f"{job.name}.data.source")
    return [*own, *(job.raw / sources.file_name(item) for item in listed if sources.is_address(item))]


STAGE = Stage("prepare", ("preset", "data", "split"), ("sources.py", "sequences"), _inputs, _run)
