"""Both strands, settings that do not fit together, and what is counted as a hit."""

import numpy as np
import pytest
import torch

from anelab.errors import AnelabError
from anelab.sequences.arrays import SequenceArray
from anelab.workloads.edna.config import ModelConfig
from anelab.workloads.edna.encode import encode
from anelab.workloads.edna.model import EdnaNet, EmbeddingForm
from anelab.workloads.edna.retrieval import retrieval_figures, retrieval_rows
from anelab.workloads.edna.splits import KNOWN, REFERENCE
from tests.conftest import tiny

TIED = {
    "canonical k-mers": {"backbone": "kmer", "tokenizer": {"kmer_size": 4}},
    "k-mers": {"backbone": "kmer", "tokenizer": {"kmer_size": 4, "canonical": False}},
    "k-mers by cnn": {"backbone": "cnn", "tokenizer": {"kmer_size": 3, "canonical": False}},
    "letters by transformer": {"backbone": "transformer", "tokenizer": {"encoding": "char"}},
    "letters by its first token": {"backbone": "transformer", "pooling": "cls", "tokenizer": {"encoding": "char"}},
    "letters by autoencoder": {"backbone": "autoencoder", "tokenizer": {"encoding": "char"}},
}


@pytest.mark.parametrize("model", TIED.values(), ids=TIED)
def test_both_strands_have_one_embedding_whatever_the_network(model: dict[str, object]) -> None:
    config = ModelConfig.model_validate({"width": 8, "hidden": [8], "dimension": 6, "layers": 1, "heads": 2, **model})
    torch.manual_seed(1)
    net = EmbeddingForm(EdnaNet(config)).eval()
    rng = np.random.default_rng(1)
    texts = ["".join("ACGT"[code] for code in rng.integers(0, 4, length)) for length in (90, 61, 30)]
    sequences = SequenceArray.of([*texts, "ACGTNNRYACGTTTGACATG"])
    with torch.inference_mode():
        there, back = (
            net(torch.from_numpy(found.ids), torch.from_numpy(found.mask))
            for found in (encode(config, one) for one in (sequences, sequences.reverse_complement()))
        )
    assert torch.equal(there, back)
    assert len({tuple(row) for row in there.tolist()}) == 4


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{tokenizer: {stride: 2}}", "strands: tied needs stride 1"),
        ("{tokenizer: {encoding: both}}", "strands: tied takes the encodings kmer and char"),
        ("{contrastive: {chunk: 8}}", "contrastive.chunk is for cnn and transformer"),
        ("{pooling: cls}", "pooling cls is of the transformer"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(model: str, says: str) -> None:
    with pytest.raises(AnelabError, match=says):
        tiny(f"edna.model={model}").section("edna")


def test_recall_is_of_taxa_that_the_references_have_and_novelty_of_the_others() -> None:
    embedding = np.eye(4, dtype=np.float32)[[0, 1, 0, 1, 2]]
    targets = {
        "kind": np.array([REFERENCE, REFERENCE, KNOWN, KNOWN, KNOWN]),
        "species": np.array([0, 1, 0, 2, 3]),
        "genus": np.array([0, 1, 0, 1, 2]),
        "family": np.array([0, 0, 0, 0, 0]),
    }
    found = retrieval_figures(retrieval_rows(embedding, targets), targets)
    assert (found["recall1_species"], found["recall1_genus"]) == (1.0, 1.0)
    assert found["novelty_auroc"] == 1.0
    nothing = {**targets, "genus": np.array([0, 1, 7, 8, 9])}
    assert np.isnan(retrieval_figures(retrieval_rows(embedding, nothing), nothing)["recall1_genus"])
