"""Requests to measure a registered version, and who takes them.

A version asks by the tag `bench.request` with a host selector. MLflow's tags can be overwritten by anybody, but the
parameters of a logged model cannot be written twice in any of its databases: the parameter `bench.claim.N` is what two
agents cannot both get. An agent that died leaves its claim: it takes it up again when it is restarted, and others may
after LEASE_SECONDS without a heartbeat.
"""

import fnmatch
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from anelab.errors import UsageError
from anelab.tracking.benchmarks import RESULT_TAG, SHORT
from anelab.tracking.models import Version
from anelab.tracking.query import FINISHED, all_of, named, tagged
from anelab.tracking.recovery import logged_model_of
from anelab.tracking.registration import REGISTERED_FORMATS, registered_model
from anelab.tracking.store import Store

REQUEST, STATUS, AGENT, ERROR, RESULT = (f"bench.{name}" for name in ("request", "status", "agent", "error", "result"))
CLAIM, STATE, HEARTBEAT = "bench.claim.", "bench.state.", "bench.heartbeat."
RUN_TAG = "anelab.bench_claim"
"""On the run of a result: the claim it was made for."""
LEASE_SECONDS = 900.0
ERROR_LENGTH = 500
SELECTORS = ("host", "machine", "name", "processor", "system")


def check_selector(selector: str) -> str:
    """`selector` itself. Raises UsageError unless it is * or a list of key=pattern."""
    pairs = [part.partition("=") for part in selector.split(",")]
    if selector != "*" and not all(mark and key in SELECTORS for key, mark, _ in pairs):
        raise UsageError(
            f"a host selector is * or key=pattern[,key=pattern] with the keys {', '.join(SELECTORS)}, like "
            f"system=Darwin or 'processor=Apple M*', but got {selector}"
        )
    return selector


def matches(selector: str, facts: Mapping[str, str]) -> bool:
    """Whether a host with such facts is meant. A selector that cannot be read means nobody."""
    if selector == "*":
        return True
    pairs = [part.partition("=") for part in selector.split(",")]
    return all(mark and key in facts and fnmatch.fnmatchcase(facts[key], pattern) for key, mark, pattern in pairs)


@dataclass(frozen=True)
class Claim:
    """A version that was claimed, as the `number`th time that somebody did."""

    version: Version
    number: int

    @property
    def label(self) -> str:
        return f"{self.version.name}/{self.version.version}"

    @property
    def name(self) -> str:
        return f"{self.label}#{self.number}"


def request(store: Store, version: Version, selector: str) -> None:
    """Ask for the version to be measured on a host that the selector names. Raises UsageError for no selector."""
    wanted = {REQUEST: check_selector(selector), STATUS: "requested"}
    for old in (ERROR, RESULT):
        if old in version.tags:
            store.client.delete_model_version_tag(version.name, version.version, old)
    _tag(store, version, wanted)


def requested(store: Store, workloads: Sequence[str]) -> list[Version]:
    """Versions of those workloads' models that ask to be measured."""
    return [version for version in _versions(store, workloads) if version.tags.get(REQUEST)]


def _versions(store: Store, workloads: Sequence[str]) -> list[Version]:
    names = [registered_model(workload, format) for workload in workloads for format in REGISTERED_FORMATS]
    return [version for name in names for version in store.client.search_model_versions(named(name))]


def claim(store: Store, version: Version, holder: str, lease_s: float) -> Claim | None:
    """The version, if nobody else has it: a claim of the holder's own that it left is taken up again."""
    model_id = logged_model_of(version)
    number, last, claimed_at = _last(store, model_id)
    if number and f"{STATE}{number}" not in version.tags:
        if last == holder:
            return Claim(version, number)
        if time.time() - max(claimed_at, float(version.tags.get(f"{HEARTBEAT}{number}", "0"))) < lease_s:
            return None
    with suppress(MlflowException):  # another may have been quicker: what counts is who is written down
        store.client.log_model_params(model_id, {f"{CLAIM}{number + 1}": f"{holder}@{time.time():.0f}"})
    now, last, _ = _last(store, model_id)
    return Claim(version, now) if (now, last) == (number + 1, holder) else None


def begin(store: Store, taken: Claim, agent: str) -> None:
    _tag(store, taken.version, {STATUS: "running", AGENT: agent})
    beat(store, taken)


def beat(store: Store, taken: Claim) -> None:
    """Show that the holder lives. A store that does not answer just now must not end a measurement."""
    with suppress(MlflowException):
        _tag(store, taken.version, {f"{HEARTBEAT}{taken.number}": f"{time.time():.0f}"})


def is_held(store: Store, taken: Claim) -> bool:
    """Whether nobody took the claim over meanwhile."""
    return _last(store, logged_model_of(taken.version))[0] == taken.number


def finish(store: Store, taken: Claim, state: str, tags: Mapping[str, str]) -> None:
    """First the request goes, unless it was changed meanwhile: with it gone, nobody takes a finished claim for one to
    renew. A holder whose claim was taken over leaves the request to the other."""
    version = taken.version
    if is_held(store, taken):
        now = store.client.get_model_version(version.name, version.version).tags
        if now.get(REQUEST) == version.tags.get(REQUEST) and REQUEST in now:
            store.client.delete_model_version_tag(version.name, version.version, REQUEST)
        _tag(store, version, {STATUS: state, **tags})
    _tag(store, version, {f"{STATE}{taken.number}": state})


def left_behind(store: Store, workloads: Sequence[str], holder: str) -> list[Claim]:
    """Claims of the holder whose request is gone and whose end was never written, because it was killed between."""
    found = []
    for version in _versions(store, workloads):
        if version.tags.get(STATUS) == "running" and REQUEST not in version.tags:
            number, last, _ = _last(store, logged_model_of(version))
            if last == holder and f"{STATE}{number}" not in version.tags:
                found.append(Claim(version, number))
    return found


def result_of(store: Store, taken: Claim, workload: str) -> str | None:
    """The short id of a result that was attached for the claim, by a holder that was killed before it said so."""
    query = all_of(tagged(RUN_TAG, taken.name), FINISHED)
    runs = store.client.search_runs([store.experiment(workload)], query)
    ids = [run.data.tags["anelab.input_key"][:SHORT] for run in runs]
    return next((short for short in ids if f"{RESULT_TAG}{short}" in taken.version.tags), None)


def _tag(store: Store, version: Version, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        store.client.set_model_version_tag(version.name, version.version, key, value)


def _last(store: Store, model_id: str) -> tuple[int, str, float]:
    """Number, holder and time of the last claim; 0 if there was none."""
    params: Mapping[str, str] = store.client.get_logged_model(model_id).params
    claims = {int(key.removeprefix(CLAIM)): value for key, value in params.items() if key.startswith(CLAIM)}
    if not claims:
        return 0, "", 0.0
    number = max(claims)
    holder, _, at = claims[number].rpartition("@")
    return number, holder, float(at)
