"""A program of torch.export, from its file, by torch."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from anelab.bench.arms.contract import Arm, Call, Opened, Subject
from anelab.learning.base import Arrays, Split


@dataclass(frozen=True)
class TorchExport(Arm):
    kind: ClassVar[str] = "torch-export"
    options: ClassVar[tuple[str, ...]] = ("threads",)

    @classmethod
    def variants(cls, subject: Subject) -> list[str]:
        return subject.variants("pt2")

    def files(self, subject: Subject) -> list[str]:
        return [subject.file("pt2", self.variant)]

    def load_libraries(self, subject: Subject) -> None:
        import anelab.export.exported_program  # noqa: F401

    def open(self, subject: Subject, observe: bool = False) -> Opened:
        import torch

        from anelab.export.exported_program import open_program

        torch.set_num_threads(self.threads or 1)
        torch.set_grad_enabled(False)
        (file,) = self.files(subject)
        started = time.perf_counter_ns()
        program = open_program(subject.folder / file)
        load_ns = time.perf_counter_ns() - started

        def prepare(rows: Split) -> Call:
            return partial(program.run, program.tensors(subject.feed(rows, self.graph)))

        def read(found: Any) -> Arrays:
            return program.named(found)

        return Opened(prepare, read, load_ns)


ARMS = (TorchExport,)
