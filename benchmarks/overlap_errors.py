"""Does learning pay on real libraries? Errors are known where mates overlap; no reference is needed.

    python benchmarks/overlap_errors.py [R1 R2]... [--simulated N] [--seeds 1 2 3 4 5] [--resamples 500] [-S K=V]

Each pair of files is a library; without any, the MiFish library in the folder that ANELAB_TEST_DATA names is the one.
--simulated adds libraries of N pairs each (6,000; 0 adds none): `planted`, whose qualities are wrong in all
planted ways, and `binned`, of four qualities that are too high after cycle 100. Error networks are trained on every
library, from qualities and places only and with bases too, once a seed, and judge the test reads of every library.
Printed for each library judged, as Markdown:

- mean quality, expected errors, the Bayes optimum where errors are simulated, and every network: AUROC and its
  difference from expected errors', average precision (both of reads with an error), ECE, and how many more or fewer
  reads are kept where expected errors keep 50, 80 and 90 %, at as many errors a base;
- error-free reads discarded there, by the abundance of their amplicon;
- how many verdicts of its own networks INT8 changes, and how far from 0.5 their probabilities are at most.

Brackets are 95 % intervals of a grouped bootstrap that draws a training seed with each resample; the figure before them
is the mean over the seeds.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from planted_effects import PROJECT, SETTINGS, Values, probability_of_none
from read_lengths import onnx_variants
from torch import nn

from anelab import workloads
from anelab.config import load_params
from anelab.errors import AnelabError
from anelab.learning.base import Arrays, Split
from anelab.learning.metrics import average_precision, expected_calibration_error, roc_auc
from anelab.sequences.nucleotides import PAD_CODE, Bytes
from anelab.statistics import interval, replicates
from anelab.training.fit import fit
from anelab.workloads.read_quality.config import Config
from anelab.workloads.read_quality.encode import WIDTH, phred_scores
from anelab.workloads.read_quality.filters import KEPT, RARE, kept_at, residual_rate
from anelab.workloads.read_quality.labelled import label_reads
from anelab.workloads.read_quality.library import read_all
from anelab.workloads.read_quality.simulate import MATE_NAMES, TRUTH_NAME, true_chances
from anelab.workloads.read_quality.truth import read_truth

MIFISH = "fastq/mifish_edna_150bp/DRR126155_{}.fastq.gz"
SIMULATED = {
    "planted": ("effects=[ggc, homopolymer, overstated]",),
    "binned": ("profile=binned", "effects=[overstated]"),
}
PAIRS = ("pairs=true", "amplicons=60", "min_length=120")
OVERLAP = (
    *SETTINGS,
    "read_quality.data.label=overlap",
    "read_quality.split.test=0.4",
    "read_quality.registry.limits.rare_discarded=1.2",
    "read_quality.training.max_epochs=16",
)
SEEING = {"qualities": "false", "bases": "true"}
CLASSES = {"rare": (0.0, RARE), "between": (RARE, 0.1), "abundant": (0.1, np.inf)}
"""Amplicons by their share of the library's fragments."""

WORKLOAD = workloads.get("read_quality")
Figure = Callable[[Values, Arrays], float]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """A library's prepared reads and its test set."""

    name: str
    prepared: Path
    test: Split
    rules: Mapping[str, Values]
    """Scores of the plain filters, higher is worse."""


def settings(*more: str) -> Config:
    return load_params(PROJECT / "params.yaml", [*OVERLAP, *more]).section("read_quality")


def prepare(name: str, files: Sequence[Path], out: Path, given: Sequence[str], truth: Path | None = None) -> Judged:
    out.mkdir()
    card = WORKLOAD.prepare(settings(*given), files, out)
    (facts,) = card.facts["overlaps"]
    print(f"- {name}: {facts['pairs']} pairs, {facts['trusted']} trusted, {facts['undecided']} of them undecided")
    test = WORKLOAD.load(settings(*given), out, "test")
    raw = test.inputs["raw"]["input"]
    rules = {"expected errors": test.targets["stated"], "mean quality": -phred_scores(raw)[0]}
    if truth is not None:
        rules["Bayes optimum"] = bayes_optimum(files, truth, raw, settings(*given))
    return Judged(name, out, test, rules)


def bayes_optimum(files: Sequence[Path], truth: Path, raw: Bytes, config: Config) -> Values:
    """The true chance of an error in what the model sees of each simulated read, [n] of `raw`. Which read that is,
    its own bases and qualities tell."""
    reads = read_all(files, config.data)
    targets, table = label_reads(reads, [], config.data), read_truth(truth)
    digits = [table[reads.names[row]].causes.ljust(WIDTH, "0") for row in targets.rows.tolist()]
    causes = np.array([[int(digit, 16) for digit in one] for one in digits], np.uint8)
    chances = np.where(
        targets.raw[:, :WIDTH] == PAD_CODE, 0.0, true_chances(targets.raw[:, WIDTH:].astype(int), causes)
    )
    none = np.prod(1 - chances, axis=1)
    place = {row.tobytes(): number for number, row in enumerate(targets.raw)}
    return 1 - none[[place[row.tobytes()] for row in raw]]


def libraries(pairs: Sequence[Path], simulated: int, scratch: Path, given: Sequence[str]) -> list[Judged]:
    found = []
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        name = f"{len(found) + 1} {first.name.partition('.')[0]}"
        found.append(prepare(name, [first, second], scratch / name, given))
    for name, kind in SIMULATED.items() if simulated else ():
        files = scratch / f"{name} files"
        files.mkdir()
        made = [f"read_quality.data.simulation.{one}" for one in (*kind, *PAIRS, f"reads={simulated}")]
        WORKLOAD.simulate(settings(*made), files)
        mates = [files / mate for mate in MATE_NAMES]
        found.append(prepare(name, mates, scratch / name, given, files / TRUTH_NAME))
    return found


@dataclass(frozen=True)
class Network:
    """Of one seed, and the probabilities of PASS, [n], of those reads of its own library's test set whose verdict INT8
    changes."""

    module: nn.Module
    changed: Values

    def __call__(self, split: Split) -> Values:
        """The chance of an error, [n]."""
        return 1 - probability_of_none(self.module, split.inputs["raw"]["input"])


def trained(library: Judged, context: str, seeds: Sequence[int], given: Sequence[str]) -> list[Network]:
    nets = []
    for seed in seeds:
        config = settings(*given, f"seed={seed}", f"read_quality.model.context={context}")
        with tempfile.TemporaryDirectory() as work:
            module = fit(WORKLOAD, config, library.prepared, Path(work, "fit"), ()).module
            variants = onnx_variants(config, library.prepared, module, Path(work))
            floats = library.test.inputs["model"]
            passing, in_8_bits = (variants[name](floats)["output"][:, 0] for name in ("fp32", "int8"))
        nets.append(Network(module, passing[(passing >= 0.5) != (in_8_bits >= 0.5)]))
    return nets


def kept_more(share: int) -> Figure:
    """By how many per cent a score keeps more reads than expected errors, which keep so many per cent."""

    def figure(score: Values, targets: Arrays) -> float:
        errors, bases = targets["errors"], targets["bases"]
        rate = residual_rate(targets["stated"], errors, bases, share / 100)
        theirs = kept_at(targets["stated"], errors, bases, rate).sum()
        return float(100 * (kept_at(score, errors, bases, rate).sum() / theirs - 1))

    return figure


def over_expected_errors(score: Values, targets: Arrays) -> float:
    bad = targets["errors"] > 0
    return roc_auc(score, bad) - roc_auc(targets["stated"], bad)


def calibration(score: Values, targets: Arrays) -> float:
    return expected_calibration_error(score, targets["errors"] > 0)


FIGURES: Mapping[str, Figure] = {
    "AUROC": lambda score, targets: roc_auc(score, targets["errors"] > 0),
    "over expected errors": over_expected_errors,
    "AP": lambda score, targets: average_precision(score, targets["errors"] > 0),
    **{f"kept more at {share} %": kept_more(share) for share in KEPT},
}


def with_interval(figure: Figure, scores: Sequence[Values], judged: Judged, resamples: int, digits: int) -> str:
    targets, rng = judged.test.targets, np.random.default_rng(1)

    def drawn(count: NDArray[np.int64]) -> float:
        score, rows = scores[rng.integers(len(scores))], np.repeat(np.arange(len(count)), count)
        return figure(score[rows], {name: targets[name][rows] for name in ("errors", "bases", "stated")})

    def all_drawn(counts: Values) -> dict[str, Values]:
        return {"figure": np.array([drawn(count) for count in counts.astype(np.int64)])}

    mean = np.mean([figure(score, targets) for score in scores])
    low, high = interval(replicates(all_drawn, judged.test.groups, resamples, 1)["figure"])
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def discarded(score: Values, targets: Arrays, share: int, chosen: NDArray[np.bool_]) -> float:
    errors, bases = targets["errors"], targets["bases"]
    rate = residual_rate(targets["stated"], errors, bases, share / 100)
    return float((~kept_at(score, errors, bases, rate))[chosen].mean())


def print_row(judged: Judged, filters: Mapping[str, Sequence[Values]], resamples: int) -> None:
    """Both tables of one library. `filters`: scores of each seed, or one, by name."""
    targets = judged.test.targets
    ratio = targets["errors"].sum() / targets["stated"].sum()
    print(
        f"\n## {judged.name}: {len(judged.test)} test reads, {(targets['errors'] > 0).mean():.1%} with an error; ",
        end="",
    )
    print(f"true errors are {ratio:.2f} times the expected ones\n")
    print(f"| filter | {' | '.join(FIGURES)} | ECE |\n|{'---|' * (len(FIGURES) + 2)}")
    for name, scores in filters.items():
        cells = [
            with_interval(figure, scores, judged, resamples, 1 if "kept" in title else 4)
            for title, figure in FIGURES.items()
        ]
        chances = len(scores) > 1
        ece = f"{np.mean([calibration(score, targets) for score in scores]):.4f}" if chances else ""
        print(f"| {name} | {' | '.join(cells)} | {ece} |", flush=True)
    free = targets["errors"] == 0
    print(
        f"\nError-free reads discarded where expected errors keep {', '.join(map(str, KEPT))} %, at as many errors a "
        "base, %\n"
    )
    print("| amplicons | reads | error-free | " + " | ".join(filters) + f" |\n|{'---|' * (len(filters) + 3)}")
    for name, (low, high) in CLASSES.items():
        there = (targets["abundance"] >= low) & (targets["abundance"] < high)
        if not (there & free).any():
            continue
        cells = [
            " / ".join(
                f"{100 * np.mean([discarded(score, targets, share, there & free) for score in scores]):.1f}"
                for share in KEPT
            )
            for scores in filters.values()
        ]
        print(f"| {name} | {there.sum()} | {(there & free).sum()} | {' | '.join(cells)} |")


def print_int8(kind: str, nets: Sequence[Network], reads: int) -> None:
    changed = np.concatenate([net.changed for net in nets])
    farthest = f", at most {np.abs(changed - 0.5).max():.4f} from 0.5" if len(changed) else ""
    print(
        f"\nINT8 changes {len(changed)} of {reads * len(nets):,} verdicts of networks of {kind}{farthest}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*", metavar="R1 R2")
    parser.add_argument("--simulated", type=int, default=6000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("-S", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    files = given.files
    if not files:
        folder = os.environ.get("ANELAB_TEST_DATA")
        if folder is None:
            parser.error("give mates' files, R1 R2, or set ANELAB_TEST_DATA to the folder of real data")
        files = [Path(folder) / MIFISH.format(mate) for mate in (1, 2)]
    if len(files) % 2:
        parser.error("files are of mates, R1 R2 in turn, and so must be even in number")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = libraries(files, given.simulated, Path(scratch), given.overrides)
        except AnelabError as error:
            parser.exit(1, f"{error}\n")
        nets = {
            (library.name, kind): trained(library, context, given.seeds, given.overrides)
            for kind, context in SEEING.items()
            for library in found
        }
        for judged in found:
            filters: dict[str, Sequence[Values]] = {name: [score] for name, score in judged.rules.items()}
            for (source, kind), seeds in nets.items():
                where = "same library" if source == judged.name else f"trained on {source}"
                filters[f"{kind}, {where}"] = [net(judged.test) for net in seeds]
            print_row(judged, filters, given.resamples)
            for kind in SEEING:
                print_int8(kind, nets[judged.name, kind], len(judged.test))


if __name__ == "__main__":
    main()
