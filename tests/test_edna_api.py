"""The three examples of the guide, and what goes wrong in them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from anelab.edna import (
    DNAAutoencoder,
    DNAContrastiveModel,
    DNATokenizer,
    EmbeddingTrainer,
    ModelFactory,
    SequenceDataset,
)
from anelab.errors import AnelabError, UsageError

SMALL = {"d_model": 16, "nhead": 2, "num_layers": 1}


def families(count: int = 4, rows: int = 10) -> tuple[list[str], list[str]]:
    """Sequences that differ a little within a family, and a lot between families."""
    rng = np.random.default_rng(3)
    sequences, labels = [], []
    for family in range(count):
        root = rng.integers(0, 4, 60)
        for _ in range(rows):
            changed = np.where(rng.random(60) < 0.05, rng.integers(0, 4, 60), root)
            sequences.append("".join("ACGT"[code] for code in changed))
            labels.append(f"family {family}")
    return sequences, labels


def test_contrastive_training_and_embeddings() -> None:
    sequences, labels = families()
    tokenizer = DNATokenizer(encoding_type="kmer", kmer_size=3, stride=1)
    model = ModelFactory.create_contrastive("transformer", tokenizer.vocab_size, projection_dim=8, **SMALL)
    trainer = EmbeddingTrainer(model, tokenizer, device="cpu")
    train, validation = trainer.prepare_data(sequences, labels, validation_split=0.2, batch_size=16, max_length=64)
    history = trainer.train_contrastive(train, validation, epochs=6, learning_rate=3e-3)
    assert len(history["train_loss"]) == len(history["val_loss"]) == 6
    assert history["train_loss"][-1] < history["train_loss"][0]
    found = trainer.extract_embeddings(sequences, max_length=64)
    assert found.shape == (40, 16)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    near = unit @ unit.T - 2 * np.eye(len(unit))
    assert np.mean([labels[row] == labels[place] for row, place in enumerate(near.argmax(axis=1))]) > 0.9


def test_an_autoencoder_is_trained_by_what_it_cannot_see() -> None:
    sequences, _ = families()
    tokenizer = DNATokenizer("char")
    model = ModelFactory.create_autoencoder(tokenizer.vocab_size, embedding_dim=16, latent_dim=8)
    trainer = EmbeddingTrainer(model, tokenizer)
    history = trainer.train_autoencoder(*trainer.prepare_data(sequences, batch_size=16, max_length=64), epochs=5)
    assert history["val_loss"][-1] < history["val_loss"][0]
    batch = SequenceDataset(sequences, None, tokenizer, 64).get_batch([0, 1])
    latent, scores = model.encode_and_reconstruct(batch["input_ids"], batch["attention_mask"])
    assert latent.shape == (2, 8)
    assert scores.shape == (2, 64, tokenizer.vocab_size)


def test_save_and_load(tmp_path: Path) -> None:
    sequences, labels = families(2, 6)
    tokenizer = DNATokenizer(kmer_size=3)

    def fresh(kmer_size: int = 3, **more: int) -> EmbeddingTrainer:
        torch.manual_seed(1)
        made = DNATokenizer(kmer_size=kmer_size)
        model = ModelFactory.create_contrastive("transformer", tokenizer.vocab_size, **{**SMALL, **more})
        return EmbeddingTrainer(model, made, device="cpu")

    trainer = fresh()
    trainer.train_contrastive(*trainer.prepare_data(sequences, labels, batch_size=8, max_length=64), epochs=1)
    trainer.save_model(tmp_path / "with spaces")
    other = fresh()
    other.load_model(tmp_path / "with spaces")
    np.testing.assert_array_equal(other.extract_embeddings(sequences), trainer.extract_embeddings(sequences))
    assert other.history == trainer.history
    with pytest.raises(AnelabError, match="was trained with"):
        fresh(4).load_model(tmp_path / "with spaces")
    with pytest.raises(AnelabError, match="of another model"):
        fresh(num_layers=2).load_model(tmp_path / "with spaces")


def test_items_and_batches(tmp_path: Path) -> None:
    data = SequenceDataset(["ACGTAC", "GGG"], ["x", "y"], DNATokenizer("char"), 10, cache=tmp_path)
    assert data[0]["sequence"] == "ACGTAC"
    assert data[0]["label"] == "x"
    assert data[0]["input_ids"].tolist() == [2, 4, 5, 6, 7, 4, 5, 3, 0, 0]
    batch = data.get_batch([1, 0])
    assert (batch["label"].tolist(), batch["attention_mask"].sum(dim=1).tolist()) == ([1, 0], [5, 8])
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    again = SequenceDataset(["ACGTAC", "GGG"], ["x", "y"], DNATokenizer("char"), 10, cache=tmp_path)
    assert torch.equal(again.input_ids, data.input_ids)
    with pytest.raises(UsageError, match="2 sequences but 1 labels"):
        SequenceDataset(["A", "C"], ["x"])


def test_the_wrong_model_is_said_to_be_so() -> None:
    tokenizer = DNATokenizer("char")
    coder = DNAAutoencoder(tokenizer.vocab_size, 16, 8)
    trainer = EmbeddingTrainer(coder, tokenizer)
    data = trainer.prepare_data(*families(2, 6), max_length=64)
    with pytest.raises(UsageError, match="needs a DNAContrastiveModel"):
        trainer.train_contrastive(*data)
    other = EmbeddingTrainer(DNAContrastiveModel(coder), tokenizer)
    with pytest.raises(UsageError, match="needs a DNAAutoencoder"):
        other.train_autoencoder(*data)
    with pytest.raises(UsageError, match="backbone_type must be one of"):
        ModelFactory.create_contrastive("rnn", 8)
