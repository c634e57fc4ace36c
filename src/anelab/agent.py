"""The bench agent: measures registered versions that ask for a host like this one, and says so in the registry."""

import fcntl
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anelab.bench.results.bundle import opened_bundle, write_bundle
from anelab.config import Params
from anelab.errors import AnelabError
from anelab.files import write_text
from anelab.host import host_facts, host_fingerprint
from anelab.tracking import claims
from anelab.tracking.benchmarks import SHORT, attach_result
from anelab.tracking.claims import Claim
from anelab.tracking.commands import workload_of
from anelab.tracking.store import Store, StoreFailedError, open_store
from anelab.workspace import Workspace

BEATS_A_LEASE = 10


@dataclass(frozen=True)
class Agent:
    """`name` tells agents of a workspace apart; one of a name runs at a time."""

    workspace: Workspace
    params: Params
    thorough: bool
    name: str
    on_progress: Callable[[str], None]
    lease_s: float = claims.LEASE_SECONDS

    @property
    def folder(self) -> Path:
        return self.workspace.state / "agents" / self.name

    @cached_property
    def id(self) -> str:
        """Drawn once for a name in a workspace: machines may be alike, and so may their names."""
        path = self.folder / "id"
        if not path.is_file():
            write_text(path, f"{self.name}:{uuid.uuid4()}")
        return path.read_text()

    @cached_property
    def facts(self) -> dict[str, str]:
        """What selectors are matched with."""
        known = {key: str(value) for key, value in host_facts().items() if key in claims.SELECTORS}
        return {**known, "host": host_fingerprint(), "name": self.name}

    def work(self, once: bool, interval_s: float) -> int:
        """Do what is asked until nothing is left, or for ever. How many versions were measured, or failed."""
        done = 0
        with self._alone():
            while True:
                try:
                    done += self._round()
                except AnelabError as error:
                    if once:
                        raise
                    self.on_progress(f"{error}; trying again in {interval_s:g} s")
                if once:
                    return done
                time.sleep(interval_s)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AnelabError(f"an agent named {self.name} runs already; give this one another --name") from None
            yield

    def _round(self) -> int:
        store, done = open_store(self.workspace), 0
        with store.writing():
            for left in claims.left_behind(store, self.params.workloads, self.id):
                result = claims.result_of(store, left, workload_of(left.version.name))
                claims.finish(store, left, "done" if result else "failed", {claims.RESULT: result} if result else {})
        while (taken := self._next(store)) is not None:
            self._perform(store, taken)
            done += 1
        return done

    def _next(self, store: Store) -> Claim | None:
        with store.writing():
            for version in claims.requested(store, self.params.workloads):
                if claims.matches(version.tags[claims.REQUEST], self.facts) and self._is_able(version.name):
                    taken = claims.claim(store, version, self.id, self.lease_s)
                    if taken is not None:
                        return taken
        return None

    def _is_able(self, model: str) -> bool:
        """A Core ML model is left to a Mac, whoever the selector means."""
        return sys.platform == "darwin" or not model.endswith("-coreml")

    def _perform(self, store: Store, taken: Claim) -> None:
        """A version that cannot be measured is marked failed, with the reason, and the next one is taken."""
        self.on_progress(f"{taken.label}: measuring")
        with store.writing():
            claims.begin(store, taken, self.name)
        try:
            with self._beating(store, taken):
                result = self._result(store, taken)
        except StoreFailedError:
            raise  # nothing is wrong with the version: it is tried again when the store answers
        except Exception as error:  # whatever is wrong with this version must not keep the next from being measured
            text = str(error) if isinstance(error, AnelabError) else f"{type(error).__name__}: {error}"
            with store.writing():
                claims.finish(store, taken, "failed", {claims.ERROR: text[: claims.ERROR_LENGTH]})
            self.on_progress(f"{taken.label}: failed: {text}")
            return
        with store.writing():
            claims.finish(store, taken, "done", {claims.RESULT: result})
        self.on_progress(f"{taken.label}: done, result {result}")

    @contextmanager
    def _beating(self, store: Store, taken: Claim) -> Iterator[None]:
        """A thread that says that we live, for as long as the block lasts, however long a block of a benchmark is."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(max(1.0, self.lease_s / BEATS_A_LEASE)):
                claims.beat(store, taken)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _result(self, store: Store, taken: Claim) -> str:
        """The short id of the claim's result, measured now or before we were interrupted."""
        workload = workload_of(taken.version.name)
        kept = self.folder / f"{taken.name.replace('/', '_')}.bench.zip"
        with store.writing():
            found = claims.result_of(store, taken, workload)
        if found is not None:
            return found
        if not kept.is_file():
            self._measure(store, taken, workload, kept)
        result = self._attach(store, taken, kept)
        kept.unlink()
        return result

    def _measure(self, store: Store, taken: Claim, workload: str, kept: Path) -> None:
        """Into a bundle of our own, so that a store that fails just then costs no measurement."""
        from anelab.stages.version import measured_version

        config = self.params.section(workload).bench.model_copy(update={"thorough": self.thorough})
        with measured_version(store, self.params, taken.version, config, self.on_progress) as found:
            write_bundle(found.report, found.samples, kept)

    def _attach(self, store: Store, taken: Claim, kept: Path) -> str:
        with opened_bundle(kept) as bundle, store.writing():
            if not claims.is_held(store, taken):
                raise AnelabError(
                    "another agent took this request over, because this agent did not renew its claim in time"
                )
            tags = {claims.RUN_TAG: taken.name, "anelab.agent": self.name}
            attach_result(store, self.workspace, bundle.report, bundle.samples, tags)
            return bundle.report.id[:SHORT]
