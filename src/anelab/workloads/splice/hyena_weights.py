"""Published checkpoints of HyenaDNA, from a local file. Their shapes are read from the file itself."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from anelab.errors import AnelabError
from anelab.workloads.splice.hyena import HyenaBackbone, HyenaShape

LAYER = "layers."


def read_weights(path: Path) -> dict[str, Tensor]:
    """Of a published checkpoint (safetensors, or a state dict that PyTorch saved), by this backbone's own names.
    Nothing is unpickled but tensors. Raises AnelabError for a file that holds none."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found = load_file(path)
        else:
            import torch

            found = torch.load(path, map_location="cpu", weights_only=True)
            found = found.get("state_dict", found)
        weights = {_own_name(name): values for name, values in found.items() if "layers." in name or "backbone" in name}
    except FileNotFoundError:
        raise AnelabError(f"{path}: is not there; splice.model.encoder.pretrained names a local file") from None
    except Exception as error:  # each library has its own
        raise AnelabError(f"{path}: is no checkpoint that can be read ({str(error)[:200]})") from None
    if "embeddings.word_embeddings.weight" not in weights:
        raise AnelabError(f"{path}: is no checkpoint of HyenaDNA: it has no word embeddings of a backbone")
    return weights


def _own_name(name: str) -> str:
    """Without what wraps the backbone, and what gradient checkpointing puts between."""
    return name.rpartition("backbone.")[2].replace(".layer.", ".") if "backbone." in name else name


def shape_of(weights: Mapping[str, Tensor], path: Path) -> HyenaShape:
    """Raises AnelabError if weights are missing from which a shape is read."""
    try:
        words = weights["embeddings.word_embeddings.weight"]
        first = "layers.0.mixer.filter_fn."
        order, features = weights[first + "implicit_filter.0.weight"].shape
        return HyenaShape(
            width=words.shape[1],
            layers=1 + max(int(name.split(".")[1]) for name in weights if name.startswith(LAYER)),
            inner=weights["layers.0.mlp.fc1.weight"].shape[0],
            longest=weights[first + "pos_emb.z"].shape[1],
            vocabulary=words.shape[0],
            filter_order=order,
            place_features=features,
        )
    except (KeyError, ValueError) as error:
        raise AnelabError(f"{path}: is no checkpoint of HyenaDNA: {error} is missing") from None


def load_backbone(path: Path) -> HyenaBackbone:
    """With all weights of the file. Raises AnelabError if some are missing, too many, or of other shapes."""
    weights = read_weights(path)
    backbone = HyenaBackbone(shape_of(weights, path))
    own = backbone.state_dict()
    wrong = sorted(
        {*own} ^ {*weights} | {name for name in {*own} & {*weights} if own[name].shape != weights[name].shape}
    )
    if wrong:
        raise AnelabError(f"{path}: does not fit HyenaDNA's backbone: {', '.join(wrong[:5])}")
    backbone.load_state_dict(weights)
    return backbone
