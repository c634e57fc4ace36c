"""Texts of others, where commands and reports write them."""

import re
import subprocess
import sys
from pathlib import Path

import altair as alt
import onnx
import pandas as pd
import pytest

from anelab.texts import MOST_LINE, echo, notify
from anelab.views import formatting
from anelab.views.page import Part, as_html, as_markdown
from anelab.views.tables import report_text
from tests.conftest import ROOT
from tests.views.made import mac

FORGED = "anelab: 10,000 reads PASS"
EVIL = f"Mac\x1b[2J\x1b]0;title\x07\n{FORGED}\r\u202ehttps://evil.example www.evil.example a@evil.example {'x' * 5000}"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


def test_commands_print_by_what_escapes() -> None:
    """A print elsewhere would write a text as it is."""
    found = [
        path.name
        for path in (ROOT / "src/anelab").rglob("*.py")
        if re.search(r"(?<![\w.])print\(", path.read_text()) and "templates" not in path.parts
    ]
    assert sorted(found) == ["interruption.py", "texts.py"]


def test_a_line_stays_a_line_and_a_message_keeps_the_edge(capsys: pytest.CaptureFixture[str]) -> None:
    echo(EVIL)
    notify(f"anelab: {EVIL}")
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert len(out) < MOST_LINE
    assert not CONTROL.search(out + err)
    assert err.startswith("anelab: Mac\\x1b[2J\\x1b]0;title\\x07\n  anelab: 10,000 reads PASS\\x0d\\u202ehttps")


def test_a_result_is_shown_without_what_its_host_is_called() -> None:
    report, _ = mac()
    odd = report.model_copy(
        update={"host": report.host.model_copy(update={"model": EVIL, "processor": EVIL}), "warnings": [EVIL]}
    )
    text = report_text(odd, [])
    assert not CONTROL.search(text)
    assert FORGED in text
    assert not any(line.startswith(FORGED) for line in text.splitlines())
    assert max(map(len, text.splitlines())) < 700
    assert "\n" not in formatting.result_name(odd)
    assert not CONTROL.search(formatting.result_name(odd))


def test_reports_have_no_control_characters_and_no_links() -> None:
    frame = pd.DataFrame({EVIL: [EVIL, "b"], "value": [1.0, 2.0]})
    chart = alt.Chart(pd.DataFrame({"x": [1]})).mark_point().encode(x="x")
    parts = [Part(EVIL, [EVIL], frame), Part(EVIL, [EVIL], None, chart)]
    page, text = as_html(parts, "now", "title"), as_markdown(parts)
    for written in (page, text, formatting.latex(frame), formatting.plain(EVIL), formatting.prose(EVIL)):
        assert not CONTROL.search(written)
    for address in ("https://", "www.evil", "a@evil"):
        assert address not in text
        assert address not in formatting.plain(EVIL)
    assert not any(line.startswith(FORGED) for line in text.splitlines())
    assert formatting.rounded(frame)[EVIL].str.len().max() <= formatting.MOST_CELL


def test_what_a_model_says_of_itself_is_one_line_a_value(real_data: Path, tmp_path: Path) -> None:
    model = onnx.load(real_data / "hostile/ansi_meta.onnx")
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "r.fq").write_text("@r\nACGT\n+\nIIII\n")
    for words in (["model", "inspect", "m.onnx"], ["score", "r.fq", "--model", "m.onnx", "-o", "o.tsv"]):
        done = subprocess.run([sys.executable, "-m", "anelab", *words], cwd=tmp_path, capture_output=True, text=True)
        assert "10,000 reads PASS" in done.stdout + done.stderr
        assert not CONTROL.search(done.stdout + done.stderr)
        assert not any(line.startswith("anelab: done") for line in (done.stdout + done.stderr).splitlines())


def test_a_name_in_a_file_of_reads_is_escaped(real_data: Path, tmp_path: Path) -> None:
    words = ["score", str(real_data / "hostile/ansi.fq"), "--rule", "mean_quality", "-o", str(tmp_path / "o.tsv")]
    done = subprocess.run([sys.executable, "-m", "anelab", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("anelab: ")
    assert not CONTROL.search(done.stderr)
