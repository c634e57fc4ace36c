import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anelab.files import canonical_json, replacing, replacing_folder, write_json, write_text

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from anelab.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
write_text(Path(sys.argv[1]), "new" * 1000)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from anelab.files import replacing_folder
with replacing_folder(Path(sys.argv[1])) as out:
    (out / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), replacing(target) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert target.read_text() == canonical_json({"old": 1})
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name in ("first", "second"):
        with replacing_folder(target) as draft:
            (draft / name).write_text(name)
    assert os.listdir(target) == ["second"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    write_text(target, "old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(target)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert target.read_text() == "old"


def test_a_killed_writer_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with replacing_folder(target) as draft:
        (draft / "whole").write_text("whole")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)])
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(target) == ["whole"]


def test_canonical_json_is_sorted_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": 2}) == '{\n  "a": 2,\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


def test_json_takes_numpys_numbers_and_names_what_it_does_not_take() -> None:
    numbers = {"count": np.int64(3), "share": np.float32(0.5), "is": np.bool_(True), "of": [np.uint8(1)]}
    assert json.loads(canonical_json(numbers)) == {"count": 3, "share": 0.5, "is": True, "of": [1]}
    for value in (np.arange(2), {1, 2}, Path("x"), b"bytes"):
        with pytest.raises(TypeError, match=rf"is a {type(value).__name__}, which JSON does not have"):
            canonical_json({"a": value})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": np.float32("nan")})


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "work").write_text("of years")
    with pytest.raises(IsADirectoryError), replacing(folder) as draft:
        draft.write_text("a file")
    assert (folder / "work").read_text() == "of years"
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
