"""The bench agent: measures registered versions that ask for a host like this one, and says so in the registry."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from anelab.config import Params
from anelab.errors import AnelabError
from anelab.host import host_facts, host_fingerprint
from anelab.tracking import claims
from anelab.tracking.claims import Claim
from anelab.tracking.commands import workload_of
from anelab.tracking.store import Store, StoreFailedError, open_store
from anelab.workspace import Workspace


@dataclass(frozen=True)
class Agent:
    """`name` tells agents apart; one of a name runs at a time in a workspace."""

    workspace: Workspace
    params: Params
    thorough: bool
    name: str
    tell: Callable[[str], None]
    lease_s: float = claims.LEASE_SECONDS

    @cached_property
    def facts(self) -> dict[str, str]:
        """What selectors are matched with."""
        known = {key: str(value) for key, value in host_facts().items() if key in claims.SELECTORS}
        return {**known, "host": host_fingerprint(), "name": self.name}

    @property
    def id(self) -> str:
        return f"{self.facts['host']}:{self.name}"

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
                    self.tell(f"{error}; trying again in {interval_s:g} s")
                if once:
                    return done
                time.sleep(interval_s)

    def _round(self) -> int:
        store, done = open_store(self.workspace), 0
        while (taken := self._next(store)) is not None:
            self._perform(store, taken)
            done += 1
        return done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self.workspace.state / "locks" / f"agent-{self.name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AnelabError(f"an agent named {self.name} runs already; give this one another --name") from None
            yield

    def _next(self, store: Store) -> Claim | None:
        for version in claims.requested(store, self.params.workloads):
            if claims.matches(version.tags[claims.REQUEST], self.facts):
                with store.writing():
                    taken = claims.claim(store, version, self.id, self.lease_s)
                if taken is not None:
                    return taken
        return None

    def _perform(self, store: Store, taken: Claim) -> None:
        """A version that cannot be measured is marked failed, with the reason, and the next one is taken."""
        self.tell(f"{taken.label}: measuring")
        with store.writing():
            claims.begin(store, taken, self.name)
        workload = workload_of(taken.version.name)
        try:
            result = claims.result_of(store, taken, workload) or self._measure(store, taken, workload)
        except StoreFailedError:
            raise  # nothing is wrong with the version: it is tried again when the store answers
        except AnelabError as error:
            with store.writing():
                claims.finish(store, taken, "failed", {claims.ERROR: str(error)[: claims.ERROR_LENGTH]})
            self.tell(f"{taken.label}: failed: {error}")
            return
        with store.writing():
            claims.finish(store, taken, "done", {claims.RESULT: result})
        self.tell(f"{taken.label}: done, result {result}")

    def _measure(self, store: Store, taken: Claim, workload: str) -> str:
        from anelab.stages.version import measured_version
        from anelab.tracking.benchmarks import SHORT, attach_result

        def after_block(block: int) -> None:
            claims.beat(store, taken)

        config = self.params.section(workload).bench.model_copy(update={"thorough": self.thorough})
        with measured_version(store, self.params, taken.version, config, self.tell, after_block=after_block) as found:
            tags = {claims.RUN_TAG: taken.name, "anelab.agent": self.name}
            with store.writing():
                attach_result(store, self.workspace, found.report, found.samples, tags)
            return found.report.id[:SHORT]
