"""The classical answer to images in classes: what one matrix product can do."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.learning.arrays import load_array
from anelab.learning.base import Array, Arrays, Rule, Split
from anelab.learning.config import WorkloadConfig


def nearest_mean_rules(config: WorkloadConfig, prepared: Path) -> Mapping[str, Rule]:
    """The class whose mean training image is nearest: as the probabilities of one Gaussian about each mean, whose
    variance is that of all pixels about their class's mean.

    `prepared` must hold train.image.npy, uint8 [n, ...], and train.label.npy, integers [n]; the split's input of the
    graph "model" is called "input" and has the same pixels, divided by 255. Raises AnelabError if they are not there.
    """
    image, label = (_loaded(prepared / f"train.{part}.npy") for part in ("image", "label"))
    image = image.reshape(len(image), -1).astype(np.float32) / 255
    counts = np.bincount(label)
    sums = np.stack([image[label == number].sum(axis=0) for number in range(len(counts))])
    means = sums / np.maximum(counts, 1)[:, None]
    variance = float(np.mean((image - means[label]) ** 2)) or 1.0
    weights = (means.T / variance).astype(np.float32)
    bias = np.where(counts, -0.5 * (means**2).sum(axis=1) / variance, -np.inf).astype(np.float32)

    def nearest_mean(split: Split) -> Arrays:
        score = split.inputs["model"]["input"].reshape(len(split), -1) @ weights + bias
        likely = np.exp(score - score.max(axis=1, keepdims=True))
        return {"probability": likely / likely.sum(axis=1, keepdims=True), "decision": score.argmax(axis=1)}

    return {"nearest_mean": nearest_mean}


def _loaded(path: Path) -> Array:
    try:
        return load_array(path)
    except FileNotFoundError:
        raise AnelabError(
            f"{path}: is not there. nearest_mean_rules needs train.image.npy (uint8 [n, ...]) and train.label.npy "
            "(integers [n]), which `prepare` must write; for other data write rules of your own, or delete rules.py"
        ) from None
