"""Checkpoints that load with `weights_only=True`: tensors and plain values, nothing to unpickle."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from anelab.errors import AnelabError
from anelab.files import replacing


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Written whole or not at all; equal states give equal bytes whatever the path."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with replacing(path) as draft:
        draft.write_bytes(buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Raises AnelabError if the file is damaged or holds anything but weights and plain values."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise AnelabError(f"{path} does not exist; train first") from None
    except pickle.UnpicklingError:  # torch's own message says how to load it all the same
        raise AnelabError(
            f"{path}: is damaged, or holds more than weights and plain values; it is not loaded"
        ) from None
    except Exception as error:  # torch raises half a dozen kinds for a damaged archive
        summary = str(error).partition("\n")[0]
        raise AnelabError(f"{path}: is not a checkpoint that can be loaded safely: {summary}") from None
    return state
