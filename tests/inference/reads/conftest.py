"""A small model of reads, trained and registered once."""

from pathlib import Path

import pytest

from tests.shared import copy_read_quality


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_read_quality(tmp_path_factory.mktemp("scored"))
