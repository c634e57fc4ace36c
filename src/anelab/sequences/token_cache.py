"""Encoded sequences on disk, by their content, so that they are made once."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from anelab.files import canonical_json, replacing, sha256_text
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.tokenizer import DNATokenizer, Encoded


def encode_cached(
    tokenizer: DNATokenizer, sequences: SequenceArray, max_length: int | None, folder: Path | None
) -> Encoded:
    """As `tokenizer.encode`. With a `folder`, a file there has the answer for the same tokenizer, sequences and length;
    one that is damaged is made again."""
    if folder is None:
        return tokenizer.encode(sequences, max_length)
    key = sha256_text(canonical_json([asdict(tokenizer), sequences.digest(), max_length]))
    path = folder / f"tokens-{key[:32]}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        if found.dtype == np.int32 and found.ndim == 3 and found.shape[:2] == (3, len(sequences)):
            return Encoded(*found)
    except (OSError, ValueError, EOFError):
        pass
    made = tokenizer.encode(sequences, max_length)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, draft.open("wb") as handle:
        np.save(handle, np.stack(made))
    return made
