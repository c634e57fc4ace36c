from pathlib import Path

import numpy as np

from anelab.export.test_set_rows import read_test_rows, write_test_rows

ROWS = {"a" * 64: {"probability": np.float32([0.5, 1]), "decision": np.array([0, 1])}, "b" * 64: {"score": np.zeros(2)}}


def test_rows_are_those_of_their_file_and_test_set_and_of_no_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    write_test_rows(path, "digest", ROWS)
    found = read_test_rows(path, "digest")
    assert found.keys() == ROWS.keys()
    for sha256, named in ROWS.items():
        for name, array in named.items():
            assert (found[sha256][name].dtype, found[sha256][name].tolist()) == (array.dtype, array.tolist())
    assert read_test_rows(path, "another") == {}
    whole = path.read_bytes()
    write_test_rows(path, "digest", ROWS)
    assert path.read_bytes() == whole
    for damaged in (whole[:-30], b"", b"no archive"):
        path.write_bytes(damaged)
        assert read_test_rows(path, "digest") == {}
    path.unlink()
    assert read_test_rows(path, "digest") == {}
