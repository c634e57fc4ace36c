"""prepare: raw files to checked, split arrays and a data card."""

from collections.abc import Mapping
from pathlib import Path

from anelab import sources
from anelab.files import dvc_md5, replacing_folder, write_json
from anelab.stages.job import Job, Outcome, Stage
from anelab.stages.simulate import NOTE
from anelab.tracking.receipt import Dataset


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"manifest": job.workspace.manifest(job.name), "raw": job.raw}


def _run(job: Job, work: Path, key: str) -> Outcome:
    with replacing_folder(job.prepared) as out:
        card = job.workload.prepare(job.config, _files(job), out)
    write_json(job.reports / "data.json", card.as_json())
    counts = {f"rows_{name}": float(count) for name, count in card.rows.items()}
    dataset = Dataset(job.name, dvc_md5(job.prepared), "prepared")
    return Outcome(metrics=counts, datasets=[dataset], reports=["data.json"])


def _files(job: Job) -> list[Path]:
    """The user's files, then what `simulate` made or fetched."""
    listed = [] if job.config.data.simulated else list(job.config.data.source)
    patterns = [item for item in listed if not sources.is_address(item)]
    own = sources.expand(patterns, job.workspace.project, f"{job.name}.data.source")
    made = sorted(path for path in job.raw.iterdir() if path.name != NOTE)
    return [*own, *made]


STAGE = Stage("prepare", ("data", "split"), ("sources.py", "stages/simulate.py"), _inputs, _run)
