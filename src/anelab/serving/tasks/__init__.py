"""What programs ask for in terms of a task instead of tensors: one file for each family of tasks."""

from collections.abc import Callable

from fastapi import FastAPI

from anelab.serving.repository import Repository
from anelab.serving.tasks import edna, ml, reads, splice

TASKS: tuple[Callable[[FastAPI, Repository], None], ...] = (
    ml.add_routes,
    reads.add_routes,
    edna.add_routes,
    splice.add_routes,
)
STREAMED_PATHS = frozenset((reads.SCORE.encode(),))
"""Whose bodies have no end."""
