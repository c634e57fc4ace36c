"""coremltools, quiet. It warns at import of what a Linux host cannot have, and draws progress bars."""

import contextlib
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from anelab.errors import AnelabError


@contextlib.contextmanager
def toolkit() -> Iterator[Any]:
    """The coremltools module; what it logs, warns of and draws reaches nobody, unless `-v` was given.

    Raises AnelabError if it is not installed.
    """
    if logging.getLogger("anelab").isEnabledFor(logging.DEBUG):
        yield _imported()
        return
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield _imported()
    finally:
        logger.setLevel(level)


def forget_names() -> None:
    """Have the next conversion count names from zero, as in a fresh process.

    coremltools numbers its operators process-wide and forgets the numbers only after a conversion that
    succeeds: without this, a model's bytes tell of failures before it.
    """
    from coremltools.converters.mil.converter import _reset_conversion_state

    _reset_conversion_state()


def native_library(name: str) -> str | None:
    """What is wrong with one of coremltools' compiled parts; None if it loads."""
    with toolkit():
        try:
            importlib.import_module(f"coremltools.{name}")
        except ImportError as error:
            return f"does not load ({error})"
    return None


def _imported() -> Any:
    with _without_sklearn():
        try:
            import coremltools
        except ImportError as error:
            raise AnelabError(f"Core ML needs coremltools ({error}); install what requirements.lock names") from None
    return coremltools


@contextlib.contextmanager
def _without_sklearn() -> Iterator[None]:
    """coremltools 9 takes seconds to import scikit-learn, only to find that it supports no version as new as ours."""
    absent = not {"coremltools", "sklearn"} & sys.modules.keys()
    if absent:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # as the import system has it: not to be found
    try:
        yield
    finally:
        if absent:
            del sys.modules["sklearn"]
