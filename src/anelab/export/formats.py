"""Formats of exported files, by the end of their names."""

from pathlib import Path

FORMAT_OF_SUFFIX = {".onnx": "onnx", ".mlpackage": "coreml", ".aimodel": "coreai"}


def format_of(path: Path | str) -> str:
    return FORMAT_OF_SUFFIX[Path(path).suffix]
