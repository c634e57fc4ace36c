import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from anelab.cli import main
from anelab.cli.app import app
from tests.conftest import ROOT


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "anelab", *arguments], cwd=cwd, capture_output=True, text=True)


def code_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


def test_help_is_quick_to_import_and_says_what_is_common_to_all_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("-S key=value", "--workspace DIR", "prepare", "train", "model", "sync"):
        assert word in done.stdout
    heavy = (
        "import sys\nfrom anelab.cli import main\ntry:\n main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch','mlflow','numpy','optuna','onnx','pydantic') if m in sys.modules])"
    )
    listed = subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, capture_output=True, text=True)
    assert listed.stdout.strip().endswith("[]")


def test_every_command_shows_an_example() -> None:
    top = typer.main.get_command(app)
    assert isinstance(top, typer.core.TyperGroup)
    found = 0
    for name, command in top.commands.items():
        inside = command.commands if isinstance(command, typer.core.TyperGroup) else {}
        for words, one in [((name,), command), *(((name, part), one) for part, one in inside.items())]:
            if not isinstance(one, typer.core.TyperGroup):
                assert re.match(rf"Example: .*anelab {' '.join(words)}\b", one.epilog or ""), words
                found += 1
    assert found > 20


def test_mistakes_of_use_exit_with_2_and_say_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("train", "mnits") == 2
    assert "did you mean mnist?" in capsys.readouterr().err
    assert code_of("train", "mnist", "-S", "mnist.trainin=1") == 2
    assert "did you mean training?" in capsys.readouterr().err
    assert code_of("train", "mnist", "-S") == 2
    assert "-S needs a value" in capsys.readouterr().err
    assert code_of("train", "mnist", "--workspace", "") == 2
    assert "--workspace needs the name of a folder" in capsys.readouterr().err
    assert code_of("trian", "mnist") == 2
    assert code_of("model", "inspect", "mnits-onnx") == 2


@pytest.mark.parametrize("place", ["/etc/passwd", "/proc/anelab"])
def test_a_workspace_that_cannot_be_is_one_message(place: str) -> None:
    done = run("inputs", "mnist", "--workspace", place)
    assert done.returncode == 1
    assert done.stderr.startswith("anelab: /")
    assert "Traceback" not in done.stderr


def test_a_path_that_sqlite_cannot_take_is_refused(tmp_path: Path) -> None:
    done = run("inputs", "mnist", "--workspace", str(tmp_path / "20%"))
    assert done.returncode == 2
    assert "a path with % cannot hold the SQLite store" in done.stderr


def test_outside_a_project_it_says_what_to_do(tmp_path: Path) -> None:
    done = run("train", "mnist", cwd=tmp_path)
    assert done.returncode == 2
    assert "no params.yaml in" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "reads.fq").write_text("@a\nACGT\n+\nIIII\n")
    words = ("score", "reads.fq", "--rule", "mean_quality", "--phred", "33", "-o", "out.tsv")
    assert "or name one with --workspace" in run(*words, cwd=tmp_path).stderr
    assert run(*words, "--workspace", str(ROOT), cwd=tmp_path).returncode == 0
    assert (tmp_path / "out.tsv").read_text().splitlines()[1] == "a\t40.000000\tFAIL"


@pytest.mark.parametrize("place", ["before", "after", "glued"])
def test_workspace_and_overrides_go_before_or_after(place: str, tmp_path: Path) -> None:
    source, target = "mnist.data.source=[nowhere]", str(tmp_path)
    common = {
        "before": ["--workspace", target, "-S", source, "inputs", "mnist"],
        "after": ["inputs", "mnist", "-S", source, "--workspace", target],
        "glued": ["inputs", f"-S{source}", "mnist", f"--workspace={target}"],
    }
    done = run(*common[place])
    assert done.returncode == 1
    assert "'nowhere' matches no file" in done.stderr
    assert run(*common[place], "-S", "mnist.data.source=simulate").returncode == 0
    assert (tmp_path / "data/inputs/mnist.json").is_file()


def test_a_stage_out_of_order_names_what_is_missing(tmp_path: Path) -> None:
    done = run("train", "mnist", "--workspace", str(tmp_path))
    assert done.returncode == 1
    assert "train needs" in done.stderr
    assert "run the stages before it (inputs, simulate" in done.stderr
    assert "Traceback" not in done.stderr
