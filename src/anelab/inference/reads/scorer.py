"""What gives reads their score: a model by ONNX Runtime, or a rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anelab.errors import AnelabError
from anelab.files import file_digest, read_json
from anelab.sequences.nucleotides import Bytes
from anelab.workloads.read_quality import encode
from anelab.workloads.read_quality.labels import SCORES, passes

if TYPE_CHECKING:
    from anelab.workloads.read_quality.config import ReadsDataConfig
    from anelab.workspace import Workspace

ROWS_AT_ONCE = 1024
"""Rows a call: more of them leave the core's cache."""
THRESHOLD = 0.5

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scorer:
    """`score` gives [n] values of uint8 [n, 300], bytes of reads/3; `passes` which of them are PASS, given the lengths
    of the reads. `column` is what the values are, `name` where they come from."""

    name: str
    column: str
    score: Callable[[Bytes], Values]
    passes: Callable[[Values, Bytes], NDArray[np.bool_]]


@contextmanager
def model_scorer(workspace: "Callable[[], Workspace]", model: str, rows: int = ROWS_AT_ONCE) -> Iterator[Scorer]:
    """Of a folder with a manifest, an .onnx file, or a registered version. Raises AnelabError."""
    path = Path(model)
    if path.is_dir():
        yield _of_folder(path, str(path), rows)
    elif path.is_file() or path.suffix == ".onnx" or model.startswith(("/", ".", "~")):
        yield _of_file(path, path.name, rows)
    else:
        from anelab.tracking.lookup import version_folder

        with version_folder(workspace(), model) as folder:
            yield _of_folder(folder, model, rows)


def _of_folder(folder: Path, name: str, rows: int) -> Scorer:
    """By its manifest: the graph that takes bytes, else the model itself."""
    try:
        files = read_json(folder / "manifest.json")["files"]
        onnx = {file: entry for file, entry in files.items() if entry["format"] == "onnx"}
        raw = [file for file, entry in onnx.items() if entry["graph"] == "raw"]
        chosen = [*raw, *(file for file, entry in onnx.items() if entry["primary"])][0]
        wanted = onnx[chosen]["sha256"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise AnelabError(
            f"{folder}: holds no manifest.json with an ONNX model ({error}); give the folder of an export or of a "
            "registered version of read_quality-onnx"
        ) from None
    if not (folder / chosen).is_file() or file_digest(folder / chosen) != wanted:
        raise AnelabError(f"{folder / chosen}: is not the file of manifest.json; run `anelab sync`, or export again")
    return _of_file(folder / chosen, name, rows)


def _of_file(path: Path, name: str, rows: int) -> Scorer:
    from anelab.export.runtime import SessionPlan, open_session

    if not path.is_file():
        raise AnelabError(f"{path}: is not there")
    session = open_session(path, SessionPlan())
    known = session.get_modelmeta().custom_metadata_map
    contract = known.get("workload"), known.get("preprocessing")
    if contract != ("read_quality", encode.VERSION):
        raise AnelabError(
            f"{path}: is of workload {contract[0]} with preprocessing {contract[1]}, but reads are prepared as "
            f"{encode.VERSION} of read_quality; train and export it anew (`anelab run read_quality`)"
        )
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    takes_bytes = given.type == "tensor(uint8)"

    def score(raw: Bytes) -> Values:
        found = np.empty(len(raw), np.float32)
        for start in range(0, len(raw), rows):
            part = raw[start : start + rows]
            values = part if takes_bytes else encode.encode(part)
            found[start : start + rows] = session.run([answer.name], {given.name: values})[0][:, 0]
        return found

    return Scorer(f"{name} ({path.name})", "probability", score, lambda values, raw: values >= THRESHOLD)


def rule_scorer(rule: str, data: "ReadsDataConfig") -> Scorer:
    """A plain filter, at the thresholds of params.yaml."""
    told = {
        "mean_quality": f"mean_quality >= {data.min_mean_quality:g}",
        "expected_errors": f"expected_errors <= {data.max_expected_errors:g}",
    }[rule]

    def judge(values: Values, raw: Bytes) -> NDArray[np.bool_]:
        return passes(rule, values, encode.lengths_of(raw), data)

    return Scorer(f"{told}, length >= {data.min_length}", rule, SCORES[rule], judge)
