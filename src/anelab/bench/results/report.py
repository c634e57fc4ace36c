"""From a run to its report, and from a report and its samples to the report they should make."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from anelab.bench.arms.placement import UNAVAILABLE
from anelab.bench.results.samples import AGAIN, Slice
from anelab.bench.results.schema import ArmResult, Report
from anelab.bench.results.summary import Timed, not_on_ne
from anelab.bench.scenario import Scenario
from anelab.errors import AnelabError
from anelab.files import canonical_json, read_json, sha256_text
from anelab.texts import printable, value_text

UNITS = re.compile("/(cpu_and_ne|cpu_and_gpu|all)")
"""Core ML's sets of units but the CPU alone, in an arm's name."""


def summarised(report: Report, slices: Iterable[Slice]) -> Report:
    """The report with everything that follows from the samples, and its id."""
    settings = report.settings
    left_out = {one.block: one.left_out for one in report.conditions if one.left_out}
    timed = Timed.of(slices, left_out, settings.resamples, settings.seed)
    arms = {name: report.arms[name].model_copy(update={"cells": timed.cells(name)}) for name in settings.arms}
    noise, comparisons = {}, []
    for cell in settings.cells:
        floor = timed.floor(cell, settings.reference)
        if timed.slices.get((settings.reference + AGAIN, cell)):
            noise[cell] = timed.comparison(cell, settings.reference + AGAIN, settings.reference, floor)
        comparisons += [
            timed.comparison(cell, name, against, floor, off_ne([arms[name], arms[against]], cell))
            for name, against in _pairs(arms, settings.reference)
            if cell in arms[name].cells
        ]
    changed = report.model_copy(
        update={"arms": arms, "noise": noise, "comparisons": comparisons, "id": "", "imported": False}
    )
    return changed.model_copy(update={"id": identity(changed)})


def off_ne(arms: Iterable[ArmResult], cell: Scenario) -> str:
    """Why an arm of these that is about the Neural Engine was not seen on it in that cell; "" if there is none."""
    reasons = (not_on_ne(arm.placements.get(cell.call_rows, UNAVAILABLE)) for arm in arms if arm.wants_ne)
    return next((reason for reason in reasons if reason), "")


def _pairs(arms: Mapping[str, ArmResult], reference: str) -> list[tuple[str, str]]:
    """Each arm against the reference; and each set of Core ML's units against the CPU alone, with the same package,
    which is the comparison that a claim about the Neural Engine rests on."""
    pairs = [(name, reference) for name in arms if name != reference]
    for name in arms:
        cpu = UNITS.sub("/cpu_only", name)
        if cpu != name and cpu in arms and cpu != reference:
            pairs.append((name, cpu))
    return pairs


def identity(report: Report) -> str:
    """sha256 of the report's content, whether it was imported or not."""
    return sha256_text(canonical_json({**report.as_json(), "id": "", "imported": False}))


def read_report(path: Path) -> Report:
    """Raises AnelabError if the file is missing, damaged, of another schema, or not what its id says."""
    try:
        return parse_report(read_json(path), str(path))
    except FileNotFoundError:
        raise AnelabError(f"{path}: there is no benchmark; run `anelab bench run WORKLOAD`") from None


def parse_report(content: object, where: str) -> Report:
    try:
        report = Report.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place, message = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
        raise AnelabError(
            f"{where}: is not a benchmark result that this anelab reads: {printable(place)}: {message}, "
            f"but got {value_text(first['input'])}"
        ) from None
    if report.id != identity(report):
        raise AnelabError(f"{where}: was changed after it was written: its content does not match its id")
    return report
