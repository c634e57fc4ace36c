"""What workloads share that choose one of several classes: cross entropy, probabilities, their figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from anelab.learning.base import Array, Arrays, Batch, C, Split, Workload
from anelab.learning.metrics import calibration_table, class_figures, class_replicates, confusion_table

if TYPE_CHECKING:
    import torch
    from torch import nn


class Classifier(Workload[C]):
    """The module gives scores [n, classes] for batch["input"], the deployed one probabilities named
    "output"; batch["label"] and the target "label" are integers [n]."""

    classes: ClassVar[tuple[str, ...]]

    def step(
        self, module: "nn.Module", batch: Batch, backward: "Callable[[torch.Tensor], None]"
    ) -> "Mapping[str, torch.Tensor]":
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(module(batch["input"]), batch["label"])
        backward(loss)
        return {"loss": loss.detach()}

    def rows(self, outputs: Arrays, split: Split) -> Arrays:
        return {"probability": outputs["output"], "decision": outputs["output"].argmax(axis=1)}

    def metrics(self, rows: Arrays, split: Split) -> dict[str, float]:
        return class_figures(rows["probability"], split.targets["label"])

    def replicates(self, rows: Arrays, split: Split, counts: Array) -> Mapping[str, Array]:
        return class_replicates(rows["probability"], split.targets["label"], counts)

    def plots(self, rows: Arrays, split: Split) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        top, hit = rows["probability"].max(axis=1), rows["decision"] == split.targets["label"]
        table = confusion_table(rows["decision"], split.targets["label"], self.classes)
        return {"confusion": table, "calibration": calibration_table(top, hit)}
