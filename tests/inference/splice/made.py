"""Simulated genes as files, base models as ONNX files, and a model of splice beside another base."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from anelab.files import read_json, write_json
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome, reverse_complement
from anelab.workloads.splice.features import LABELS
from anelab.workloads.splice.matrices import SPANS
from anelab.workloads.splice.simulate import consensus_matrices
from anelab.workloads.splice.windows import ACCEPTOR, DONOR

LETTERS = np.frombuffer(b"NNNNACGTN", np.uint8)
CONTEXT = 60


def text(codes: NDArray[np.uint8]) -> str:
    return LETTERS[codes].tobytes().decode()


def write_genome(folder: Path, genome: Genome, transcripts: list[Transcript]) -> tuple[Path, Path]:
    """FASTA and GTF."""
    folder.mkdir(parents=True, exist_ok=True)
    fasta, annotation = folder / "g.fa", folder / "g.gtf"
    fasta.write_text("".join(f">{name}\n{text(codes)}\n" for name, codes in genome.contigs.items()))
    lines = [
        f"{one.contig}\tx\texon\t{first}\t{last}\t.\t{'+' if one.strand > 0 else '-'}\t.\t"
        f'gene_id "{one.gene}"; transcript_id "{one.name}";\n'
        for one in transcripts
        for first, last in one.exons
    ]
    annotation.write_text("".join(lines))
    return fasta, annotation


def turned(genome: Genome, transcripts: list[Transcript]) -> tuple[Genome, list[Transcript]]:
    """The same genes, with every contig read on its other strand."""
    contigs = {name: reverse_complement(codes) for name, codes in genome.contigs.items()}
    found = []
    for one in transcripts:
        size = genome.contigs[one.contig].size
        exons = tuple((size + 1 - last, size + 1 - first) for first, last in reversed(one.exons))
        found.append(Transcript(one.name, one.gene, one.contig, -one.strand, exons, one.coding))
    return Genome(contigs), found


def base_model(
    path: Path,
    length: int | str = "length",
    letters_last: bool = False,
    whole: bool = False,
    softmax: bool = True,
    strength: float = 1.0,
) -> Path:
    """The consensus as a network: neither, acceptor, donor of each base that has CONTEXT bases around it, or, `whole`,
    of each base."""
    matrices = consensus_matrices()
    weights, bias = np.zeros((3, 4, CONTEXT + 1), np.float32), np.zeros(3, np.float32)
    for row, kind in ((1, ACCEPTOR), (2, DONOR)):
        first, last = SPANS[kind]
        table = np.array(matrices[LABELS[kind]]["log_odds"], np.float32).T
        weights[row, :, CONTEXT // 2 + first : CONTEXT // 2 + last] = strength * table
        bias[row] = strength * matrices[LABELS[kind]]["prior"]
    pads = [CONTEXT // 2, CONTEXT // 2] if whole else [0, 0]
    nodes = [helper.make_node("Conv", ["first", "weights", "bias"], ["logits"], pads=pads)]
    nodes.append(helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["second"]))
    if softmax:
        nodes[1].attribute.append(helper.make_attribute("axis", 1))
    turn = {"perm": [0, 2, 1]}
    before = helper.make_node("Transpose" if letters_last else "Identity", ["bases"], ["first"])
    after = helper.make_node("Transpose" if letters_last else "Identity", ["second"], ["chances"])
    for node in (before, after) if letters_last else ():
        node.attribute.append(helper.make_attribute("perm", turn["perm"]))
    shape: list[Any] = ["n", length, 4] if letters_last else ["n", 4, length]
    given = helper.make_tensor_value_info("bases", TensorProto.FLOAT, shape)
    found = helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["a", "b", "c"])
    tensors = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph([before, *nodes, after], "base", [given], [found], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def model_with_base(home: Path, folder: Path, source: str) -> Path:
    """The workspace's exported model in a folder, as if it had been trained with scores from there."""
    shutil.copytree(home / "models/splice/export", folder)
    base = read_json(folder / "base.json") | {"source": source, "context": CONTEXT}
    base |= {"channels": ["neither", "acceptor", "donor"], "model": "openspliceai"}
    write_json(folder / "base.json", base | {"matrices": consensus_matrices() if source == "pwm" else None})
    return folder
