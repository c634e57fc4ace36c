"""YAML that is more than it looks."""

from pathlib import Path

import pytest

from anelab.config import load_params
from anelab.errors import UsageError
from anelab.yaml_text import MOST_VALUES, parse_yaml
from tests.conftest import ROOT

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, f"more than {MOST_VALUES:,} values"),
        ("a: &a {k: v}\nb:\n" + "".join("  - <<: *a\n" for _ in range(70_000)), f"more than {MOST_VALUES:,} values"),
        ("a: " + "[" * 100_000 + "]" * 100_000, "more than 64 deep"),
        ("\n".join(f"{' ' * level}a:" for level in range(100)), "more than 64 deep"),
        ("- \n" * (MOST_VALUES + 1), f"more than {MOST_VALUES:,} values"),
        ("a: 1\na: 2", "key a occurs twice"),
        ("a: &a [*a]", "holds itself"),
        ("a: *b", "undefined alias"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a" * (17 << 20), "at most"),
        ("a: \x00", "control characters|not allowed"),
        ("a: " + "1" * 5000, "a number has 5,000 characters, at most 400 are taken"),
    ],
)
def test_what_cannot_be_held_is_refused_before_it_is_built(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        parse_yaml(text)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"params\.yaml is not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_aliases_are_taken() -> None:
    assert parse_yaml("a: &a {x: 1e-3}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 0.001},
        "b": {"x": 0.001},
        "c": {"x": 0.001, "y": 2},
    }


def test_nothing_is_parsed_elsewhere() -> None:
    """DVC reads its files itself."""
    source = ROOT / "src"
    found = [
        path.name for path in source.rglob("*.py") if "yaml.load" in path.read_text() or "safe_load" in path.read_text()
    ]
    assert found == ["yaml_text.py"]
