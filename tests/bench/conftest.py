from pathlib import Path

import pytest

from anelab.bench.arms.contract import Subject
from tests.bench.models import subject_in


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """mnist's exported files with module and data: the same for all tests of a process, which only read them."""
    return subject_in(Path(tmp_path_factory.mktemp("exported")))
