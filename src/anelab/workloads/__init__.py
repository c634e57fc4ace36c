"""What is learned. Every package in this folder is a workload: it has `config.Config` and `WORKLOAD`.

Nothing heavy is imported until `get` is called, so that configuration and help stay fast.
"""

import difflib
import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from anelab.errors import UsageError

if TYPE_CHECKING:
    from anelab.learning.base import AnyWorkload
    from anelab.learning.config import WorkloadConfig


def names() -> list[str]:
    """The workloads there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def config_class(name: str) -> "type[WorkloadConfig]":
    config: type[WorkloadConfig] = import_module(f"{__name__}.{check(name)}.config").Config
    return config


@cache
def get(name: str) -> "AnyWorkload":
    workload: AnyWorkload = import_module(f"{__name__}.{check(name)}.workload").WORKLOAD
    return workload


def check(name: str) -> str:
    """`name` itself if it is a workload; else UsageError with the nearest one."""
    if name in names():
        return name
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"workload must be one of {', '.join(names())} but got {name}{hint}")
