"""The networks, what their pixels are centred on, and their form that users run."""

import torch
from torch import nn
from torch.nn.functional import pad

from anelab.learning.affine import ToFloat, fold_into_first

MEAN, STD = 0.1307, 0.3081  # of the pixels of MNIST's training images


def normalised(image: torch.Tensor, border: int) -> torch.Tensor:
    """[n, 1, 28, 28] in [0, 1], with so many black pixels around."""
    return pad((image - MEAN) / STD, [border] * 4, value=-MEAN / STD)


def probabilities(module: nn.Module, of_bytes: bool) -> nn.Sequential:
    """[0, 1] floats or bytes to probabilities, the normalisation folded into the first layer."""
    assert isinstance(module, nn.Sequential)
    cast, pixel = ([ToFloat()], 1 / 255) if of_bytes else ([], 1.0)
    layers = fold_into_first(module, pixel / STD, -MEAN / STD)
    return nn.Sequential(*cast, *layers, nn.Softmax(dim=1)).eval()


def mlp(dropout: float) -> nn.Sequential:
    """784-128-64-10, 109,386 parameters."""
    wide = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*wide, nn.Linear(128, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10))


def cnn(dropout: float) -> nn.Sequential:
    """Three 3 x 3 convolutions without padding, so that normalisation folds; 9,234 parameters."""
    block1 = [nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)]
    block2 = [nn.Conv2d(12, 20, 3), nn.BatchNorm2d(20), nn.ReLU()]
    block3 = [nn.Conv2d(20, 20, 3), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*block1, *block2, *block3, nn.Flatten(), nn.Dropout(dropout), nn.Linear(320, 10))


ARCHITECTURES = {"mlp": mlp, "cnn": cnn}
