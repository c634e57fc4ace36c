"""`anelab new`: the folder of a new workload, its section of params.yaml and its test, as a start that runs."""

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from anelab import workloads
from anelab.config import Params
from anelab.errors import UsageError
from anelab.files import replacing, replacing_folder, write_text
from anelab.workspace import MARKER

NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
LISTED = re.compile(r"^workloads:\s*\[([^\]]*)\]", re.MULTILINE)


def new_workload(project: Path, name: str) -> list[Path]:
    """Write the files of a workload into the clone `project`; returns them. Raises UsageError for a name that cannot
    be, one that is there, and a folder that is no clone."""
    _check_name(name)
    package = project / "src" / "anelab" / "workloads" / name
    test, params = project / "tests" / "workloads" / f"test_{name}.py", project / MARKER
    if not package.parent.is_dir():
        raise UsageError(f"{project} has no src/anelab/workloads; a workload is made in a clone of the project")
    for path in (package, test):
        if path.exists():
            raise UsageError(f"{path} is there already; choose another name, or remove it")
    text = _with_section(params.read_text(encoding="utf-8"), name)
    values = {"name": name, "title": name.title().replace("_", "")}
    with replacing_folder(package) as out, replacing(test) as test_draft, replacing(params) as params_draft:
        for part in ("config.py", "workload.py", "rules.py"):
            write_text(out / part, _filled(part, values))
        write_text(out / "__init__.py", f'"""{name}: what it learns."""\n')
        write_text(test_draft, _filled("test.py", values))
        write_text(params_draft, text + _filled("params.yaml", values))
    return [package, test, params]


def _check_name(name: str) -> None:
    taken = (
        keyword.iskeyword(name) or name.startswith("model_") or (hasattr(Params, name) or name in Params.model_fields)
    )
    if not NAME.fullmatch(name) or taken:
        raise UsageError(
            f"NAME must be lower-case letters, digits and _, begin with a letter, and be no word of Python or of "
            f"params.yaml, but got {name}"
        )
    if name in workloads.names():
        raise UsageError(f"{name} is a workload already; there are {', '.join(workloads.names())}")


def _with_section(text: str, name: str) -> str:
    """params.yaml's text with the name added to its list `workloads`."""
    found = LISTED.search(text)
    if found is None:
        raise UsageError(f"{MARKER} has no line `workloads: [...]` that {name} could be added to")
    if re.search(rf"^{name}:", text, re.MULTILINE):
        raise UsageError(f"{MARKER} has a section {name} already; choose another name, or remove it")
    listed = ", ".join(filter(None, [found[1].strip(" ,"), name]))
    return text[: found.start(1)] + listed + text[found.end(1) :]


def _filled(part: str, values: dict[str, str]) -> str:
    template = (files("anelab") / "templates" / f"{part}.txt").read_text(encoding="utf-8")
    return Template(template).substitute(values)
