"""The DVC stage `inputs`, run at every `dvc repro`: what the user's data are now, and what the host is.

It starts in a fraction of a second, so it imports PyYAML and the standard library only, and leaves
judging the configuration to the stages that use it.
"""

import sys
from pathlib import Path
from typing import Any

from anelab import sources
from anelab.errors import AnelabError, warn
from anelab.files import sha256_text, write_json, write_text
from anelab.host import host_facts
from anelab.workspace import MARKER, Workspace
from anelab.yaml_text import parse_yaml


def write_manifest(workload: str, source: str | list[str], workspace: Workspace) -> dict[str, Any]:
    """Write and return data/inputs/<workload>.json."""
    listed = [] if source == sources.SIMULATE else [source] if isinstance(source, str) else source
    addresses = [item for item in listed if sources.is_address(item)]
    patterns = [item for item in listed if not sources.is_address(item)]
    files = sources.expand(patterns, workspace.project, f"{workload}.data.source")
    manifest = sources.manifest(files, addresses, workspace.state / "digests.json")
    write_json(workspace.manifest(workload), manifest)
    return manifest


def write_host(workspace: Workspace) -> None:
    write_json(workspace.host_report, host_facts())


def main() -> None:
    workspace = Workspace.locate()
    text = (workspace.project / MARKER).read_text(encoding="utf-8")
    params = parse_yaml(text)
    _check_once(text, workspace)
    write_host(workspace)
    for workload in params["workloads"]:
        source = params[workload]["data"]["source"]
        try:
            write_manifest(workload, source, workspace)
        except AnelabError as error:  # other workloads may go on: `prepare` fails by it
            warn(str(error))
            write_json(workspace.manifest(workload), {"error": str(error), "source": source})


def _check_once(text: str, workspace: Workspace) -> None:
    """Judge the whole of params.yaml, with the slower means that takes, whenever it has changed."""
    digest, seen = sha256_text(text), workspace.state / "checked"
    if seen.is_file() and seen.read_text() == digest:
        return
    from anelab.config import load_params

    load_params(workspace.project / MARKER)
    write_text(seen, digest)


def _explain() -> str:
    """What is wrong with params.yaml, from the full and slower reading of it."""
    from anelab.config import load_params

    load_params(Workspace.locate().project / Path(MARKER))
    return f"{MARKER} has no readable list of workloads, or no data.source of one"


if __name__ == "__main__":
    try:
        try:
            main()
        except (KeyError, TypeError, ValueError):
            raise AnelabError(_explain()) from None
    except AnelabError as error:
        sys.exit(f"anelab: {error}")
