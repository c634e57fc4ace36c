"""What a candidate must pass to become champion. Verdicts are data: figures, limits and a reason."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from anelab.export.parity import Parity
from anelab.learning.base import AnyWorkload, Array, Arrays, Split
from anelab.learning.config import Tolerance, WorkloadConfig
from anelab.statistics import interval, replicates

Verdict = Literal["pass", "fail", "no better", "not compared", "not eligible"]


@dataclass(frozen=True)
class Interval:
    """A point estimate and the bounds of its central 95 % bootstrap interval."""

    point: float
    low: float
    high: float


@dataclass(frozen=True)
class Gate:
    """One verdict. `reason` is a sentence for a person; `figures` are for programs."""

    name: str
    verdict: Verdict
    reason: str
    figures: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def passed(gates: Mapping[str, Gate] | list[Gate]) -> bool:
    values = gates.values() if isinstance(gates, Mapping) else gates
    return all(gate.verdict != "fail" for gate in values)


def quality_gate(config: WorkloadConfig, metrics: Mapping[str, float]) -> list[Gate]:
    """The value that params.yaml asks for; none if it asks for none. Raises AnelabError if the metric is undefined."""
    value, threshold = config.headline(metrics, "the test set"), config.registry.threshold
    if threshold is None:
        return []
    ok = config.sign * value >= config.sign * threshold
    wanted = "at least" if config.sign > 0 else "at most"
    reason = f"{config.metric_name} is {value:.6g}, {wanted} {threshold:g} is asked"
    return [Gate("quality", "pass" if ok else "fail", reason, {"value": value, "threshold": threshold})]


def limit_gates(config: WorkloadConfig, metrics: Mapping[str, float]) -> list[Gate]:
    """One for each of registry.limits: at most so much of a figure of which less is better, else at least."""
    limits = sorted(config.registry.limits.items())
    return [_limit_gate(name, limit, metrics.get(name), config.figures[name]) for name, limit in limits]


def _limit_gate(name: str, limit: float, value: float | None, sign: int) -> Gate:
    wanted = f"{'at least' if sign > 0 else 'at most'} {limit:g} is asked"
    if value is None:
        return Gate(name, "fail", f"{name} is undefined on the test set, {wanted}", {"limit": limit})
    verdict: Verdict = "pass" if sign * value >= sign * limit else "fail"
    return Gate(name, verdict, f"{name} is {value:.6g}, {wanted}", {"value": value, "limit": limit})


def size_gate(config: WorkloadConfig, size_bytes: int) -> Gate:
    limit = config.registry.max_size_bytes
    reason = f"the model has {size_bytes:,} bytes, at most {limit:,} are allowed"
    verdict: Verdict = "pass" if size_bytes <= limit else "fail"
    return Gate("size", verdict, reason, {"size_bytes": size_bytes, "max_size_bytes": limit})


def parity_gate(parities: Mapping[str, Parity], tolerances: Mapping[str, Tolerance], sign: int) -> Gate:
    """Every executor's parity within its tolerance; the figures are those of the worst."""
    broken = [
        f"{text} ({name})" for name, parity in parities.items() for text in parity.breaches(tolerances[name], sign)
    ]
    name, worst = max(parities.items(), key=lambda item: item[1].max_absolute)
    allowed = f"allowed {tolerances[name].max_absolute:g}"
    fine = f"largest error {worst.max_absolute:.3g} ({allowed}) over {worst.rows} test rows, by {', '.join(parities)}"
    figures = {"max_absolute": worst.max_absolute} if np.isfinite(worst.max_absolute) else {}
    agreements = {name: parity.agreement for name, parity in parities.items() if parity.agreement is not None}
    if agreements:
        name = min(agreements, key=lambda name: agreements[name])
        figures["agreement"] = agreements[name]
        fine += f"; {agreements[name]:.2%} of decisions agree (asked {tolerances[name].min_agreement:.2%})"
    return Gate("parity", "fail" if broken else "pass", "; ".join(broken) or fine, figures)


def debug_gate(metadata: Mapping[str, str]) -> Gate:
    """A model of a debug preset may be registered, to try things out, but never be champion."""
    preset = metadata.get("debug")
    reason = f"trained with training.debug={preset}" if preset else "trained on all of its data"
    return Gate("training", "fail" if preset else "pass", reason, {})


def champion_gate(
    workload: AnyWorkload,
    config: WorkloadConfig,
    split: Split,
    candidate: Arrays,
    champion: Arrays,
) -> Gate:
    """Not worse: the 95 % interval of candidate minus champion, on the same rows, stays above -margin.

    `candidate` and `champion` are rows of `split`.
    """
    return _champion_verdict(config, _gain(workload, config, split, candidate, champion))


def rules_gate(
    workload: AnyWorkload, config: WorkloadConfig, split: Split, candidate: Arrays, rules: Mapping[str, Arrays]
) -> list[Gate]:
    """The candidate against the best plain rule, on the same rows. `pass`: the 95 % interval of the gain lies above 0,
    so learning pays. `no better`: it does not, which a user should know; but a network may be champion that does what
    a rule does. `fail`: the interval reaches below -margin, and params.yaml asks for no value of the metric instead
    (registry.threshold)."""
    figures_of = {name: workload.metrics(rows, split) for name, rows in rules.items()}
    values = {name: known[config.metric_name] for name, known in figures_of.items() if config.metric_name in known}
    if not values:
        return [Gate("rules", "not compared", f"there is no plain rule that has {config.metric_name}", {})]
    best = max(values, key=lambda name: config.sign * values[name])
    interval = _gain(workload, config, split, candidate, rules[best])
    reason = (
        f"{config.metric_name} gain over {best}, the best plain rule, which has {values[best]:.6g}: "
        f"{interval.point:+.6g} [{interval.low:+.6g}, {interval.high:+.6g}]"
    )
    figures = {"gain": interval.point, "low": interval.low, "high": interval.high, "rule": values[best]}
    known = {name: value for name, value in figures.items() if np.isfinite(value)}
    if interval.low > 0:
        return [Gate("rules", "pass", reason, known)]
    margin = config.registry.margin
    if config.registry.threshold is None and interval.low < -margin:
        return [Gate("rules", "fail", f"{reason}, the lower bound must reach {-margin:g}", {**known, "margin": margin})]
    return [Gate("rules", "no better", f"{reason}; it is not shown that learning pays", known)]


def _gain(workload: AnyWorkload, config: WorkloadConfig, split: Split, ours: Arrays, theirs: Arrays) -> Interval:
    """Of the headline metric, positive where ours is better. Pairing removes what both find hard; whole groups are
    drawn, so related rows do not count as independent evidence."""
    name = config.metric_name

    def gains(counts: Array) -> dict[str, Array]:
        undefined = np.full(len(counts), np.nan)
        left, right = (workload.replicates(side, split, counts).get(name, undefined) for side in (ours, theirs))
        return {"gain": config.sign * (left - right)}

    left, right = (workload.metrics(side, split).get(name, float("nan")) for side in (ours, theirs))
    drawn = replicates(gains, split.groups, config.registry.resamples, config.seed)
    return Interval(config.sign * (left - right), *interval(drawn["gain"]))


def _champion_verdict(config: WorkloadConfig, interval: Interval) -> Gate:
    margin = config.registry.margin
    ok = interval.low >= -margin
    reason = (
        f"{config.metric_name} gain over the champion {interval.point:+.6g} "
        f"[{interval.low:+.6g}, {interval.high:+.6g}], the lower bound must reach {-margin:g}"
    )
    figures = {"gain": interval.point, "low": interval.low, "high": interval.high, "margin": margin}
    known = {name: value for name, value in figures.items() if np.isfinite(value)}
    return Gate("champion", "pass" if ok else "fail", reason, known)


def recorded_gate(config: WorkloadConfig, value: float, champion: float) -> Gate:
    """Against a champion of which only the value on the same test set is known: no pairing, no interval."""
    gain, margin = config.sign * (value - champion), config.registry.margin
    reason = (
        f"{config.metric_name} gain over the champion's recorded value {gain:+.6g}, at least {-margin:g} is asked; "
        "the champion itself is not in this store, so rows were not compared"
    )
    return Gate("champion", "pass" if gain >= -margin else "fail", reason, {"gain": gain, "margin": margin})


def not_compared(why: str) -> Gate:
    return Gate("champion", "not compared", why, {})
