"""The models that are served, by name and version. What changes where they come from is loaded beside what is served,
and takes its place when it has answered once; what cannot be loaded leaves the old one in service."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError, UsageError
from anelab.inference.model import Model, Plan, open_model
from anelab.inference.quantities import input_bounds, output_quantities
from anelab.learning.base import Arrays
from anelab.serving.batching import Batcher, Done, Limits, Speed, Waiting, measure_speed
from anelab.serving.drift import Monitor
from anelab.serving.errors import NOT_FOUND, RequestError
from anelab.serving.protocol import Codec
from anelab.serving.simple import NAME as NAME_OF_SIMPLE
from anelab.serving.simple import simple_model
from anelab.tracking.lookup import current_version
from anelab.tracking.reference import parse_reference
from anelab.workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
FIRST = "1"
"""The version of what has none: a file."""
log = logging.getLogger("anelab.serving")


@dataclass(frozen=True)
class Source:
    """Where a model comes from, and the name it is served by."""

    name: str
    reference: str

    def state(self, workspace: Callable[[], Workspace]) -> tuple[object, ...]:
        """What is another if the model is: the number of the version, or name, time and size of the file. Raises
        AnelabError if there is none."""
        found = parse_reference(self.reference)
        if not isinstance(found, Path):
            return (current_version(workspace(), found),)
        files = [found] if found.is_file() else sorted(path for path in found.rglob("*") if path.is_file())
        if not files:
            raise AnelabError(f"{found}: is not there")
        return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)

    def version(self, state: tuple[object, ...]) -> str:
        return FIRST if isinstance(parse_reference(self.reference), Path) else str(state[0])


def parse_source(text: str) -> Source:
    """`NAME=REFERENCE`, or a reference alone, whose own name it is then served by. Raises UsageError."""
    name, separator, reference = text.partition("=")
    if not separator or (not NAME.fullmatch(name) and ("/" in name or Path(text).exists())):
        found = parse_reference(text)
        stem = found.parent.name if isinstance(found, Path) and found.stem == "model" else ""
        name, reference = (stem or found.stem) if isinstance(found, Path) else found.model, text
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--model {text}: is served as {name!r}, which is no name; write NAME=REFERENCE, with up to 100 letters, "
            "digits, '.', '_' and '-' as NAME"
        )
    return Source(name, reference)


def parse_index(text: str) -> tuple[str, Path]:
    """`NAME=FOLDER`, or a folder alone, whose own name it is then served by. Raises UsageError."""
    name, separator, folder = text.partition("=")
    path = Path(folder if separator else text).expanduser()
    name = name if separator else path.name
    if not NAME.fullmatch(name):
        raise UsageError(f"--index {text}: is served as {name!r}, which is no name; write NAME=FOLDER")
    return name, path


SIMPLE = Source(NAME_OF_SIMPLE, "")


@dataclass
class Version:
    """A model that is loaded and has answered once. Of its first input and output: `bounds`, outside of which no value
    makes sense, and `quantity`, what the numbers are: "probability", "logit" or "", which is not known."""

    name: str
    number: str
    model: Model
    batcher: Batcher
    codec: Codec
    state: tuple[object, ...]
    files: ExitStack
    bounds: tuple[float, float]
    quantity: str
    monitor: Monitor

    def submit(self, arrays: Arrays, rows: int, done: Done) -> Waiting:
        """As `Batcher.submit`, of rows that a client sent."""
        self.monitor.sampler.offer(arrays, rows)
        return self.batcher.submit(arrays, rows, done)

    async def predict(self, arrays: Arrays, rows: int) -> Arrays:
        """As `Batcher.predict`, of rows that a client sent."""
        self.monitor.sampler.offer(arrays, rows)
        return await self.batcher.predict(arrays, rows)

    def close(self) -> None:
        self.batcher.close()
        self.files.close()


@dataclass
class Repository:
    """Loads what `sources` name. A name of several sources has several versions; without a number the first is meant.
    `simple`: also the protocol's example. `drift_folder`: of tables of drift. `on_batch` gets name, version and rows of
    each batch. `indexes`: by name, folders that tasks search; `kept` has what must stay open until the end."""

    workspace: Callable[[], Workspace]
    sources: Sequence[Source]
    plan: Plan = field(default_factory=lambda: Plan(keeps_process=True))
    limits: Limits = field(default_factory=Limits)
    simple: bool = False
    drift_folder: Path | None = None
    indexes: Mapping[str, Path] = field(default_factory=dict)
    on_batch: Callable[[str, str, int], None] = lambda name, number, rows: None
    problems: dict[Source, str] = field(default_factory=dict)
    kept: ExitStack = field(default_factory=ExitStack)
    _loaded: dict[Source, Version] = field(default_factory=dict)
    _served: dict[tuple[str, str | None], Version] = field(default_factory=dict)

    def load(self) -> None:
        """All of them. Raises AnelabError for the first that cannot be loaded, or if two are the same version."""
        for source in self.sources:
            version = self._open(source, source.state(self.workspace))
            if any((one.name, one.number) == (version.name, version.number) for one in self._loaded.values()):
                version.close()
                raise UsageError(f"{source.name} version {version.number} is given twice; give it another name")
            self._put(source, version)
        if self.simple:
            self._put(SIMPLE, self._made(SIMPLE.name, FIRST, simple_model(), (), ExitStack()))

    def _put(self, source: Source, version: Version) -> None:
        self._loaded[source] = version
        self._served = {(one.name, one.number): one for one in self._loaded.values()}
        self._served |= {(one.name, None): one for one in reversed(self._loaded.values())}

    def _open(self, source: Source, state: tuple[object, ...]) -> Version:
        with ExitStack() as files:
            model = files.enter_context(open_model(self.workspace, source.reference, self.plan))
            model.check_outputs()
            model = replace(model, name=source.name)  # where its files are is no client's business
            return self._made(source.name, source.version(state), model, state, files.pop_all())

    def _made(self, name: str, number: str, model: Model, state: tuple[object, ...], files: ExitStack) -> Version:
        def on_batch(rows: int) -> None:
            self.on_batch(name, number, rows)

        batcher = Batcher(name, model.predict, self.limits, _measured(model), on_batch)
        return Version(
            name,
            number,
            model,
            batcher,
            Codec(name, number, model),
            state,
            files,
            input_bounds(model).get(model.inputs[0].name) or _range(model.inputs[0].dtype),
            output_quantities(model).get(model.outputs[0].name, ""),
            Monitor(model, number, self.drift_folder),
        )

    def version(self, name: str, number: str | None = None) -> Version:
        """Raises RequestError if no such model is served."""
        found = self._served.get((name, number))
        if found is not None:
            return found
        known = [one.number for one in self._loaded.values() if one.name == name]
        if known:
            raise RequestError(NOT_FOUND, f"{name} is served in version {', '.join(known)}, not in {number!r:.40}")
        raise RequestError(
            NOT_FOUND, f"Request for unknown model: {name!r:.80} is not served; served are {', '.join(self.names())}"
        )

    def problem(self, version: Version) -> str:
        """Why what the version comes from now is not served; empty if it is."""
        return next((text for source, text in self.problems.items() if self._loaded.get(source) is version), "")

    def names(self) -> list[str]:
        return list(dict.fromkeys(one.name for one in self._loaded.values()))

    def versions(self, name: str) -> list[Version]:
        return [one for one in self._loaded.values() if one.name == name]

    def __iter__(self) -> Iterator[Version]:
        return iter(list(self._loaded.values()))

    async def refresh(self) -> None:
        """Look for what changed, and serve it."""
        for source in self.sources:
            await self._refresh(source)

    async def _refresh(self, source: Source) -> None:
        old = self._loaded[source]
        try:
            state = await asyncio.to_thread(source.state, self.workspace)
            if state == old.state:
                self.problems.pop(source, None)
                return
            new = await asyncio.to_thread(self._open, source, state)
        except (AnelabError, OSError) as error:
            if self.problems.get(source) != str(error):
                log.warning("%s: version %s stays in service: %s", source.name, old.number, error)
            self.problems[source] = str(error)
            return
        self._put(source, new)
        self.problems.pop(source, None)
        log.info("%s: version %s is served in place of %s", source.name, new.number, old.number)
        while old.batcher.is_busy:  # it finishes what it accepted
            await asyncio.sleep(0.05)
        await asyncio.to_thread(old.close)

    def close(self) -> None:
        for one in self._loaded.values():
            one.close()
        self._loaded.clear()
        self._served.clear()
        self.kept.close()


def _range(dtype: str) -> tuple[float, float]:
    """Lowest and highest value of a dtype."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return 0.0, 1.0
    facts = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
    return float(facts.min), float(facts.max)


def _measured(model: Model) -> Speed | None:
    """On rows of zeros, which also is the first call, with all that a runtime does then. None where a shape is open,
    and of Core ML, which must not hold up the event loop."""
    shapes = {port.name: port.shape[1:] for port in model.inputs}
    if any(size is None for shape in shapes.values() for size in shape):
        return None
    speed = measure_speed(
        model.predict,
        {port.name: np.zeros((1, *port.shape[1:]), port.dtype) for port in model.inputs},
    )
    return speed if model.format == "onnx" else None
