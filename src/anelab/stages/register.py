"""register: gates against the champion, then versions and aliases in the registry.

Its outcome depends on who is champion, so DVC must not restore it from its run cache (dvc.yaml:
persist). A model that is champion already keeps the verdict that made it so.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anelab import workloads
from anelab.errors import AnelabError, warn
from anelab.export.manifest_file import read_manifest
from anelab.export.parity import Parity
from anelab.export.test_set_rows import TEST_ROWS, read_test_rows
from anelab.files import dvc_md5, read_json, write_json
from anelab.host import host_fingerprint
from anelab.learning.base import Array, Arrays, Split
from anelab.learning.splits import split_digest
from anelab.stages.bench import HOST_PARITY
from anelab.stages.job import Job, Outcome, Stage
from anelab.stages.verdicts import holders, print_verdicts
from anelab.statistics import replicates
from anelab.texts import echo
from anelab.tracking import gates
from anelab.tracking.never_below import never_below_gate
from anelab.tracking.promotion_record import Promotion, PromotionRecord, write_promotions
from anelab.tracking.receipt import Dataset

if TYPE_CHECKING:
    from anelab.tracking.store import Store

JUDGES = (
    "benchmarks",
    "champion_comparison",
    "coreml",
    "gates",
    "models",
    "never_below",
    "promotion_record",
    "registration",
    "replicates",
)


def _inputs(job: Job) -> Mapping[str, Path]:
    files = {
        "bench": job.output("bench"),
        "bench.json": job.reports / "bench.json",
        "export": job.output("export"),
        "parity": job.reports / "parity.json",
        "parity.host": job.reports / HOST_PARITY,
        "prepared": job.prepared,
    }
    champion = job.reports / "champion.json"
    return {**files, "champion": champion} if champion.is_file() else files


def _run(job: Job, work: Path, key: str) -> Outcome:
    from anelab.tracking.benchmarks import attach_own, restore_origin
    from anelab.tracking.registration import (
        REGISTERED_FORMATS,
        apply_registration,
        binding_promotions,
        champion_file,
        registered_model,
    )
    from anelab.tracking.replicates import REPLICATES, plan_of, save_all
    from anelab.tracking.runs import publish_all
    from anelab.tracking.store import open_store

    store, record = open_store(job.workspace), champion_file(job.workspace, job.name)
    manifest = read_manifest(job.output("export"))
    test = job.workload.load(job.config, job.prepared, "test")
    registry, promotions_by_model = _registry(job, manifest, split_digest(test)), {}
    rules = {name: rule(test) for name, rule in workloads.rules(job.name, job.config, job.prepared).items()}
    kept = read_test_rows(job.output("export") / TEST_ROWS, registry["test_digest"])
    drawn: dict[str, dict[str, Array]] = {}
    for format in REGISTERED_FORMATS:
        model = registered_model(job.name, format)
        contenders = _contenders(job, manifest, format, test, kept)
        if contenders:
            promotions = binding_promotions(store, job.workspace, job.name, model)
            decided = _decide(job, store, model, promotions, contenders, rules, manifest, test, registry["test_digest"])
            registry["models"][model] = {"candidates": decided, "format": format}
            promotions_by_model[model] = _updated_promotions(job, promotions, registry, model)
            drawn |= {one.entry["sha256"]: _replicates(job, one, test) for one in contenders.values()}
    plan = plan_of(registry["test_digest"], job.config.seed, job.config.registry.resamples)
    save_all(job.reports / REPLICATES, plan, drawn)
    write_json(job.reports / "registry.json", registry)
    for model, promotions in promotions_by_model.items():
        write_promotions(record, model, promotions)
    with store.writing():
        restore_origin(job.workspace, job.name)
        publish_all(store, job.workspace, job.name)  # a version names its training run
        applied = apply_registration(store, job.workspace, job.name)
        unattached = attach_own(store, job.workspace, job.name)
    for text in [*applied.warnings, *unattached]:
        warn(text)
    held = {model: holders(store, model, promotions) for model, promotions in promotions_by_model.items()}
    print_verdicts(registry, promotions_by_model, applied.versions, held)
    if job.workspace.is_scratch:
        echo("This is a copy for an experiment: the registry's aliases move after `dvc exp apply` and `anelab sync`.")
    datasets = [Dataset(job.name, registry["data_digest"], "test")]
    return Outcome(_figures(registry), datasets, reports=["registry.json", "champion.json"])


def _registry(job: Job, manifest: dict[str, Any], digest: str) -> dict[str, Any]:
    """The content of registry.json, but for the models."""
    from anelab.tracking.registration import SCHEMA

    return {
        "data_digest": dvc_md5(job.prepared),
        "input_key": manifest["metadata"]["input_key"],
        "margin": job.config.registry.margin,
        "metric": job.config.metric,
        "models": {},
        "schema": SCHEMA,
        "test_digest": digest,
    }


@dataclass(frozen=True)
class Contender:
    """A model file with its entry in the manifest, its rows on the test set and their figures."""

    file: str
    entry: dict[str, Any]
    rows: Arrays
    metrics: dict[str, float]


def _decide(
    job: Job,
    store: "Store",
    model: str,
    promotions: PromotionRecord,
    contenders: Mapping[str, Contender],
    rules: Mapping[str, Arrays],
    manifest: dict[str, Any],
    test: Split,
    digest: str,
) -> dict[str, Any]:
    """Every variant's verdicts; only the eligible one is compared with the champion."""
    own = _eligible(job, contenders)
    verdict = _against_champion(job, store, model, promotions, own, manifest, test, digest)
    only = f"only {own.entry['variant']} may be champion (registry.variant.{own.entry['format']})"
    others = gates.Gate("champion", "not eligible", only, {})
    compared = {
        own.file: [
            *gates.rules_gate(job.workload, job.config, test, own.rows, rules),
            *never_below_gate(job.workload, job.config, test, own.rows, rules),
            verdict,
        ],
    }
    return {
        variant: _judge(job, contender, manifest["metadata"], compared.get(contender.file, [others]))
        for variant, contender in contenders.items()
    }


def _contenders(
    job: Job, manifest: dict[str, Any], format: str, test: Split, kept: Mapping[str, Arrays]
) -> dict[str, Contender]:
    """Every variant's model of one format. `kept` are rows of the test set by sha256; a file without them is run."""
    found = {}
    for file, entry in manifest["files"].items():
        if entry["format"] == format and entry["primary"]:
            rows = kept.get(entry["sha256"]) or _rows_of(job, file, test)
            found[entry["variant"]] = Contender(file, entry, rows, job.workload.metrics(rows, test))
    return found


def _rows_of(job: Job, file: str, test: Split) -> Arrays:
    from anelab.export.executors import predictor

    graph = job.workload.graphs(job.config)[0]
    return job.workload.rows(predictor(job.output("export") / file, graph)(test.inputs["model"]), test)


def _replicates(job: Job, contender: Contender, test: Split) -> dict[str, Array]:
    """Its figures on the rows that the bootstrap draws, with which any two versions can be compared later."""

    def figures(counts: Array) -> Mapping[str, Array]:
        return job.workload.replicates(contender.rows, test, counts)

    return replicates(figures, test.groups, job.config.registry.resamples, job.config.seed)


def _eligible(job: Job, contenders: Mapping[str, Contender]) -> Contender:
    """The one that may be champion. Raises AnelabError if that variant was not exported."""
    format = next(iter(contenders.values())).entry["format"]
    variant = _eligible_variant(job, format)
    if variant in contenders:
        return contenders[variant]
    raise AnelabError(
        f"{job.name}.registry.variant.{format}={variant} was not exported; "
        f"export it ({job.name}.export), or set {job.name}.registry.variant.{format} to one of {', '.join(contenders)}"
    )


def _eligible_variant(job: Job, format: str) -> str:
    return str(getattr(job.config.registry.variant, format))


def _against_champion(
    job: Job,
    store: "Store",
    model: str,
    promotions: PromotionRecord,
    own: Contender,
    manifest: dict[str, Any],
    test: Split,
    digest: str,
) -> gates.Gate:
    from anelab.tracking.champion_comparison import find_champion_comparison

    if promotions.champion and promotions.champion.content == own.entry["content"]:
        return _verdict_that_made_it(job, model, own)
    comparison = find_champion_comparison(store, job.workload, job.config, model, promotions, manifest, test, digest)
    return comparison.gate(job.workload, job.config, test, own.rows, own.metrics)


def _verdict_that_made_it(job: Job, model: str, own: Contender) -> gates.Gate:
    """The champion's own verdict, from the registry.json that promoted it if that is still there."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):  # it may be absent or damaged
        before = read_json(job.reports / "registry.json")["models"][model]["candidates"][own.entry["variant"]]
        (gate,) = [gate for gate in before["gates"] if gate["name"] == "champion"]
        if before["content"] == own.entry["content"]:
            return gates.Gate(**gate)
    return gates.not_compared("it is the champion")


def _judge(
    job: Job, contender: Contender, metadata: Mapping[str, str], compared: Sequence[gates.Gate]
) -> dict[str, Any]:
    """One candidate's verdict at every gate; `compared` are those that compare it with others."""
    config, entry = job.config, contender.entry
    report = _parity_of(job, contender.file)
    parities = {name: Parity.from_json(figures) for name, figures in report.items()}
    tolerances = {name: config.export.tolerance(entry["format"], entry["variant"], name) for name in parities}
    verdicts = [
        gates.debug_gate(metadata),
        *gates.quality_gate(config, contender.metrics),
        gates.parity_gate(parities, tolerances, config.sign),
        gates.size_gate(config, entry["size_bytes"]),
        *gates.limit_gates(config, contender.metrics),
        *compared,
    ]
    return {
        "content": entry["content"],
        "file": contender.file,
        "gates": [gate.as_json() for gate in verdicts],
        "metrics": contender.metrics,
        "passed": gates.passed(verdicts),
        "sha256": entry["sha256"],
    }


def _parity_of(job: Job, file: str) -> dict[str, Any]:
    """Figures by executor: what every host would find, and what only this one did."""
    found: dict[str, Any] = read_json(job.reports / "parity.json")[file]
    own = read_json(job.reports / HOST_PARITY)
    return {**found, **(own["files"].get(file, {}) if own["host"] == host_fingerprint() else {})}


def _updated_promotions(job: Job, promotions: PromotionRecord, registry: dict[str, Any], model: str) -> PromotionRecord:
    """The promotions after the verdicts: a candidate that passes all is champion; one that only the
    champion holds back is challenger; one that a person took down stays down."""
    candidates = registry["models"][model]["candidates"]
    variant = _eligible_variant(job, registry["models"][model]["format"])
    judged = candidates[variant]
    promotion = Promotion(
        sha256=judged["sha256"],
        content=judged["content"],
        input_key=registry["input_key"],
        variant=variant,
        metric=job.config.metric,
        value=judged["metrics"][job.config.metric_name],
        test_digest=registry["test_digest"],
        by="register",
    )
    for candidate in candidates.values():
        promotions = promotions.undelete(candidate["sha256"])
    verdicts = {gate["name"]: gate for gate in judged["gates"]}
    if "low" in verdicts["champion"]["figures"]:
        promotions = promotions.compared(registry["test_digest"], judged["content"])
    if promotion.content in promotions.demoted:
        return promotions
    if judged["passed"]:
        return promotions.promote(promotion)
    failed = [name for name, gate in verdicts.items() if gate["verdict"] == "fail"]
    return promotions.challenge(promotion) if failed == ["champion"] else promotions


def _figures(registry: dict[str, Any]) -> dict[str, float]:
    return {
        f"{model['format']}.{variant}.{name}": value
        for model in registry["models"].values()
        for variant, judged in model["candidates"].items()
        for name, value in judged["metrics"].items()
    }


STAGE = Stage(
    "register",
    ("preset", "metric", "export", "registry"),
    (
        "export",
        "host.py",
        "stages/bench.py",
        "stages/verdicts.py",
        "statistics.py",
        *(f"tracking/{name}.py" for name in JUDGES),
    ),
    _inputs,
    _run,
)
