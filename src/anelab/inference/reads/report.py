"""What `anelab score` hands to others of a run: a report as JSON, and MultiQC's custom content."""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from anelab.files import write_json
from anelab.inference.reads.statistics import ReadStatistics
from anelab.sequences.streams import STANDARD_INPUT, Source
from anelab.texts import printable

SCHEMA = "anelab.score/1"
SUFFIXES = re.compile(r"(\.(fastq|fq))?(\.(gz|bgz|bz2|xz|zst|zstd))?$", re.IGNORECASE)
ODD = re.compile(r"[^A-Za-z0-9._-]+")
HTML = re.compile(r"[<>&\"']")
"""MultiQC puts names and descriptions into its page."""
MOST_NAME = 100
"""Characters of a sample in the name of a file."""


@dataclass(frozen=True)
class ScoreReport:
    """`scorer` is what judged, `pass_means` what a read must be to pass; `summary` has the counts of the whole run."""

    scorer: str
    pass_means: str
    summary: Mapping[str, Any]
    samples: Sequence[ReadStatistics]

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "scorer": self.scorer,
            "pass_means": self.pass_means,
            "summary": dict(self.summary),
            "samples": [one.as_json() for one in self.samples],
        }


def sample_names(sources: Sequence[Source]) -> list[str]:
    """A name for each file: without its suffixes; files of one name by their folders' names, too, or by a number."""
    plain = [printable(SUFFIXES.sub("", _base(source)) or _base(source)) for source in sources]
    folders = [
        f"{printable(Path(str(source)).absolute().parent.name)}_{name}"
        for source, name in zip(sources, plain, strict=True)
    ]
    alike = Counter(plain)
    return _unique([folder if alike[name] > 1 else name for folder, name in zip(folders, plain, strict=True)])


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were given already, whatever the case of their letters."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        tries = (name if number == 1 else f"{name}_{number}" for number in count(1))
        found.append(next(one for one in tries if one.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def _base(source: Source) -> str:
    return "stdin" if str(source) == STANDARD_INPUT else Path(str(source)).name


def write_multiqc(report: ScoreReport, folder: Path) -> list[Path]:
    """A file SAMPLE_anelab_SECTION_mqc.json for each sample and section, which MultiQC finds by its name and joins over
    samples by the section's id."""
    files = _unique([ODD.sub("_", sample.name)[:MOST_NAME] for sample in report.samples])
    paths = []
    for file, sample in zip(files, report.samples, strict=True):
        plain = replace(sample, name=HTML.sub("_", sample.name), file=HTML.sub("_", sample.file))
        for section, content in multiqc_sections(plain, html.escape(report.scorer)).items():
            paths.append(folder / f"{file}_anelab_{section}_mqc.json")
            write_json(paths[-1], content)
    return paths


def multiqc_sections(sample: ReadStatistics, scorer: str) -> dict[str, dict[str, Any]]:
    """MultiQC's custom content of one sample, by the name of the section. A line without a point is left out: MultiQC
    would show nothing at all."""
    figures = sample.as_json()
    share = 100 * figures["kept"] / figures["reads"] if figures["reads"] else 0.0
    lengths = [[one["to"], one["reads"]] for one in figures["by_length"]]
    kept = [[one["to"], 100 * one["kept"] / one["reads"]] for one in figures["by_length"]]
    before = [[one["to"], one["mean_quality"]] for one in figures["by_cycle"]]
    after = [[one["to"], one["kept_mean_quality"]] for one in figures["by_cycle"] if one["kept_bases"]]
    counts = {"kept": figures["kept"], "discarded": figures["reads"] - figures["kept"]}
    name = sample.name
    sections = {
        "general": {
            "id": "anelab_general",
            "plot_type": "generalstats",
            "pconfig": [
                {"kept_percent": {"title": "% kept", "description": f"Reads that are kept by {scorer}", "suffix": "%"}},
                {"reads": {"title": "Reads", "description": "Reads that were judged", "format": "{:,.0f}"}},
            ],
            "data": {name: {"kept_percent": share, "reads": figures["reads"]}},
        },
        "verdicts": _section("verdicts", "Verdicts", f"Reads kept and discarded by {scorer}", "bargraph", name, counts),
        "lengths": _lines("lengths", "Read lengths", "All reads", name, lengths, "bases", "reads"),
        "kept_by_length": _lines(
            "kept_by_length", "Reads kept by length", f"Kept by {scorer}", name, kept, "bases", "% kept"
        ),
        "quality_before": _lines(
            "quality_before", "Quality by cycle, before", "All reads", name, before, "cycle", "mean Phred score"
        ),
        "quality_after": _lines(
            "quality_after",
            "Quality by cycle, after",
            f"Reads that are kept by {scorer}",
            name,
            after,
            "cycle",
            "mean Phred score",
        ),
    }
    return {name: section for name, section in sections.items() if section["data"][sample.name]}


def _lines(section: str, title: str, about: str, sample: str, points: Sequence[Any], x: str, y: str) -> dict[str, Any]:
    found = _section(section, title, about, "linegraph", sample, points)
    return {**found, "pconfig": {**found["pconfig"], "xlab": x, "ylab": y}}


def _section(
    section: str, title: str, about: str, plot: str, sample: str, data: Mapping[str, Any] | Sequence[Any]
) -> dict[str, Any]:
    identity = f"anelab_{section}"
    return {
        "id": identity,
        "parent_id": "anelab",
        "parent_name": "anelab",
        "section_name": title,
        "description": f"{about}.",
        "plot_type": plot,
        "pconfig": {"id": f"{identity}_plot", "title": f"anelab: {title}"},
        "data": {sample: data},
    }
