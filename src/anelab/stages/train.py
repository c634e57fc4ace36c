"""train: the best checkpoint, its figures on the test set, and the classical answers beside it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab import workloads
from anelab.files import dvc_md5, replacing_folder, write_json
from anelab.learning.base import PLOTS, Arrays, Split
from anelab.learning.evidence import MODEL, evidence_report
from anelab.stages.job import Job, Outcome, Stage
from anelab.tracking.receipt import Dataset
from anelab.yaml_text import read_yaml

if TYPE_CHECKING:
    from anelab.training.fit import Fitted


def _inputs(job: Job) -> Mapping[str, Path]:
    own = {"best.yaml": job.output("search") / "best.yaml", "prepared": job.prepared}
    return {**own, **job.workload.extra_inputs(job.config)}


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.stages.observers import make_observers
    from anelab.training.evaluate import evaluate_module
    from anelab.training.fit import fit
    from anelab.training.search import apply_values

    values = read_yaml(job.output("search") / "best.yaml") or {}
    config = apply_values(job.config, values)
    fitted = fit(job.workload, config, job.prepared, work, make_observers(config, f"train {job.name}", work))
    test = job.workload.load(config, job.prepared, "test")
    rows, figures = evaluate_module(job.workload, config, fitted.module, test)
    _write_checkpoints(job, fitted, values)
    answers = {name: rule(test) for name, rule in workloads.rules(job.name, job.config, job.prepared).items()}
    report = {**_report(job, fitted, figures), "baselines": _baselines(job, answers, test), "searched": values}
    if (found := job.workload.evidence(config, job.prepared)) is not None:
        report["evidence"] = evidence_report(job.workload, config, test, found, {MODEL: rows, **answers})
    write_json(job.reports / "train.json", report)
    _write_plots(job, fitted.progress.history, rows, test)
    (work / "last.ckpt").unlink(missing_ok=True)
    metrics = {f"test_{name}": value for name, value in figures.items()}
    return Outcome(
        metrics=metrics | {"parameters": float(report["parameters"])},
        datasets=[Dataset(job.name, dvc_md5(job.prepared), "train")],
        history=fitted.progress.history,
        reports=["train.json"],
    )


def _write_checkpoints(job: Job, fitted: "Fitted", values: dict[str, Any]) -> None:
    from anelab.training.checkpoint import save_checkpoint

    debug = job.config.training.debug or ""
    best = {"module": fitted.module.state_dict(), "values": values, "workload": job.name, "debug": debug}
    with replacing_folder(job.output("train")) as out:
        save_checkpoint(out / "best.ckpt", best)
        save_checkpoint(out / "last.ckpt", fitted.last_state)


def _report(job: Job, fitted: "Fitted", figures: dict[str, float]) -> dict[str, Any]:
    progress = fitted.progress
    return {
        "best_epoch": progress.best_epoch + 1,
        "epochs": progress.epoch,
        "parameters": sum(parameter.numel() for parameter in fitted.module.parameters()),
        "trainable_parameters": sum(one.numel() for one in fitted.module.parameters() if one.requires_grad),
        "test": figures,
        "validation": {job.config.metric_name: progress.best_value},
    }


def _baselines(job: Job, answers: Mapping[str, Arrays], test: Split) -> dict[str, dict[str, float]]:
    return {name: job.workload.metrics(rows, test) for name, rows in answers.items()}


def _write_plots(job: Job, history: Sequence[Mapping[str, float]], rows: Arrays, test: Split) -> None:
    epochs = [{"epoch": number, **figures} for number, figures in enumerate(history, start=1)]
    curve = [{"epoch": row["epoch"], "value": row[f"validation_{job.config.metric_name}"]} for row in epochs]
    drawn = job.workload.plots(rows, test)
    with replacing_folder(job.reports / "plots") as out:
        columns = list(dict.fromkeys(name for row in epochs for name in row))
        _write_table(out / "history.csv", epochs, columns)
        _write_table(out / "metric.csv", curve, ["epoch", "value"])
        for name, needed in PLOTS.items():
            _write_table(out / f"{name}.csv", drawn.get(name, ()), needed)


def _write_table(path: Path, records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(records)


STAGE = Stage("train", ("preset", "metric", "model", "training"), ("training", "statistics.py"), _inputs, _run)
