"""What every arm, a way to run a model, must offer. The parent process makes an arm and asks whether it is available;
a worker process opens it."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from anelab.bench.arms.placement import UNAVAILABLE, Placement
from anelab.errors import AnelabError
from anelab.export.manifest_file import read_manifest
from anelab.learning.base import Arrays, Split

if TYPE_CHECKING:
    from anelab.learning.config import WorkloadConfig

Call = Callable[[], Any]
"""One prepared prediction; what it returns is for `Opened.read`."""


class UnavailableError(AnelabError):
    """An arm cannot run here; the message says why."""


@dataclass(frozen=True)
class Subject:
    """What is measured: a folder with manifest.json, as exported or as registered. Only the project has the trained
    module (`checkpoint`) and the data (`prepared`). `cache` is where arms keep what they compile."""

    workload: str
    packed: bytes = field(repr=False)
    """The configuration, pickled: workers of most arms never unpack it, and so start sooner."""
    folder: Path
    cache: Path = Path()
    checkpoint: Path | None = None
    prepared: Path | None = None
    url: str | None = None
    apple: str = "anelab.export.apple:native"
    """module:function that makes the Core ML adapter."""
    whole_calls: bool = False
    """Whether each row is a whole call, whatever the first axes of the inputs mean: of a file that nobody described."""

    @classmethod
    def of(cls, workload: str, config: "WorkloadConfig", folder: Path, **more: Any) -> "Subject":
        return cls(workload, pickle.dumps(config), folder, **more)

    @property
    def config(self) -> "WorkloadConfig":
        found: WorkloadConfig = pickle.loads(self.packed)
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = read_manifest(self.folder)
        return content

    def feed(self, rows: Split, graph: str) -> Arrays:
        """The arrays of one call of these rows. Raises UnavailableError if they are several whole calls."""
        arrays = rows.inputs[graph]
        if not self.whole_calls:
            return arrays
        if len(rows) != 1:
            raise UnavailableError("a file is timed in calls of the shape that --shape says, not in batches of them")
        return {name: array[0, ...] for name, array in arrays.items()}

    def variants(self, format: str) -> list[str]:
        """The variants of the model itself in that format."""
        entries = self.manifest["files"].values()
        return sorted({entry["variant"] for entry in entries if entry["format"] == format and entry["primary"]})

    def file(self, format: str, variant: str) -> str:
        """The file of that format and variant. Raises UnavailableError if there is none."""
        files = self.manifest["files"]
        for name, entry in files.items():
            is_it = entry["graph"] == "raw" if variant == "raw" else entry["variant"] == variant and entry["primary"]
            if entry["format"] == format and is_it:
                return str(name)
        there = ", ".join(self.variants(format)) or "none"
        raise UnavailableError(f"there is no {format} file in {variant}; there is {there}")


@dataclass(frozen=True)
class Opened:
    """A loaded model in a worker process. `prepare` takes the rows of one call, which live as long as the call it
    returns; it raises UnavailableError if the arm cannot take so many rows at once. `read` names a call's outputs.

    `compile_ns` is None where nothing was compiled apart from loading. `placement` is of calls of so many rows, of
    which some were prepared."""

    prepare: Callable[[Split], Call]
    read: Callable[[Any], Arrays]
    load_ns: int
    compile_ns: int | None = None
    placement: Callable[[int], Placement] = field(default=lambda rows: UNAVAILABLE)


@dataclass(frozen=True)
class Arm(ABC):
    """One way to run a model. Subclasses are frozen and can be pickled, for they travel to workers."""

    option: str
    variant: str

    kind: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    """Allowed options, the default first; () for none, and ("threads",) for a number of threads, 1 by default."""
    variant_default: ClassVar[str] = "fp32"
    asks_for: ClassVar[str] = "CPU"

    @property
    def name(self) -> str:
        named = self.option and (self.options != ("threads",) or self.option != "1")
        return f"{self.kind}{f'/{self.option}' if named else ''}:{self.variant}"

    @property
    def device(self) -> str:
        """The device that is asked for. What was used is the placement's business."""
        return "CPU" if self.option.startswith("cpu_only") else self.asks_for

    @property
    def threads(self) -> int | None:
        """Threads it computes with, or None if its runtime decides. One with a single thread is kept to one core,
        the same for all of them, for cores are not equally fast."""
        if self.options == ("threads",):
            return int(self.option)
        return 1 if self.asks_for == "CPU" else None

    @property
    def wants_ne(self) -> bool:
        """Whether the Neural Engine is what it is about."""
        return self.option.startswith("cpu_and_ne")

    @property
    def timeable(self) -> bool:
        """Whether it is a runtime at all, or only shows that a file is right."""
        return True

    @property
    def graph(self) -> str:
        """The workload's graph that it computes."""
        return "raw" if self.variant == "raw" else "model"

    @property
    def tolerance_of(self) -> tuple[str, str] | None:
        """Format and executor whose tolerance its outputs must keep. None if they are no outputs of the module at
        all, but rows of another answer to the same question."""
        return "onnx", "onnxruntime_cpu"

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        """Those that it could run of the subject."""
        return [cls.variant_default]

    def files(self, subject: Subject) -> list[str]:
        """The subject's files that the arm runs; empty if it runs none."""
        return []

    def unavailable(self, subject: Subject) -> str | None:
        """Why it cannot run here, or None. What only a worker can find out, `open` raises."""
        try:
            self.files(subject)
        except UnavailableError as error:
            return str(error)
        return None

    def resolved(self, subject: Subject) -> "Arm":
        """The arm under its full name, where the subject decides it."""
        return self

    def load_libraries(self, subject: Subject) -> None:  # noqa: B027  # most need none
        """Import what `open` needs, so that importing does not count as loading."""

    @abstractmethod
    def open(self, subject: Subject, observe: bool = False) -> Opened:
        """Load the model. `observe`: also gather what `placement` needs, which may cost time when running.

        Raises UnavailableError if it cannot run here, AnelabError if loading fails."""
