"""Simulated genes and a base model that is wrong in known ways.

Sites have the consensus that human ones have: MAG|GTRAGT at donors; a branch point (YTNAY), a polypyrimidine tract and
YAG|G at acceptors; weaker and stronger ones. GT and AG occur elsewhere by chance. The base model sees the consensus,
but with noise, too sure of itself, biased against sites, and blind for some of them. No real gene was looked at: the
default data show that the pipeline works.
"""

import gzip
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.sequences.nucleotides import Bytes, encode_bases
from anelab.workloads.splice.config import DecoyConfig, SimulationConfig
from anelab.workloads.splice.features import LABELS, OFFSETS, SCORES
from anelab.workloads.splice.matrices import SPANS, Matrices, matrix_scores
from anelab.workloads.splice.sites import windows_of
from anelab.workloads.splice.windows import ACCEPTOR, DONOR, Names, Windows, joined

BASES = np.frombuffer(b"ACGT", np.uint8)
DONOR_CONSENSUS = ("AC", "A", "G", "G", "T", "AG", "A", "G", "T")
"""Bases that are preferred from -2 on; the fourth is the first of the intron."""
DONOR_STRENGTH = (0.7, 0.65, 0.8, 1, 1, 0.95, 0.7, 0.82, 0.5)
TRACT = 14
ACCEPTOR_TAIL, ACCEPTOR_STRENGTH = ("ACGT", "CT", "A", "G", "G"), (1, 0.9, 1, 1, 0.5)
"""The last four bases of the intron and the first of the exon."""
PYRIMIDINES = 0.82
"""Share of C and T in the tract."""
BRANCH, BRANCH_STRENGTH, BRANCH_AT = ("CT", "T", "ACGT", "A", "CT"), (0.8, 0.9, 1, 1, 0.75), 24
EXON_GC, INTRON_GC = 0.54, 0.38
EXON, INTRON, MARGIN = (80, 200), (120, 400), 300
"""Bases: least and most."""
BLIND, SHARPNESS, BIAS, NOISE = 0.12, 1.5, -2.0, 1.2
"""Of the base model: share of sites that it does not see; what its logits are multiplied with, and what is added."""
CONTIGS = 8


def simulate_genome(config: SimulationConfig, seed: int) -> tuple[Genome, list[Transcript]]:
    """Genes on both strands of CONTIGS contigs."""
    rng = np.random.default_rng([seed, 21])
    contigs: dict[str, list[Bytes]] = {f"sim{number + 1}": [] for number in range(CONTIGS)}
    transcripts = []
    for number in range(config.genes):
        contig = f"sim{number % CONTIGS + 1}"
        sign = 1 if rng.random() < 0.5 else -1
        sequence, exons = _gene(config.exons, rng)
        start = sum(map(len, contigs[contig]))
        if sign < 0:
            sequence = BASES[3 - np.searchsorted(BASES, sequence[::-1])]
            exons = [(len(sequence) + 1 - last, len(sequence) + 1 - first) for first, last in reversed(exons)]
        placed = tuple((start + first, start + last) for first, last in exons)
        transcripts.append(Transcript(f"gene{number:04d}.1", f"gene{number:04d}", contig, sign, placed, coding=True))
        contigs[contig].append(sequence)
    codes = {name: encode_bases(np.concatenate(parts)[None, :])[0] for name, parts in contigs.items()}
    return Genome(codes), transcripts


def _gene(exons: int, rng: np.random.Generator) -> tuple[Bytes, list[tuple[int, int]]]:
    """Letters of a gene with its margins, and its exons, from 1."""
    parts, places, length = [_random(MARGIN, INTRON_GC, rng)], [], MARGIN
    for number in range(exons):
        exon = _random(int(rng.integers(*EXON)), EXON_GC, rng)
        parts.append(exon)
        places.append((length + 1, length + len(exon)))
        length += len(exon)
        if number < exons - 1:
            parts.append(_random(int(rng.integers(*INTRON)), INTRON_GC, rng))
            length += len(parts[-1])
    sequence = np.concatenate([*parts, _random(MARGIN, INTRON_GC, rng)])
    for (_, left), (right, _) in pairwise(places):
        _write(sequence, left - 3, DONOR_CONSENSUS, DONOR_STRENGTH, rng)
        intron_end = right - 1
        tract = slice(intron_end - 4 - TRACT, intron_end - 4)
        pyrimidine = rng.random(TRACT) < PYRIMIDINES
        sequence[tract] = np.where(pyrimidine, _random(TRACT, 0.5, rng, b"CT"), sequence[tract])
        _write(sequence, intron_end - 4, ACCEPTOR_TAIL, ACCEPTOR_STRENGTH, rng)
        _write(sequence, intron_end - BRANCH_AT - len(BRANCH), BRANCH, BRANCH_STRENGTH, rng)
    return sequence, places


def _random(length: int, gc: float, rng: np.random.Generator, letters: bytes = b"") -> Bytes:
    if letters:
        found: Bytes = np.frombuffer(letters, np.uint8)[rng.integers(0, len(letters), length)]
        return found
    return BASES[rng.choice(4, length, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])]


def _write(
    sequence: Bytes, start: int, consensus: Sequence[str], strength: Sequence[float], rng: np.random.Generator
) -> None:
    """Lay a consensus over the sequence; each base is a preferred one as often as its strength says."""
    for place, (letters, share) in enumerate(zip(consensus, strength, strict=True)):
        if rng.random() < share:
            sequence[start + place] = ord(letters[int(rng.integers(len(letters)))])


def simulated_windows(
    config: SimulationConfig, width: int, decoys: DecoyConfig, seed: int
) -> tuple[Windows, Names, Names]:
    """Sites and decoys with scores of the base model, and the names of genes and contigs."""
    genome, transcripts = simulate_genome(config, seed)
    genes, contigs = Names(), Names()
    windows = joined(list(windows_of(genome.contigs.items(), transcripts, width, decoys, seed, genes, contigs, [])))
    return windows.with_scores(base_scores(windows.sequence, windows.label, config.signal, seed)), genes, contigs


def base_scores(sequence: Bytes, label: NDArray[np.int8], signal: float, seed: int) -> NDArray[np.float32]:
    """Float32 [n, 15]: what the simulated base model says. `label` only decides which sites it is blind for."""
    rng = np.random.default_rng([seed, 23])
    chances = (
        matrix_scores(consensus_matrices(), sequence)
        .reshape(len(sequence), len(LABELS), len(OFFSETS))
        .astype(np.float64)
    )
    logits = np.log(np.maximum(chances, 1e-9))
    sites = logits[:, :2] - logits[:, 2:]
    center = len(OFFSETS) // 2
    noise = rng.normal(0, NOISE, (len(sequence), 2))
    sites[:, :, center] = SHARPNESS * (signal * sites[:, :, center] + (1 - signal) * noise * 4) + BIAS + noise
    blind = (label < 2) & (rng.random(len(label)) < BLIND)
    sites[blind, :, center] = rng.normal(-7, 1, (int(blind.sum()), 2))
    logits = np.concatenate([sites, np.zeros_like(sites[:, :1])], axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    found = np.exp(logits)
    found /= found.sum(axis=1, keepdims=True)
    scores: NDArray[np.float32] = found.reshape(len(sequence), -1).astype(np.float32)
    return scores


def consensus_matrices() -> Matrices:
    """Matrices of the consensus itself."""
    tract = [("CT", PYRIMIDINES)] * TRACT
    rest = SPANS[ACCEPTOR][0] + len(ACCEPTOR_TAIL) - 1 + TRACT
    acceptor = [("ACGT", 1.0)] * -rest + tract + list(zip(ACCEPTOR_TAIL, ACCEPTOR_STRENGTH, strict=True))
    acceptor += [("ACGT", 1.0)] * (SPANS[ACCEPTOR][1] - SPANS[ACCEPTOR][0] - len(acceptor))
    donor = list(zip(DONOR_CONSENSUS, DONOR_STRENGTH, strict=True))
    return {
        LABELS[kind]: {"log_odds": [_log_odds(*one) for one in places], "prior": -5.0}
        for kind, places in ((DONOR, donor), (ACCEPTOR, acceptor))
    }


def _log_odds(letters: str, share: float) -> list[float]:
    even = (1 - share) / 4 + 0.005
    shares = [share / len(letters) + even if chr(base) in letters else even for base in BASES]
    return [float(np.log(4 * one / sum(shares))) for one in shares]


def write_windows(out: Path, windows: Windows, genes: Names, contigs: Names) -> None:
    """windows.tsv.gz in the folder `out`, as a user's own table would be."""
    letters = np.frombuffer(b"NNNNACGTN", np.uint8)[windows.sequence]
    of_gene, of_contig = _by_number(genes.numbers), _by_number(contigs.numbers)
    lines = ["\t".join(["id", "chrom", "gene_id", "label", *SCORES, "sequence"])]
    for row in range(len(windows)):
        scores = (f"{value:.6g}" for value in windows.scores[row])
        gene, contig = of_gene[int(windows.gene[row])], of_contig[int(windows.chromosome[row])]
        label = LABELS[int(windows.label[row])]
        lines.append("\t".join([f"sim{row:05d}", contig, gene, label, *scores, letters[row].tobytes().decode()]))
    (out / "windows.tsv.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))


def _by_number(numbers: Mapping[str, int]) -> dict[int, str]:
    return {number: name for name, number in numbers.items()}
