"""Variants of known effect on simulated genes: what a trained splice model finds of them, beside its base model.

    python benchmarks/splice_variants.py FOLDER [--base pwm|noisy] [--genes 300] [--seed 1]

A model is trained on simulated genes from FASTA and GTF, by the commands of a user; the variants lie on genes of
another seed. Known is the effect because the sites were made of a consensus: a variant is altering if its base changes
the consensus by 2 nats and more against the site, or deletes its two bases; normal if it changes it by less than 0.3
nats, or lies 30 bases and more from every site. `--base`: position-weight matrices of the training sites, or a file of
a base model: the consensus, seen through noise that depends on the sequence, too sure of itself and biased against
sites.

Printed is what `anelab splice variants --classes` says: figures with 95 % intervals over genes, of the model, of its
base, and of the difference on the same variants.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.workloads.splice.config import SimulationConfig
from anelab.workloads.splice.features import LABELS
from anelab.workloads.splice.matrices import SPANS
from anelab.workloads.splice.simulate import consensus_matrices, simulate_genome
from anelab.workloads.splice.windows import ACCEPTOR, DONOR

BASES, LETTERS = "ACGT", np.frombuffer(b"NNNNACGTN", np.uint8)
ALTERING, NORMAL, FAR = 2.0, 0.3, 30
TEST_GENES = 100
CONTEXT, SHARPNESS, BIAS, NOISE = 60, 1.6, -2.5, 0.9
Call = tuple[str, int, str, str]


def write_genome(folder: Path, genome: Genome, transcripts: list[Transcript]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    fasta, annotation = folder / "genome.fa", folder / "genes.gtf"
    fasta.write_text("".join(f">{name}\n{text(codes)}\n" for name, codes in genome.contigs.items()))
    lines = [
        f"{one.contig}\tsimulated\texon\t{first}\t{last}\t.\t{'+' if one.strand > 0 else '-'}\t.\t"
        f'gene_id "{one.gene}"; transcript_id "{one.name}";\n'
        for one in transcripts
        for first, last in one.exons
    ]
    annotation.write_text("".join(lines))
    return fasta, annotation


def text(codes: NDArray[np.uint8]) -> str:
    return LETTERS[codes].tobytes().decode()


def noisy_base_model(path: Path) -> None:
    """One-hot bases [n, 4, length] to probabilities [n, 3, length - CONTEXT]: neither, acceptor, donor."""
    rng, matrices = np.random.default_rng(7), consensus_matrices()
    weights = rng.normal(0, NOISE, (2, 4, CONTEXT + 1)).astype(np.float32)
    weights *= rng.random((2, 1, CONTEXT + 1)) < 0.3
    bias = np.zeros(2, np.float32)
    for row, kind in enumerate((ACCEPTOR, DONOR)):
        first, last = SPANS[kind]
        table = np.array(matrices[LABELS[kind]]["log_odds"], np.float32).T
        weights[row, :, CONTEXT // 2 + first : CONTEXT // 2 + last] += SHARPNESS * table
        bias[row] = SHARPNESS * matrices[LABELS[kind]]["prior"] + BIAS
    nodes = [
        helper.make_node("Conv", ["bases", "weights", "bias"], ["sites"]),
        helper.make_node("Slice", ["sites", "zero", "one", "axis"], ["some"]),
        helper.make_node("Sub", ["some", "some"], ["neither"]),
        helper.make_node("Concat", ["neither", "sites"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["chances"], axis=1),
    ]
    given = helper.make_tensor_value_info("bases", TensorProto.FLOAT, ["n", 4, "length"])
    found = helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["n", 3, "m"])
    constants = {"weights": weights, "bias": bias} | {
        name: np.array([value], np.int64) for name, value in (("zero", 0), ("one", 1), ("axis", 1))
    }
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "base", [given], [found], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def known_variants(genome: Genome, transcripts: list[Transcript], seed: int) -> dict[Call, str]:
    """Altering and normal ones, about as many of each."""
    rng, matrices, found = np.random.default_rng(seed), consensus_matrices(), {}
    for one in transcripts:
        for first, last in one.introns:
            ends = (first - 1, last + 1)[:: one.strand]
            for kind, position in zip((DONOR, ACCEPTOR), ends, strict=True):
                found |= at_site(genome, one, kind, position, matrices[LABELS[kind]]["log_odds"], rng)
        found |= far_from_sites(genome, one, rng)
    return found


def at_site(
    genome: Genome, one: Transcript, kind: int, position: int, log_odds: list[list[float]], rng: np.random.Generator
) -> dict[Call, str]:
    """One that alters the site, one that does not, if there are such, and sometimes a deletion."""
    first, last = SPANS[kind]
    codes, found = genome.contigs[one.contig], {}
    changes = []
    for place in range(last - first):
        at = position + one.strand * (first + place)
        there = codes[at - 1]
        old = BASES.index(text(there[None])) if one.strand > 0 else 3 - BASES.index(text(there[None]))
        for new in range(4):
            letter = BASES[new if one.strand > 0 else 3 - new]
            changes.append((log_odds[place][new] - log_odds[place][old], (one.contig, at, text(there[None]), letter)))
    altering = [call for change, call in changes if change <= -ALTERING]
    normal = [call for change, call in changes if call[2] != call[3] and abs(change) < NORMAL]
    for calls, name in ((altering, "Splice-altering"), (normal, "Normal")):
        if calls:
            found[calls[int(rng.integers(len(calls)))]] = name
    if rng.random() < 0.2:
        beside = (position, position + 2) if (kind == DONOR) == (one.strand > 0) else (position - 3, position - 1)
        found[one.contig, beside[0], text(codes[beside[0] - 1 : beside[1]]), text(codes[beside[0] - 1][None])] = (
            "Splice-altering"
        )
    return found


def far_from_sites(genome: Genome, one: Transcript, rng: np.random.Generator) -> dict[Call, str]:
    ends = np.array([end for intron in one.introns for end in intron])
    positions = rng.integers(one.exons[0][0], one.exons[-1][1], 8)
    found: dict[Call, str] = {}
    for position in positions.tolist():
        if np.abs(ends - position).min() >= FAR:
            there = text(genome.contigs[one.contig][position - 1][None])
            other = [letter for letter in BASES if letter != there][int(rng.integers(3))]
            found[one.contig, position, there, other] = "Normal"
    return found


def write_variants(folder: Path, genome: Genome, classes: dict[Call, str]) -> tuple[Path, Path]:
    vcf, table = folder / "variants.vcf.gz", folder / "classes.tsv"
    contigs = "".join(f"##contig=<ID={name},length={codes.size}>\n" for name, codes in genome.contigs.items())
    lines = [f"{contig}\t{at}\t.\t{ref}\t{alt}\t.\t.\t.\n" for contig, at, ref, alt in sorted(classes)]
    head = f"##fileformat=VCFv4.2\n{contigs}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf.write_bytes(gzip.compress((head + "".join(lines)).encode()))
    rows = [f"{contig}-{at}-{ref}-{alt}\t{name}\n" for (contig, at, ref, alt), name in classes.items()]
    table.write_text("hg38\tclassification\n" + "".join(rows))
    return vcf, table


def anelab(workspace: Path, *words: str) -> str:
    command = [sys.executable, "-m", "anelab", "--workspace", str(workspace), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", choices=("pwm", "noisy"), default="pwm")
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    workspace, genes = given.folder / given.base, SimulationConfig(genes=given.genes)
    fasta, annotation = write_genome(given.folder / "train", *simulate_genome(genes, given.seed))
    genome, transcripts = simulate_genome(SimulationConfig(genes=TEST_GENES), given.seed + 1000)
    other, other_genes = write_genome(given.folder / "test", genome, transcripts)
    vcf, table = write_variants(given.folder / "test", genome, known_variants(genome, transcripts, given.seed))
    sources, base = [str(fasta), str(annotation)], []
    settings = [f"seed={given.seed}", f"splice.data.base={{context: {CONTEXT}}}"]
    if given.base == "noisy":
        base = ["--base-model", str(given.folder / "base.onnx")]
        noisy_base_model(given.folder / "base.onnx")
        scores = str(given.folder / "base.tsv.gz")
        options = [word for setting in settings for word in ("-S", setting)]
        anelab(workspace, "splice", "base-scores", *sources, *base, "-o", scores, *options)
        sources.append(scores)
    settings.append(f"splice.data.source={json.dumps(sources)}")
    options = [word for setting in settings for word in ("-S", setting)]
    for stage in ("inputs", "simulate", "prepare", "search", "train", "export"):
        anelab(workspace, stage, "splice", *options)
    words = ["--fasta", str(other), "--annotation", str(other_genes), "--classes", str(table), *base]
    words += ["--model", str(workspace / "models/splice/export"), "-o", str(given.folder / f"{given.base}.vcf.gz")]
    print(anelab(workspace, "splice", "variants", str(vcf), *words, "--json"))


if __name__ == "__main__":
    main()
