"""A small model of reads, trained and registered once."""

from pathlib import Path

import pytest

from tests.commands import SETTINGS, anelab


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    done = anelab(folder, "run", "read_quality", *SETTINGS)
    assert done.returncode == 0, done.stderr
    return folder
