"""28 x 28 grey images to ten digits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.arrays import load_array
from anelab.learning.base import SPLITS, Batch, DataCard, GoldenCase, Graph, Split, Tensor, Trial, shuffled_batches
from anelab.learning.classifier import Classifier
from anelab.learning.idx import read_idx, write_idx
from anelab.learning.splits import stratified_split
from anelab.sequences.streams import read_bytes
from anelab.workloads.mnist.config import Config

if TYPE_CHECKING:
    from torch import nn

GREY = "grey, 0 black to 1 white"
PARTS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


class Mnist(Classifier[Config]):
    name = "mnist"
    classes = tuple("0123456789")
    preprocessing = "mnist/1"

    def simulate(self, config: Config, out: Path) -> None:
        """scikit-learn's 1,797 digits of 8 x 8, enlarged: not MNIST, and the data card says so."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        tripled = np.kron(digits.images * (255 / 16), np.ones((3, 3)))
        images = np.pad(tripled.round().astype(np.uint8), ((0, 0), (2, 2), (2, 2)))
        rows = np.arange(len(images))
        parts = stratified_split(digits.target, rows, config.split, config.seed)
        for prefix, chosen in (("t10k", parts["test"]), ("train", np.setdiff1d(rows, parts["test"]))):
            write_idx(out / f"{prefix}-images-idx3-ubyte.gz", images[chosen])
            write_idx(out / f"{prefix}-labels-idx1-ubyte.gz", digits.target[chosen].astype(np.uint8))

    def prepare(self, config: Config, files: Sequence[Path], out: Path) -> DataCard:
        """The files' own test set; validation rows are taken from the training files."""
        paths = {part: _find(files, part) for part in PARTS}
        data = {part: read_idx(path, read_bytes(path), 3 if "images" in part else 1) for part, path in paths.items()}
        for prefix in ("train", "t10k"):
            _check(data[f"{prefix}-images"], data[f"{prefix}-labels"], prefix)
        labels, share = data["train-labels"], config.split.model_copy(update={"test": 0.0})
        parts = stratified_split(labels, np.arange(labels.size), share, config.seed)
        classes = {}
        for name in SPLITS:
            prefix, rows = ("t10k", slice(None)) if name == "test" else ("train", parts[name])
            image, label = data[f"{prefix}-images"][rows], data[f"{prefix}-labels"][rows]
            np.save(out / f"{name}.image.npy", image[:, None])
            np.save(out / f"{name}.label.npy", label)
            classes[name] = {str(digit): int((label == digit).sum()) for digit in range(10)}
        origin = "scikit-learn's digits, 8 x 8 enlarged to 28 x 28: NOT MNIST" if config.data.simulated else "IDX files"
        rows_of = {name: sum(counts.values()) for name, counts in classes.items()}
        return DataCard(origin, rows_of, classes, warnings=[origin] if config.data.simulated else [])

    def load(self, config: Config, prepared: Path, split: str) -> Split:
        image = load_array(prepared / f"{split}.image.npy", (None, 1, 28, 28))
        label = load_array(prepared / f"{split}.label.npy", (None,))
        inputs = {"model": {"input": image.astype(np.float32) / 255}, "raw": {"input": image}}
        return Split(inputs, {"label": label.astype(np.int64)}, np.arange(len(label)))

    def suggest(self, trial: Trial, config: Config) -> dict[str, Any]:
        return {
            "training.learning_rate": trial.suggest_float("training.learning_rate", 3e-4, 3e-2, log=True),
            "model.dropout": trial.suggest_float("model.dropout", 0.0, 0.4),
        }

    def build(self, config: Config, prepared: Path) -> "nn.Module":
        from anelab.workloads.mnist.model import ARCHITECTURES

        return ARCHITECTURES[config.model.architecture](config.model.dropout)

    def batches(self, config: Config, train: Split, epoch: int, rank: int = 0) -> Iterator[Batch]:
        """Images normalised and, to train on more than was drawn, moved by up to `shift_pixels`."""
        import torch

        from anelab.workloads.mnist.model import normalised

        reach, rng = config.model.shift_pixels, np.random.default_rng([config.seed, epoch, rank, 1])
        image = normalised(torch.from_numpy(train.inputs["model"]["input"]), reach)
        label = torch.from_numpy(train.targets["label"])
        for rows in shuffled_batches(config, len(train), epoch, rank):
            top, left = rng.integers(0, 2 * reach + 1, 2)
            index = torch.from_numpy(rows)
            yield {"input": image[index, :, top : top + 28, left : left + 28], "label": label[index]}

    def describe(self, config: Config) -> dict[str, str]:
        return {"label": "digit", "output": "probability of each digit"}

    def graphs(self, config: Config) -> tuple[Graph, ...]:
        output = (Tensor("output", "float32", ("n", 10), None, "probability of 0 to 9", "probability"),)
        shape = ("n", 1, 28, 28)
        return (
            Graph("model", (Tensor("input", "float32", shape, (0.0, 1 / 255), GREY, bounds=(0.0, 1.0)),), output),
            Graph("raw", (Tensor("input", "uint8", shape),), output, formats=frozenset({"onnx"})),
        )

    def deployed(self, module: "nn.Module", graph: Graph, half: bool = False) -> "nn.Module":
        from anelab.workloads.mnist.model import probabilities

        return probabilities(module, of_bytes=graph.name == "raw")

    def golden(self, config: Config) -> Sequence[GoldenCase]:
        ramp = (np.arange(784) % 256).astype(np.uint8).reshape(1, 1, 28, 28)
        inputs: dict[str, dict[str, Any]] = {"raw": {"input": ramp}, "model": {"input": ramp.astype(np.float32) / 255}}
        return [GoldenCase({"pixels": "byte i of 784, row by row, is i modulo 256"}, inputs)]


def _find(files: Sequence[Path], part: str) -> Path:
    """The one file whose name begins with, say, train-images."""
    found = [path for path in files if path.name.startswith(part)]
    if len(found) != 1:
        names = ", ".join(path.name for path in files) or "nothing"
        raise AnelabError(f"mnist.data.source needs one file named {part}*, but it has {len(found)}; it holds {names}")
    return found[0]


def _check(image: np.ndarray[Any, Any], label: np.ndarray[Any, Any], prefix: str) -> None:
    if image.shape[1:] != (28, 28) or len(image) != len(label):
        raise AnelabError(f"{prefix}: images must be 28 x 28, one a label, but got {image.shape} and {label.shape}")
    if label.size and label.max() > 9:
        raise AnelabError(f"{prefix}-labels: labels must be 0 to 9 but got {label.max()}")


WORKLOAD = Mnist()
