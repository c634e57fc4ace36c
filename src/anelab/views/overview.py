"""Which model is champion, what it passed, and what is still missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from anelab.bench.results.schema import Report
from anelab.tracking.reading import GateRow, RunRow, VersionRow
from anelab.tracking.runs import STAGES
from anelab.views.engine import ran_on_ne
from anelab.views.formatting import moment, size_text
from anelab.workspace import Workspace

GATE_SIGNS = {"pass": "✓", "fail": "✕", "no better": "≈", "not compared": "–", "not eligible": "–"}


@dataclass(frozen=True)
class Missing:
    """What is not there, and the command that makes it."""

    what: str
    command: str


def why_empty(workspace: Workspace) -> Missing:
    """Why a store has nothing to show, and the command that fills it."""
    if not workspace.root.is_dir():
        return Missing(f"the workspace {workspace.root} does not exist; name one with --workspace", "make repro")
    if any(workspace.root.glob("models/*/receipts/*.json")):
        return Missing("the store has no results, but the folder has: `anelab sync` brings them back", "anelab sync")
    made = "makes the data, trains, exports, measures and registers both default workloads in some minutes"
    return Missing(f"there are no results yet: `make repro` in the project's folder {made}", "make repro")


def holder(versions: Sequence[VersionRow], model: str, alias: str) -> VersionRow | None:
    return next((one for one in versions if one.model == model and alias in one.aliases), None)


def models_of(versions: Sequence[VersionRow]) -> list[str]:
    return list(dict.fromkeys(one.model for one in versions))


def holders_table(versions: Sequence[VersionRow]) -> pd.DataFrame:
    """A row for every champion and challenger."""
    rows = [
        {
            "model": one.model,
            "alias": alias,
            "version": one.version,
            "variant": one.variant,
            one.metric_name: one.value,
            "size": size_text(one.size_bytes),
            "gates": ", ".join(_gate_text(gate) for gate in one.gates),
            "benchmarks": len(one.results),
            "registered": moment(one.created_ms),
        }
        for model in models_of(versions)
        for alias in ("champion", "challenger")
        if (one := holder(versions, model, alias)) is not None
    ]
    return pd.DataFrame(rows)


def judged(versions: Sequence[VersionRow]) -> dict[str, VersionRow]:
    """Whose gates tell where each model stands, by a sentence: the champion, or without one the newest version of the
    variant that may be champion, and why it is none."""
    found = {}
    for model in models_of(versions):
        champion = holder(versions, model, "champion")
        newest = next((one for one in versions if one.model == model and _may_be_champion(one)), None)
        if champion is not None:
            found[f"Gates of {champion.title}, the champion"] = champion
        elif newest is not None:
            found[f"There is no champion. Gates of {newest.title}, the newest version"] = newest
    return found


def _may_be_champion(version: VersionRow) -> bool:
    return all(gate.verdict != "not eligible" for gate in version.gates)


def _held_back_by(version: VersionRow) -> str:
    return "; ".join(f"{gate.name}: {gate.reason}" for gate in version.gates if gate.verdict == "fail")


def _gate_text(gate: GateRow) -> str:
    """Sign and name, and what the sign means where it is not a plain pass or fail."""
    meaning = {"no better": " (no better than the best plain rule)"}.get(gate.verdict, "")
    return f"{GATE_SIGNS.get(gate.verdict, '')} {gate.name}{meaning}"


def gates(version: VersionRow) -> pd.DataFrame:
    """Every gate's verdict, with its figures in the reason."""
    return pd.DataFrame(
        [
            {"gate": gate.name, "verdict": f"{GATE_SIGNS.get(gate.verdict, '')} {gate.verdict}", "because": gate.reason}
            for gate in version.gates
        ],
        columns=["gate", "verdict", "because"],
    )


def figures(versions: Iterable[VersionRow]) -> pd.DataFrame:
    """Every figure on the test set, a column for each version."""
    shown = list(versions)
    names = dict.fromkeys(name for one in shown for name in one.metrics)
    rows = [{"figure": name, **{one.title: one.metrics.get(name) for one in shown}} for name in names]
    return pd.DataFrame(rows, columns=["figure", *(one.title for one in shown)])


def trend(runs: Sequence[RunRow], metric: str) -> list[float]:
    """The headline metric of the last trainings, oldest first."""
    return [run.metrics[f"test_{metric}"] for run in runs if f"test_{metric}" in run.metrics]


def missing(
    workload: str, stages: Mapping[str, int], versions: Sequence[VersionRow], reports: Sequence[Report]
) -> list[Missing]:
    """`stages`: how many runs there are of each."""
    found = [
        Missing(f"no run of the stage {stage}", f"dvc repro {stage}@{workload}")
        for stage in STAGES
        if not stages.get(stage)
    ]
    if not versions:
        return [*found, Missing("no registered version", f"anelab run {workload}")]
    for model in models_of(versions):
        champion = holder(versions, model, "champion")
        if champion is None:
            passed = [one for one in versions if one.model == model and one.passed]
            if passed:
                found.append(Missing(f"{model} has no champion", f"anelab model promote {model} {passed[0].version}"))
            else:
                newest = next((one for one in versions if one.model == model and _may_be_champion(one)), None)
                why = f" (the newest failed {_held_back_by(newest)})" if newest else ""
                lack = f"{model} has no champion, for no version passed its gates{why}"
                found.append(Missing(lack, f"anelab model list {model}"))
        elif not champion.results and champion.format == "onnx":
            found.append(Missing(f"{champion.title} has no benchmark", f"anelab bench run {workload}"))
    coreml = holder(versions, f"{workload}-coreml", "champion")
    if coreml is not None and not any(ran_on_ne(report, coreml) for report in reports):
        command = f"anelab bench request {coreml.title} --host system=Darwin"
        found.append(Missing(f"{coreml.title}, the champion, has no result from a Neural Engine", command))
    return found
