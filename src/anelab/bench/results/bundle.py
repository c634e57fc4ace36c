"""A benchmark as one file that travels: report, samples, and the digests that bind them.

The signature is a digest of the contents, not of a person: it shows that nothing was changed on the way, and an import
also makes every figure again from the samples. Who measured is for the sender to say.
"""

import errno
import math
import shutil
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
from anelab.texts import MOST_BYTES as MOST_JSON
from anelab.texts import parse_json, printable

SCHEMA = "anelab.bundle/1"
REPORT, SAMPLES, CONTENTS = "bench.json", "samples.parquet", "contents.json"
MOST_BYTES = 64 << 20
"""Of a bundle; the samples of two hours of measuring take a tenth of it."""
MOST_UNPACKED = {CONTENTS: MOST_JSON, REPORT: MOST_JSON, SAMPLES: 256 << 20}
MOST_SAMPLES = 10_000_000
MOST_DRAWS, MOST_WORK = 10_000_000, 500_000_000
"""Of a bootstrap over processes, and of all of a result's."""
END, END_AT, LONG_END, MOST_TAIL = b"PK\x05\x06", 22, b"PK\x06\x07", 1 << 17
"""Of a ZIP file: the record at its end, its size, what precedes it in one that is larger than a bundle, and how far
from the end it may lie."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
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
    if too_much := _too_much(report):
        raise AnelabError(f"{target}: is not written, {too_much}; measure with fewer or shorter turns")
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
        _check_end(path)
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if sorted(infos) != sorted(MOST_UNPACKED):
                raise _changed(path, f"it holds {printable(', '.join(sorted(infos))) or 'nothing'}")
            for name, info in infos.items():
                if info.file_size > MOST_UNPACKED[name] or info.compress_type not in COMPRESSIONS:
                    most = MOST_UNPACKED[name] >> 20
                    raise _changed(path, f"{name} has {info.file_size:,} bytes, at most {most} MiB are taken")
                with archive.open(info) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except FileNotFoundError:
        raise AnelabError(f"{path}: there is no such bundle") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is an address before the file's beginning
            raise
        raise AnelabError(f"{path}: is not a bundle, or is truncated ({error}); ask the sender for it again") from None
    found = _json(path, (folder / CONTENTS).read_bytes())
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise _changed(path, f"{CONTENTS} is not a table of contents")
    return found


def _check_end(path: Path) -> None:
    """Raises AnelabError for a file that is too large, or has more files in it than a bundle: before their names are
    read."""
    size = path.stat().st_size
    if not path.is_file():
        raise _changed(path, "it is no file")
    if size > MOST_BYTES:
        raise _changed(path, f"it has more than {MOST_BYTES >> 20} MiB")
    with path.open("rb") as handle:
        handle.seek(max(size - MOST_TAIL, 0))
        data = handle.read(MOST_TAIL)
    place = data.rfind(END)
    if place < 0 or len(data) < place + END_AT:
        raise zipfile.BadZipFile("the end of a ZIP file is missing")
    count = int.from_bytes(data[place + 10 : place + 12], "little")
    if count != len(MOST_UNPACKED) or LONG_END in data[max(place - END_AT, 0) : place]:
        raise _changed(path, f"it holds {count} files, but a bundle holds {', '.join(MOST_UNPACKED)}")


def _json(path: Path, data: bytes) -> Any:
    try:
        return parse_json(data, control=False)
    except ValueError as error:
        raise _changed(path, f"its JSON is not that of a result: {error}") from None


def _changed(path: Path, why: str) -> AnelabError:
    return AnelabError(f"{path}: is refused, {why}; have it exported again where it was measured")


def _check_figures(path: Path, report: Report, samples: Path) -> None:
    """Whoever changes a figure can also sign anew, but the samples would have to follow."""
    if too_much := _too_much(report):
        raise _changed(path, too_much)
    slices = read_samples(samples, str(path), report.samples)
    try:
        again = summarised(report, slices)
    except Exception as error:  # whatever a made-up result may make of it
        raise _changed(path, f"no figures follow from its samples ({type(error).__name__})") from None
    if {one.block for one in slices} - {one.block for one in report.conditions}:
        raise _changed(path, "its blocks' conditions are missing")
    for name, arm in report.arms.items():
        own = parse_arm(name)
        if (arm.kind, arm.variant, arm.device, arm.wants_ne) != (own.kind, own.variant, own.device, own.wants_ne):
            raise _changed(path, f"{name} does not match its digest")
    for part in ("arms", "comparisons", "noise"):
        if not _same(again.as_json()[part], report.as_json()[part]):
            raise _changed(path, f"its {part} do not follow from its samples")


def _too_much(report: Report) -> str:
    """What of a result would take its reader too much time or memory to check; "" if nothing does."""
    blocks, settings = len(report.conditions), report.settings
    work = settings.resamples * blocks * len(report.arms) * max(len(settings.cells), 1)
    if report.samples > MOST_SAMPLES:
        return f"it has {report.samples:,} samples, a bundle at most {MOST_SAMPLES:,}"
    if settings.resamples * blocks > MOST_DRAWS or work > MOST_WORK:
        return f"{settings.resamples:,} resamples of {blocks} processes are more than an import can check"
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SAME_WITHIN, abs_tol=SAME_WITHIN)
    return bool(one == other)
