"""What ONNX Runtime's Core ML provider would take of an ONNX file, in words."""

from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import UsageError
from anelab.texts import echo

if TYPE_CHECKING:
    from anelab.export.coreml_provider.partitions import ProviderReport
    from anelab.inference.location import Location

ROWS = 1


def linted_file(place: "Location", only_packages: dict[str, object]) -> Path:
    """The model's Core ML package, or its ONNX file where it has none. Raises UsageError if options that are
    `only_packages`' are given with an ONNX file."""
    from anelab.export.formats import format_of

    files = [place.single.name] if place.single else list(place.manifest["files"])
    if any(format_of(name) == "coreml" for name in files):
        return place.file("coreml")
    path = place.file("onnx")
    if given := [name for name, value in only_packages.items() if value is not None]:
        raise UsageError(f"{', '.join(given)}: for a .mlpackage only, and {path} is ONNX; leave it out")
    return path


def lint_onnx(path: Path) -> dict[str, "ProviderReport"]:
    """With a row a call and fixed shapes, as anelab's arm `ort-coreml` opens a file, and as the file is."""
    from anelab.export.coreml_provider.partitions import inspect_onnx

    return {"one row, fixed shapes": inspect_onnx(path, ROWS), "as the file is": inspect_onnx(path)}


def print_onnx(reports: dict[str, "ProviderReport"]) -> None:
    from anelab.export.coreml_provider.rules import VERSION

    source = f"rules of ONNX Runtime {VERSION}, format MLProgram, macOS 14 and later; not seen on a Mac"
    for title, report in reports.items():
        echo(f"{title}:")
        for (kind, reason), count in report.by_reason().items():
            echo(f"  {count} {kind} on the CPU: {reason}")
        echo(f"  predicted: {report.verdict} [{source}]")
    echo(
        "Which device Core ML uses inside a partition, this does not tell: convert the model, and lint the .mlpackage."
    )
