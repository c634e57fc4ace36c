"""What is learned. Every package in this folder is a workload: it has `config.Config` and `workload.WORKLOAD`,
and where there are classical answers to the same question, `rules.rules(config, prepared)`: by name, without torch.

Nothing heavy is imported until `get` is called, so that configuration and help stay fast.
"""

import difflib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.errors import UsageError

if TYPE_CHECKING:
    from anelab.learning.base import AnyWorkload, Rule
    from anelab.learning.config import WorkloadConfig


def names() -> list[str]:
    """The workloads there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def config_class(name: str) -> "type[WorkloadConfig]":
    config: type[WorkloadConfig] = import_module(f"{__name__}.{check(name)}.config").Config
    return config


def direction(name: str, figure: str) -> int:
    """1 if a figure of the workload is better high, -1 if low, 0 if neither, or if workload or figure are unknown."""
    return config_class(name).figures.get(figure, 0) if name in names() else 0


@cache
def get(name: str) -> "AnyWorkload":
    workload: AnyWorkload = import_module(f"{__name__}.{check(name)}.workload").WORKLOAD
    return workload


def rules(name: str, config: "WorkloadConfig", prepared: Path) -> "Mapping[str, Rule]":
    """The workload's classical answers, by name; what they need to know is in the folder `prepared`."""
    module = f"{__name__}.{check(name)}.rules"
    if find_spec(module) is None:
        return {}
    found: Mapping[str, Rule] = import_module(module).rules(config, prepared)
    return found


def check(name: str) -> str:
    """`name` itself if it is a workload; else UsageError with the nearest one."""
    if name in names():
        return name
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"workload must be one of {', '.join(names())} but got {name}{hint}")
