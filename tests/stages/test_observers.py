"""What a person sees of long work."""

import pytest

from anelab.stages.observers import MOST_LINES, progress


def test_off_a_terminal_long_work_says_some_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show = progress("search mnist", 20, "trial", ("value", "best"))
    for number in range(20):
        show(number, {"value": number / 20, "best": 0.95})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= MOST_LINES
    assert lines[0] == "anelab: search mnist: trial 4 of 20, value 0.1500, best 0.9500"
    assert lines[-1] == "anelab: search mnist: trial 20 of 20, value 0.9500, best 0.9500"
