"""Optuna's search over a workload's own space, one `fit` a trial.

Deterministic: a seeded TPE, trials asked and told one after the other, trial 0 with the values that
params.yaml has. The journal under `work` is Optuna's; `Search` is what leaves this module.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab.errors import AnelabError
from anelab.learning.base import AnyWorkload, Trial
from anelab.learning.config import WorkloadConfig
from anelab.training.fit import DivergedError, Observer, fit

if TYPE_CHECKING:
    import optuna


LEAST_TRIALS = 4
"""That ended; fewer say nothing of what mattered."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial: its values by dotted key, the metric after each epoch, and the best of them, which is
    None if the training diverged."""

    number: int
    values: dict[str, Any]
    curve: list[float]
    value: float | None


@dataclass(frozen=True)
class Search:
    metric: str
    trials: list[TrialRecord] = field(default_factory=list)
    best: TrialRecord | None = None
    """None if there was no search; its values then are those of params.yaml."""
    importances: dict[str, float] = field(default_factory=dict)
    """Share of the metric's variance that each setting explains (fANOVA), largest first; {} if too few trials tell."""


def apply_values(config: WorkloadConfig, values: Mapping[str, Any]) -> WorkloadConfig:
    """`config` with dotted keys set, checked again as params.yaml is."""
    raw = config.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        reduce(lambda node, part: node[part], parents, raw)[last] = value
    return type(config).model_validate(raw).model_copy(update={"seed": config.seed})


def search(
    workload: AnyWorkload,
    config: WorkloadConfig,
    prepared: Path,
    work: Path,
    observer: Observer | None = None,
) -> Search:
    """Run `search.n_trials` trials. Equal inputs give equal trials, on one machine."""
    if config.search.n_trials == 0:
        return Search(config.metric)
    study = _study(config, work)
    study.enqueue_trial(own_values(workload, config))
    trials = []
    for number in range(config.search.n_trials):
        trial = study.ask()
        trials.append(_run(workload, config, prepared, trial))
        study.tell(trial, trials[-1].value, state=None if trials[-1].value is not None else _failed())
        if observer:
            observer(number, _figures(config, trials))
    return Search(config.metric, trials, _best(config, trials), _importances(study, config.seed))


def _figures(config: WorkloadConfig, trials: list[TrialRecord]) -> dict[str, float]:
    """Of the last trial, and the best so far; NaN for a training that diverged."""
    values = [float("nan") if record.value is None else record.value for record in trials]
    known = [config.sign * value for value in values if value == value]
    return {"value": values[-1], "best": config.sign * max(known) if known else float("nan")}


def _importances(study: "optuna.Study", seed: int) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    values = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(values) < LEAST_TRIALS or len(set(values)) == 1:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))


def _best(config: WorkloadConfig, trials: list[TrialRecord]) -> TrialRecord:
    scored = [(config.sign * record.value, -record.number, record) for record in trials if record.value is not None]
    if not scored:
        raise AnelabError(f"all {len(trials)} trials diverged; lower training.learning_rate or set training.clip_norm")
    return max(scored)[2]


def _failed() -> "optuna.trial.TrialState":
    from optuna.trial import TrialState

    return TrialState.FAIL


def _study(config: WorkloadConfig, work: Path) -> "optuna.Study":
    import optuna

    from anelab.training.journal import open_journal

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    work.mkdir(parents=True, exist_ok=True)
    journal = work / "search.journal"
    journal.unlink(missing_ok=True)
    return optuna.create_study(
        storage=open_journal(journal),
        sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=5),
        direction="maximize" if config.sign > 0 else "minimize",
        study_name=work.parent.name,
    )


def _run(workload: AnyWorkload, config: WorkloadConfig, prepared: Path, trial: "optuna.Trial") -> TrialRecord:
    with warnings.catch_warnings():  # params.yaml's own values may lie outside the space: they are tried all the same
        warnings.filterwarnings("ignore", message="Fixed parameter")
        values = workload.suggest(trial, config)
    chosen = apply_values(config, values)
    epochs = min(config.search.max_epochs, config.training.max_epochs)
    shorter = chosen.model_copy(update={"training": chosen.training.model_copy(update={"max_epochs": epochs})})
    try:
        progress = fit(workload, shorter, prepared).progress
    except DivergedError:
        return TrialRecord(trial.number, values, [], None)
    curve = [figures[f"validation_{config.metric_name}"] for figures in progress.history]
    return TrialRecord(trial.number, values, curve, progress.best_value)


def own_values(workload: AnyWorkload, config: WorkloadConfig) -> dict[str, Any]:
    return workload.suggest(_OwnValues(config), config)


class _OwnValues(Trial):
    """Answers every question with the configuration's own value for that key."""

    def __init__(self, config: WorkloadConfig) -> None:
        self._config = config

    def _value(self, name: str) -> Any:
        return reduce(getattr, name.split("."), self._config)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._value(name))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._value(name))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._value(name)
