"""search: better values for the workload's own search space, or params.yaml's own without a search."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml

from anelab.files import dvc_md5, replacing_folder, write_json, write_text
from anelab.stages.job import Job, Outcome, Stage
from anelab.tracking.receipt import Dataset


def _inputs(job: Job) -> Mapping[str, Path]:
    return {"prepared": job.prepared, **job.workload.extra_inputs(job.config)}


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.stages.observers import progress
    from anelab.training.search import search

    trials_wanted = job.config.search.n_trials
    show = progress(f"search {job.name}", trials_wanted, "trial", ("value", "best")) if trials_wanted else None
    found = search(job.workload, job.config, job.prepared, work, show)
    trials = [asdict(trial) for trial in found.trials]
    values = found.best.values if found.best else {}
    with replacing_folder(job.output("search")) as out:
        write_text(out / "best.yaml", yaml.safe_dump(values, sort_keys=True) if values else "{}\n")
        write_json(out / "trials.json", {"metric": found.metric, "trials": trials})
    metrics = {}
    if found.best and found.best.value is not None:
        metrics[f"best_validation_{job.config.metric_name}"] = found.best.value
    report = {
        **metrics,
        "best": values,
        "best_trial": found.best.number if found.best else None,
        "importances": found.importances,
        "trials": len(trials),
    }
    write_json(job.reports / "search.json", report)
    dataset = Dataset(job.name, dvc_md5(job.prepared), "search")
    return Outcome(metrics=metrics, datasets=[dataset], trials=trials, reports=["search.json"])


STAGE = Stage("search", ("preset", "metric", "model", "training", "search"), ("training",), _inputs, _run)
