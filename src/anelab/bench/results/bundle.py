"""A benchmark as one file that travels: report, samples, and the digests that bind them.

The signature is a digest of the contents, not of a person: it shows that nothing was changed on the way, and an import
also makes every figure again from the samples. Who measured is for the sender to say.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anelab.bench.arms.catalog import parse_arm
from anelab.bench.results.report import parse_report, summarised
from anelab.bench.results.samples import read_samples
from anelab.bench.results.schema import Report
from anelab.errors import AnelabError
from anelab.files import canonical_json, file_digest, replacing, sha256_text

SCHEMA = "anelab.bundle/1"
REPORT, SAMPLES, CONTENTS = "bench.json", "samples.parquet", "contents.json"
MOST_BYTES = 2 << 30
TIME = (1980, 1, 1, 0, 0, 0)
"""Equal contents are equal bundles."""
SAME_WITHIN = 1e-6
"""Figures made again on another processor differ in their last digits."""


@dataclass(frozen=True)
class Bundle:
    """An opened and checked bundle; `samples` is there for as long as it is open."""

    report: Report
    samples: Path


def write_bundle(report: Report, samples: Path, target: Path) -> None:
    """Raises AnelabError if the samples are not those of the report."""
    if not samples.is_file() or file_digest(samples) != report.samples_sha256:
        raise AnelabError(f"{samples}: are not the samples of this result; run `dvc checkout` or measure again")
    text = canonical_json(report.as_json())
    files = {REPORT: sha256_text(text), SAMPLES: report.samples_sha256}
    unsigned = {"schema": SCHEMA, "id": report.id, "models": report.subject.files, "files": files}
    contents = {**unsigned, "signature": sha256_text(canonical_json(unsigned))}
    with replacing(target) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, data in ((CONTENTS, canonical_json(contents)), (REPORT, text), (SAMPLES, samples.read_bytes())):
            archive.writestr(zipfile.ZipInfo(name, TIME), data, zipfile.ZIP_DEFLATED)


@contextmanager
def opened_bundle(path: Path) -> Iterator[Bundle]:
    """Raises AnelabError if it is truncated, was changed, or says of its samples what does not follow from them."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        contents = _extract(path, folder)
        unsigned = {key: value for key, value in contents.items() if key != "signature"}
        if contents.get("schema") != SCHEMA or contents.get("signature") != sha256_text(canonical_json(unsigned)):
            raise _changed(path, "its contents do not match its signature")
        for name in (REPORT, SAMPLES):
            if file_digest(folder / name) != contents["files"].get(name):
                raise _changed(path, f"{name} does not match {CONTENTS}")
        report = parse_report(_json(path, (folder / REPORT).read_bytes()), f"{path}: {REPORT}")
        if (report.id, report.samples_sha256) != (contents.get("id"), contents["files"][SAMPLES]):
            raise _changed(path, "its report belongs to other samples")
        _check_figures(path, report, folder / SAMPLES)
        yield Bundle(report, folder / SAMPLES)


def _extract(path: Path, folder: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if sorted(infos) != sorted((CONTENTS, REPORT, SAMPLES)):
                raise _changed(path, f"it holds {', '.join(sorted(infos)) or 'nothing'}")
            if sum(info.file_size for info in infos.values()) > MOST_BYTES:
                raise AnelabError(f"{path}: holds more than {MOST_BYTES >> 30} GiB; a bundle of anelab is far smaller")
            for name in infos:
                (folder / name).write_bytes(archive.read(name))
    except FileNotFoundError:
        raise AnelabError(f"{path}: there is no such bundle") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise AnelabError(f"{path}: is not a bundle, or is truncated ({error}); ask the sender for it again") from None
    found = _json(path, (folder / CONTENTS).read_bytes())
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise _changed(path, f"{CONTENTS} is not a table of contents")
    return found


def _json(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise _changed(path, f"it holds no JSON ({error})") from None


def _changed(path: Path, why: str) -> AnelabError:
    return AnelabError(f"{path}: is refused, {why}; have it exported again where it was measured")


def _check_figures(path: Path, report: Report, samples: Path) -> None:
    """Whoever changes a figure can also sign anew, but the samples would have to follow."""
    slices = read_samples(samples)
    try:
        again = summarised(report, slices)
    except Exception as error:  # whatever a made-up result may make of it
        raise _changed(path, f"no figures follow from its samples ({type(error).__name__})") from None
    if report.samples != sum(len(one.ns) for one in slices):
        raise _changed(path, "the number of its samples is not the one that it states")
    if {one.block for one in slices} - {one.block for one in report.conditions}:
        raise _changed(path, "its blocks' conditions are missing")
    for name, arm in report.arms.items():
        own = parse_arm(name)
        if (arm.kind, arm.variant, arm.device, arm.wants_ne) != (own.kind, own.variant, own.device, own.wants_ne):
            raise _changed(path, f"{name} does not match its digest")
    for part in ("arms", "comparisons", "noise"):
        if not _same(again.as_json()[part], report.as_json()[part]):
            raise _changed(path, f"its {part} do not follow from its samples")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SAME_WITHIN, abs_tol=SAME_WITHIN)
    return bool(one == other)
