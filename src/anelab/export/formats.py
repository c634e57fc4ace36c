"""Formats of exported files, by the end of their names."""

from pathlib import Path

FORMAT_OF_SUFFIX = {".onnx": "onnx", ".mlpackage": "coreml", ".aimodel": "coreai"}
EXPORTED_PROGRAM = ".pt2"
"""Of torch.export: timed alone, never part of an export."""


def format_of(path: Path | str) -> str:
    return {**FORMAT_OF_SUFFIX, EXPORTED_PROGRAM: "pt2"}[Path(path).suffix]
