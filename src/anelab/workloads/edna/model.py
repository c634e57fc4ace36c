"""The module that is trained: a backbone, and the heads that only training needs; and its form that users run."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from anelab.sequences.arrays import SequenceArray
from anelab.sequences.tokenizer import FIRST, DNATokenizer
from anelab.workloads.edna.backbones import (
    Autoencoder,
    Convolutions,
    KmerNet,
    PooledNet,
    TiedStrands,
    Transformer,
)
from anelab.workloads.edna.config import ModelConfig
from anelab.workloads.edna.contrastive import ProjectionHead, backward_in_chunks, supervised_contrastive
from anelab.workloads.edna.encode import tokenizer_of


def build_backbone(config: ModelConfig, vocabulary: int) -> nn.Module:
    """Ids and mask to embeddings [n, dimension], of one strand."""
    width, dimension = config.width, config.dimension
    match config.backbone:
        case "kmer":
            return KmerNet(vocabulary, width, config.hidden, dimension, config.dropout)
        case "cnn":
            return PooledNet(
                Convolutions(vocabulary, width, config.layers, config.dropout), width, dimension, config.pooling
            )
        case "transformer":
            cls = config.pooling == "cls"
            places = Transformer(vocabulary, width, config.layers, config.heads, config.dropout, cls)
            return PooledNet(places, width, dimension, config.pooling)
    return Autoencoder(vocabulary, width, dimension, config.layers, config.dropout, config.pooling)


class EdnaNet(nn.Module):
    """`classes`: taxa of the head that tells them, 0 for none."""

    def __init__(self, config: ModelConfig, classes: int = 0) -> None:
        super().__init__()
        tokenizer = tokenizer_of(config)
        self.config = config
        self.net = build_backbone(config, tokenizer.vocab_size)
        self.head = ProjectionHead(config.dimension, config.contrastive.projection)
        self.classifier = nn.Linear(config.dimension, classes) if classes else None
        self.center: Tensor
        self.register_buffer("center", torch.zeros(config.dimension))
        if config.strands == "tied" and not (tokenizer.canonical and tokenizer.encoding_type == "kmer"):
            self.net = TiedStrands(self.net, other_strand(tokenizer))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        answer: Tensor = self.net(ids, mask)
        return answer

    def contrastive_step(self, batch: Mapping[str, Tensor], backward: Callable[[Tensor], None]) -> dict[str, Tensor]:
        """`ids` and `mask` [n, 2, L]: two views of each row; `label` [n], `taxon` [n]."""
        settings, two = self.config.contrastive, [batch[name].transpose(0, 1).flatten(0, 1) for name in ("ids", "mask")]
        label, taxon = batch["label"].repeat(2), batch["taxon"].repeat(2)

        def loss_of(embeddings: Tensor) -> Tensor:
            loss = supervised_contrastive(self.head(embeddings), label, settings.temperature)
            if self.classifier is None or not (taxon >= 0).any():
                return loss
            return loss + settings.classify_weight * cross_entropy(self.classifier(embeddings), taxon, ignore_index=-1)

        if settings.chunk is not None and settings.chunk < len(label):
            return {"loss": backward_in_chunks(self.forward, two, settings.chunk, loss_of, self.heads(), backward)}
        loss = loss_of(self.forward(*two))
        backward(loss)
        return {"loss": loss.detach()}

    def heads(self) -> list[nn.Parameter]:
        """What the loss itself trains."""
        return [*self.head.parameters(), *(self.classifier.parameters() if self.classifier else ())]

    def reconstruction_step(self, batch: Mapping[str, Tensor], backward: Callable[[Tensor], None]) -> dict[str, Tensor]:
        """`ids` and `mask` [n, L], some ids hidden; `wanted`, [n, L], what these were, -1 elsewhere."""
        net = self.net.net if isinstance(self.net, TiedStrands) else self.net
        assert isinstance(net, Autoencoder)
        scores = net.reconstruct(batch["ids"], batch["mask"])
        loss = cross_entropy(scores.flatten(0, 1), batch["wanted"].flatten().long(), ignore_index=-1)
        backward(loss)
        return {"loss": loss.detach()}


class EmbeddingForm(nn.Module):
    """Embeddings about their mean, of length 1, so that their product is their cosine. Without the mean, which all of
    them share, 16 bits would hold little of what tells them apart."""

    def __init__(self, module: EdnaNet) -> None:
        super().__init__()
        self.net = module.net
        self.center: Tensor
        self.register_buffer("center", module.center)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        values: Tensor = self.net(ids, mask) - self.center
        return values / (values.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()


def other_strand(tokenizer: DNATokenizer) -> Tensor:
    """Int [vocabulary]: each token's reverse complement; specials are their own."""
    texts = list(tokenizer.vocabulary)[FIRST:]
    turned = list(SequenceArray.of(texts).reverse_complement())
    known = tokenizer.vocabulary
    return torch.tensor([*range(FIRST), *(known[text] for text in turned)])
