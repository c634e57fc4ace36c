"""All published figures: those that come with anelab, and those that a workspace adds."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from anelab.bench.published.records import Published, merged
from anelab.errors import AnelabError
from anelab.files import canonical_json, replacing, sha256_text
from anelab.texts import parse_json, printable

RECORDS = TypeAdapter(list[Published])
MOST_BYTES = 8 << 20


@cache
def packed() -> tuple[Published, ...]:
    """Those that come with anelab."""
    content = json.loads(files("anelab.bench.published").joinpath("results.json").read_text(encoding="utf-8"))
    return tuple(merged(group["common"], row) for group in content["groups"] for row in group["rows"])


def published(folder: Path | None = None) -> list[Published]:
    """With those of a workspace's folder, reports/published. Raises AnelabError if a file there is none of these."""
    added = sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else []
    return [*packed(), *(record for path in added for record in read_records(path))]


def read_records(path: Path) -> list[Published]:
    """A list of records, or one. Raises AnelabError that says which field of which is wrong."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AnelabError(f"{path}: has more than {MOST_BYTES >> 20} MiB")
        content = parse_json(path.read_bytes(), control=False)
    except OSError as error:
        raise AnelabError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise AnelabError(f"{path}: is not JSON ({error})") from None
    try:
        found = RECORDS.validate_python(content if isinstance(content, list) else [content])
    except ValidationError as error:
        raise AnelabError(
            f"{path}: {_explained(error)}; `anelab bench published schema` prints what is taken"
        ) from None
    if not found:
        raise AnelabError(f"{path}: has no records")
    return found


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    number, *where = first["loc"]
    place = ".".join(map(str, where))
    return f"record {int(number) + 1}{f', {place}' if place else ''}: {printable(first['msg'], 300)}"


def add_records(path: Path, folder: Path) -> tuple[Path, int]:
    """Check a file, and keep it in the folder under its digest, once. Returns the place and how many records it has.
    Raises AnelabError if it is none."""
    found = read_records(path)
    text = canonical_json([record.model_dump(mode="json", exclude_none=True) for record in found])
    target = folder / f"{sha256_text(text)[:12]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(target) as draft:
        draft.write_text(text, encoding="utf-8")
    return target, len(found)


def pairs(records: Sequence[Published]) -> list[tuple[Published, Published]]:
    """(CPU, Neural Engine) of one source in one setting, where both have a time."""
    sides: dict[object, dict[str, Published]] = {}
    for one in records:
        if one.rate is not None and one.device in ("CPU", "NE") and not one.upper_bound:
            sides.setdefault(one.setting, {}).setdefault(one.device, one)
    return [(both["CPU"], both["NE"]) for both in sides.values() if len(both) == 2]
