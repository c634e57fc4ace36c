"""params.yaml, read and judged as a whole: every mistake is reported at once, with its fix."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, create_model

from anelab import workloads
from anelab.bench.arms.catalog import parse_arm
from anelab.errors import UsageError
from anelab.learning.config import Section, WorkloadConfig, laid_over
from anelab.texts import value_text
from anelab.yaml_text import parse_yaml

MOST_GOT = 200
"""Characters of a wrong value in a message."""


class Params(Section):
    """The whole of params.yaml; `section(name)` gives one workload's part."""

    workloads: list[str] = Field(min_length=1)
    seed: int = Field(ge=0, le=2**32 - 1)

    def section(self, workload: str) -> WorkloadConfig:
        config: WorkloadConfig = getattr(self, workload)
        return config.model_copy(update={"seed": self.seed})


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Read and check `path` with `overrides` ('key.path=value', values are YAML) laid over it.

    Raises UsageError that lists every unknown key, wrong type and impossible value.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist, and this command needs it; run it inside a clone of the project, or name one with "
            "--workspace"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path.name} is not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path.name} must be a mapping of keys to values")
    for text in overrides:
        raw = override(raw, text)
    return check_params(raw, f"{path.name} with -S" if overrides else path.name)


def check_params(raw: Mapping[str, Any], where: str) -> Params:
    model, arms = _model(raw), _arm_mistakes(raw)
    try:
        params = model.model_validate_json(json.dumps(raw, default=str))
        if not arms:
            return params
        raise UsageError(_listed(where, arms))
    except (TypeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise UsageError(f"{where} cannot be read as a configuration: {error}") from None
        lines = [_explain(item, model) for item in error.errors()]
        raise UsageError(_listed(where, [*lines, *arms])) from None


def _arm_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """A line for every name in a section's bench.arms that is no arm: hours before the benchmark would find it."""
    found = []
    for workload in workloads.names():
        section = raw.get(workload)
        bench = section.get("bench") if isinstance(section, dict) else None
        arms = bench.get("arms") if isinstance(bench, dict) else None
        for name in arms if isinstance(arms, list) else []:
            try:
                parse_arm(name) if isinstance(name, str) else None
            except UsageError as error:
                found.append(f"{workload}.bench.arms: {error}")
    return found


def _listed(where: str, lines: list[str]) -> str:
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return f"{where} has {count}:\n" + "\n".join(f"  {line}" for line in lines)


def override(raw: dict[str, Any], text: str) -> dict[str, Any]:
    """`raw` with one 'a.b.c=value' applied, or with the file of '@file.yaml' laid over it; the input is left as it
    was."""
    if text.startswith("@"):
        return laid_over(raw, _read_mapping(Path(text[1:])))
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(
            f"-S takes key=value, like -S seed=3 or -S WORKLOAD.training.max_epochs=3, or @FILE.yaml, but got {text!r}"
        )
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise UsageError(f"-S {key}: {value!r} is not valid YAML: {error}") from None
    return _with(raw, key.split("."), parsed)


def _read_mapping(path: Path) -> dict[str, Any]:
    """Raises UsageError for a file that holds no keys and values."""
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"-S @{path}: cannot be read ({error}); name a file of YAML, like -S @mine.yaml") from None
    except ValueError as error:
        raise UsageError(f"-S @{path}: is not valid YAML: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"-S @{path}: must hold keys and values as params.yaml does")
    return found


def _with(raw: Any, keys: list[str], value: Any) -> dict[str, Any]:
    if not keys:
        return value  # type: ignore[no-any-return]
    inner = raw if isinstance(raw, dict) else {}
    return {**inner, keys[0]: _with(inner.get(keys[0]), keys[1:], value)}


def _model(raw: Mapping[str, Any]) -> type[Params]:
    """Params with a section for each workload that exists; those in use must be there."""
    wanted = raw.get("workloads")
    required = {name for name in wanted if isinstance(name, str)} if isinstance(wanted, list) else set()
    unknown = [name for name in required if name not in workloads.names()]
    if unknown:
        lines = [f"workloads: {name} is not a workload{_hint(name, workloads.names())}" for name in unknown]
        raise UsageError(_listed("params.yaml", lines))
    sections = {name for name in workloads.names() if name in required or name in raw}
    fields: dict[str, Any] = {name: (workloads.config_class(name), ...) for name in sorted(sections)}
    return create_model("Params", __base__=Params, **fields)


def _explain(item: Any, model: type[BaseModel]) -> str:
    """'key.path: what is wrong, what is allowed but got value'."""
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)
    if item["type"] == "extra_forbidden":
        siblings = _keys_at(model, path[:-1])
        return f"{key}: unknown key{_hint(path[-1], siblings)}"
    if item["type"] == "missing":
        return f"{key}: missing; add it"
    message = item["msg"].removeprefix("Value error, ")
    got = "" if isinstance(item["input"], dict) else f", but got {value_text(item['input'], MOST_GOT)}"
    return f"{key}: {message[:1].lower()}{message[1:]}{got}"


def _hint(name: str, allowed: Iterable[str]) -> str:
    allowed = sorted(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    return f"; did you mean {near[0]}?" if near else f"; allowed: {', '.join(allowed)}" if allowed else ""


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """What may be there; nothing where that depends on what is."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)
