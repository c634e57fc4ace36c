"""`anelab edna` beside the tools that people use, on the same references and queries, in one run.

    python benchmarks/edna_tools.py REFERENCES TAXA [--seed 1] [--sets closed genera families] [--bases 170]
    [--tools vsearch sintax blastn mmseqs]

REFERENCES: FASTA. TAXA: a table of lineages by sequence id. Distinct sequences only, each with its first label. Set
`closed`: of species with at least five sequences 20 % are queries. Sets `genera` and `families`: also all sequences of
a tenth of the genera or families, of which no reference is left. A model is trained on the references alone; then the
whole of `index` and `assign` is timed. --bases: queries are also asked cut to that many, anywhere.

Printed: the share of queries whose species, genus and family is right, with a paired 95 % interval against anelab;
queries per second. For what is held out: how well novelty is told (AUROC); how many novel queries are called to genus
where as many known ones are called as each tool calls, and where 90 % are; and that by similarity to the nearest
reference.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anelab.learning.metrics import roc_auc
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.records import read_all
from anelab.sequences.taxonomy import FAMILY, GENUS, RANKS, SPECIES, Taxonomy, join_labels, read_lineages

LETTERS = "dpcofgs"
THREADS = 2
RESAMPLES = 2000


@dataclass(frozen=True)
class Set:
    """`novel`: queries whose genus is not among the references. `bases`: to which queries are cut, 0 for none."""

    folder: Path
    taxonomy: Taxonomy
    references: NDArray[np.int64]
    queries: NDArray[np.int64]
    novel: NDArray[np.bool_]
    bases: int = 0

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.folder / "refs.fasta", self.folder / f"queries{self.bases or ''}.fasta", self.folder / "taxa.tsv"


@dataclass(frozen=True)
class Answer:
    """Of each query the row of a reference, or -1; how sure its genus is; whether it was called to genus; and, of
    anelab, the share of 8-mers that it has in common with the nearest."""

    nearest: NDArray[np.int64]
    confidence: NDArray[np.float64]
    called: NDArray[np.bool_]
    seconds: float
    version: str
    similarity: NDArray[np.float64] | None = None


def make_set(kind: str, sequences: SequenceArray, taxonomy: Taxonomy, seed: int, folder: Path) -> Set:
    rng = np.random.default_rng(seed)
    taxon, species = taxonomy.codes[:, FAMILY if kind == "families" else GENUS], taxonomy.codes[:, SPECIES]
    present = np.unique(taxon[taxon >= 0])
    held = rng.permutation(present)[: len(present) // 10] if kind != "closed" else present[:0]
    novel = np.isin(taxon, held)
    rest = np.flatnonzero(~novel)
    asked = novel.copy()
    for code in np.unique(species[rest]):
        rows = rng.permutation(rest[species[rest] == code])
        if len(rows) >= 5:
            asked[rows[: round(0.2 * len(rows))]] = True
    queries, references = np.flatnonzero(asked), np.flatnonzero(~asked)
    folder.mkdir()
    found = Set(folder, taxonomy, references, queries, novel[queries])
    refs, asv, table = found.files
    write_fasta(refs, sequences, references)
    write_fasta(asv, sequences, queries)
    lines = [f"r{row}\t{lineage_text(taxonomy, row, '__')}\n" for row in references]
    table.write_text("Feature ID\tTaxon\n" + "".join(lines))
    return found


def cut_to(item: Set, bases: int, sequences: SequenceArray, seed: int) -> Set:
    """With queries of at most so many bases, a stretch anywhere in each."""
    rng, found = np.random.default_rng([seed, bases]), replace(item, bases=bases)
    slack = np.maximum(sequences.lengths - bases, 0)
    starts = rng.integers(0, slack + 1)
    stretches = SequenceArray.gather(
        sequences.letters, sequences.offsets[:-1] + starts, np.minimum(sequences.lengths, bases)
    )
    write_fasta(found.files[1], stretches, item.queries)
    return found


def write_fasta(
    path: Path, sequences: SequenceArray, rows: NDArray[np.int64], ending: Callable[[int], str] | None = None
) -> None:
    path.write_text("".join(f">r{row}{ending(int(row)) if ending else ''}\n{sequences[int(row)]}\n" for row in rows))


def lineage_text(taxonomy: Taxonomy, row: int, mark: str) -> str:
    names = zip(LETTERS, taxonomy.lineage(int(row)), strict=True)
    return (";" if mark == "__" else ",").join(
        f"{letter}{mark}{name}" for letter, name in names if name or mark == "__"
    )


def run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def trained(item: Set, project: Path, settings: Sequence[str]) -> Path:
    """The folder of an export that saw the references only."""
    home = item.folder / "home"
    home.mkdir()
    refs, _, table = item.files
    words = ["-S", f"edna.data.source=[{refs},{table}]", *settings, "--workspace", str(home)]
    for stage in ("inputs", "simulate", "prepare", "search", "train", "export"):
        started = time.perf_counter()
        run(sys.executable, "-m", "anelab", stage, "edna", *words, cwd=project)
        print(f"  {stage} {time.perf_counter() - started:.0f} s", flush=True)
    return home / "models/edna/export"


def make_index(item: Set, export: Path | str) -> Path:
    refs, _, table = item.files
    index, started = item.folder / "index", time.perf_counter()
    said = run(sys.executable, "-m", "anelab", "edna", "index", refs, "--labels", table, "--model", export, "-o", index)
    print(f"  index {time.perf_counter() - started:.0f} s: {said.strip()}", flush=True)
    return index


def ours(item: Set, index: Path) -> Answer:
    asv, out = item.files[1], item.folder / "ours.tsv"
    started = time.perf_counter()
    print(" ", run(sys.executable, "-m", "anelab", "edna", "assign", asv, "--index", index, "-o", out).strip())
    seconds = time.perf_counter() - started
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    column = {name: place for place, name in enumerate(rows[0])}
    nearest = np.array([int(row[column["nearest"]][1:] or -1) for row in rows[1:]])
    novelty = np.array([float(row[column["novelty"]]) for row in rows[1:]])
    called = np.array([bool(row[column["genus"]]) for row in rows[1:]])
    similarity = np.array([float(row[column["similarity"]]) for row in rows[1:]])
    return Answer(nearest, 1 - novelty, called, seconds, "", similarity)


def vsearch(item: Set, accepts: int) -> Answer:
    refs, asv, _ = item.files
    out = item.folder / f"vsearch{accepts}.tsv"
    started = time.perf_counter()
    limits = f"--id 0.7 --maxaccepts {accepts} --strand plus --threads {THREADS}".split()
    run("vsearch", "--usearch_global", asv, "--db", refs, *limits, "--userout", out, "--userfields", "query+target+id")
    seconds = time.perf_counter() - started
    return best_hits(item, out, seconds, version_of("vsearch", "--version"))


def blastn(item: Set) -> Answer:
    refs, asv, _ = item.files
    out = item.folder / "blast.tsv"
    run("makeblastdb", "-in", refs, "-dbtype", "nucl", "-out", item.folder / "blastdb")
    started = time.perf_counter()
    limits = f"-max_target_seqs 5 -max_hsps 1 -num_threads {THREADS}".split()
    columns = ("-outfmt", "6 qseqid sseqid bitscore")
    run("blastn", "-query", asv, "-db", item.folder / "blastdb", *limits, *columns, "-out", out)
    return best_hits(item, out, time.perf_counter() - started, version_of("blastn", "-version"))


def mmseqs(item: Set) -> Answer:
    refs, asv, _ = item.files
    out = item.folder / "mmseqs.tsv"
    started = time.perf_counter()
    run("mmseqs", "easy-search", asv, refs, out, item.folder / "mmtmp", "--search-type", "3", "--threads", str(THREADS),
        "--format-output", "query,target,bits", "--max-seqs", "100")  # fmt: skip
    return best_hits(item, out, time.perf_counter() - started, f"mmseqs {version_of('mmseqs', 'version')}")


def best_hits(item: Set, table: Path, seconds: float, version: str) -> Answer:
    """The first best of each query."""
    best: dict[str, tuple[float, str]] = {}
    for line in table.read_text().splitlines():
        query, target, score = line.split("\t")
        if query not in best or float(score) > best[query][0]:
            best[query] = (float(score), target)
    found = [best.get(f"r{row}", (0.0, "r-1")) for row in item.queries]
    nearest = np.array([int(name[1:]) for _, name in found])
    return Answer(nearest, np.array([score for score, _ in found]), nearest >= 0, seconds, version)


def sintax(item: Set, sequences: SequenceArray, cutoff: float = 0.8) -> Answer:
    """One thread and a seed: it is not reproducible otherwise."""
    db, out = item.folder / "sintax.fasta", item.folder / "sintax.tsv"
    names = {code: re.sub("[,;:()]", " ", name) for code, name in enumerate(item.taxonomy.names[SPECIES])}
    write_fasta(db, sequences, item.references, lambda row: f";tax={sintax_text(item.taxonomy, row, names)};")
    started = time.perf_counter()
    limits = f"--sintax_cutoff {cutoff} --strand both --threads 1 --randseed 1".split()
    run("vsearch", "--sintax", item.files[1], "--db", db, "--tabbedout", out, *limits)
    seconds = time.perf_counter() - started
    first: dict[tuple[str, str], int] = {}
    for row in item.references[::-1].tolist():
        for rank, letter in ((FAMILY, "f"), (GENUS, "g"), (SPECIES, "s")):
            code = int(item.taxonomy.codes[row, rank])
            if code >= 0:
                first[letter, names[code] if rank == SPECIES else item.taxonomy.names[rank][code]] = row
    told = {line.split("\t")[0]: line.split("\t") for line in out.read_text().splitlines()}
    nearest, sure, called = [], [], []
    for row in item.queries:
        cells = told.get(f"r{row}", ["", "", "", ""])
        ranks = {rank: (name, float(share)) for rank, name, share in re.findall(r"([a-z]):(.*?)\(([\d.]+)\)", cells[1])}
        told_names = ((letter, ranks.get(letter, ("", 0.0))[0].strip()) for letter in "sgf")
        nearest.append(next((first[key] for key in told_names if key in first), -1))
        sure.append(ranks.get("g", ("", 0.0))[1])
        called.append(sure[-1] >= cutoff)
    return Answer(np.array(nearest), np.array(sure), np.array(called), seconds, version_of("vsearch", "--version"))


def sintax_text(taxonomy: Taxonomy, row: int, species: dict[int, str]) -> str:
    parts = []
    for rank, letter in enumerate(LETTERS):
        code = int(taxonomy.codes[row, rank])
        if code >= 0:
            parts.append(f"{letter}:{species[code] if rank == SPECIES else taxonomy.names[rank][code]}")
    return ",".join(parts)


def asked_of(tool: str, item: Set, sequences: SequenceArray) -> Answer:
    match tool:
        case "vsearch":
            return vsearch(item, 8)
        case "sintax":
            return sintax(item, sequences)
        case "blastn":
            return blastn(item)
    return mmseqs(item)


def version_of(*words: str) -> str:
    return re.search(r"\S.*", run(*words))[0][:60]  # type: ignore[index]


def right(item: Set, answer: Answer, rank: int) -> NDArray[np.float64]:
    """Of the known queries that have the rank: whether it is right."""
    codes = item.taxonomy.codes[:, rank]
    rows = np.flatnonzero(~item.novel & (codes[item.queries] >= 0))
    found = np.where(answer.nearest[rows] >= 0, codes[answer.nearest[rows]], -2)
    return (found == codes[item.queries[rows]]).astype(float)


def report(item: Set, answers: dict[str, Answer]) -> None:
    base, rng = answers["anelab"], np.random.default_rng(0)
    for name, answer in answers.items():
        texts = []
        for rank in (SPECIES, GENUS, FAMILY):
            hits, against = right(item, answer, rank), right(item, base, rank)
            drawn = rng.integers(0, len(hits), (RESAMPLES, len(hits)))
            low, high = np.quantile((against - hits)[drawn].mean(axis=1), [0.025, 0.975])
            texts.append(
                f"{RANKS[rank]} {hits.mean():.4f}"
                + ("" if name == "anelab" else f" (anelab {low:+.4f} to {high:+.4f})")
            )
        print(f"{name:12} {', '.join(texts)}; {len(item.queries) / answer.seconds:,.0f} queries/s; {answer.version}")
        if item.novel.any():
            print("            ", open_text(item, answer, base))
            if base.similarity is not None:
                print("             by similarity,", by_similarity(item, answer, base.similarity))


def by_similarity(item: Set, answer: Answer, similarity: NDArray[np.float64]) -> str:
    """Of novel queries that are as similar to a reference, the share that is called where 0.9 of the known are."""
    called = answer.confidence >= np.quantile(answer.confidence[~item.novel], 0.1)
    parts = []
    for low, high in pairwise((0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)):
        rows = item.novel & (similarity >= low) & (similarity < high)
        if rows.any():
            parts.append(f"{low:g} to {min(high, 1):g}: {called[rows].mean():.3f} of {rows.sum():,}")
    return ", ".join(parts)


def open_text(item: Set, answer: Answer, base: Answer) -> str:
    known, novel = answer.confidence[~item.novel], answer.confidence[item.novel]
    kept = answer.called[~item.novel].mean()
    called = answer.called[item.novel].mean()
    ours_there = (base.confidence[item.novel] >= np.quantile(base.confidence[~item.novel], 1 - kept)).mean()
    at_90 = (novel >= np.quantile(known, 0.1)).mean()
    auroc = roc_auc(-answer.confidence, item.novel)
    return (
        f"novelty AUROC {auroc:.4f}; called to genus: known {kept:.3f}, novel {called:.3f} (anelab at as many known: "
        f"{ours_there:.3f}); novel called where 0.9 of the known are: {at_90:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=Path)
    parser.add_argument("taxa", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sets", nargs="+", default=["closed", "genera", "families"])
    parser.add_argument("--bases", type=int, nargs="*", default=[])
    parser.add_argument("--tools", nargs="+", default=["vsearch", "sintax", "blastn", "mmseqs"])
    parser.add_argument("--model", help="an export that saw no query, or kmers; else one is trained")
    parser.add_argument("-S", dest="settings", action="append", default=[])
    given = parser.parse_args()
    records = read_all(given.references)
    first: dict[bytes, int] = {}
    rows = np.array(sorted({first.setdefault(digest, row) for row, digest in enumerate(records.sequences.digests())}))
    lineages = join_labels(records.names, read_lineages(given.taxa), str(given.references))
    taxonomy, sequences = Taxonomy.of(lineages).take(rows), records.sequences.take(rows)
    settings = [word for item in given.settings for word in ("-S", item)]
    with tempfile.TemporaryDirectory() as scratch:
        for kind in given.sets:
            item = make_set(kind, sequences, taxonomy, given.seed, Path(scratch, kind))
            print(
                f"{kind}, seed {given.seed}: {len(item.references):,} references, {len(item.queries):,} queries, "
                f"{item.novel.sum():,} novel"
            )
            index = make_index(item, given.model or trained(item, Path.cwd(), settings))
            for bases in (0, *given.bases):
                asked = cut_to(item, bases, sequences, given.seed) if bases else item
                print(f"queries cut to {bases} bases" if bases else "whole queries")
                answers = {"anelab": ours(asked, index)}
                for name in given.tools:
                    if shutil.which(name.replace("sintax", "vsearch")) is None:
                        print(f"{name}: is not installed here")
                        continue
                    answers[name] = asked_of(name, asked, sequences)
                report(asked, answers)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    main()
