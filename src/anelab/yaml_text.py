"""YAML, bounded before it is built: a few lines of aliases can stand for more values than memory holds."""

import re
from pathlib import Path
from typing import Any

import yaml

from anelab.errors import DamagedFileError
from anelab.texts import MOST_BYTES, MOST_DEPTH, MOST_TEXT

MOST_DIGITS = 400
MOST_VALUES = 200_000
"""Keys and values of a file; what an alias stands for counts each time."""
_BASE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE_LOADER):  # type: ignore[misc]  # its base is chosen at run time
    """YAML 1.2's floats, as DVC reads them (1e-3 is a number, not a text), and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.YAMLError(f"key {key.value} occurs twice, {str(node.start_mark).strip()}")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> Any:
        """Numbers in base 60, with a colon for each digit, take quadratic time."""
        if isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"a number has {len(node.value):,} characters, at most {MOST_DIGITS} are taken")
        is_int = str(node.tag).endswith(":int")
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """Of at most MOST_BYTES characters, MOST_DEPTH and MOST_VALUES. Raises ValueError that says what it is instead."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"{len(text):,} characters, at most {MOST_BYTES:,} are taken")
    try:
        _check_bounds(text)
        return yaml.load(text, Loader=_Loader)
    except ValueError:
        raise
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:  # a tag on what is none of its kind
        raise ValueError(f"a value is not of the type of its tag ({type(error).__name__}: {error})") from None


def read_yaml(path: Path) -> Any:
    """The file's content. Raises DamagedFileError if it is no YAML, or beyond the bounds; absence stays
    FileNotFoundError."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(f"{path}: is damaged, it holds no YAML ({error}); make it again or restore it") from None


def _check_bounds(text: str) -> None:
    """Raises ValueError for too many values or levels. It goes by events, which nothing is built of."""
    sizes, anchors, opened = [0], dict[str, int](), list[str | None]()
    for event in yaml.parse(text, Loader=_BASE_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(event.anchor)
            sizes.append(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), opened.pop()
            sizes[-1] += size
            anchors |= {anchor: size} if anchor else {}
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_TEXT:
            raise ValueError(f"a text has {len(event.value):,} characters, at most {MOST_TEXT:,} are taken")
        elif isinstance(event, yaml.ScalarEvent):
            sizes[-1] += 1
            anchors |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, yaml.AliasEvent) and event.anchor in opened:
            raise ValueError(f"a list or mapping holds itself, *{event.anchor}")
        elif isinstance(event, yaml.AliasEvent):
            sizes[-1] += anchors.get(str(event.anchor), 1)
        if len(opened) > MOST_DEPTH:
            raise ValueError(f"lists in lists, more than {MOST_DEPTH} deep")
        if sizes[-1] > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values (aliases counted as what they stand for)")
