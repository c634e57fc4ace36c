"""`anelab dashboard`: Streamlit on dashboards/, bound to this machine."""

import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anelab
from anelab.allowed_hosts import AllowedHosts, check_host
from anelab.errors import AnelabError
from anelab.texts import echo
from anelab.workspace import Workspace

ADDRESS = "127.0.0.1"
LAST_PORT = 65535
WORKSPACE = "ANELAB_WORKSPACE"
"""Where the pages read which workspace they show."""
TRAININGS = 30
"""In a sparkline of the first page."""
IMPORTED = ("pyarrow.parquet", "streamlit", "streamlit.dataframe_util", "streamlit.elements.vega_charts")
QUIET = {
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_SERVER_HEADLESS": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def serve(workspace: Workspace, port: int, hosts: Sequence[str] = ()) -> None:
    """Until it is interrupted; to requests for a loopback name, or for one of `hosts`. Raises UsageError for what is no
    name of a host, AnelabError if Streamlit or the pages are missing, or the port is taken."""
    names = [check_host(name) for name in hosts]
    if find_spec("streamlit") is None:
        raise AnelabError("Streamlit is not installed; run `make setup`, or install anelab[dashboard]")
    app = _app()
    _check_port(port)
    os.environ.update(QUIET | {WORKSPACE: str(workspace.root)})
    sys.argv = [str(app)]  # beside which Streamlit looks for its configuration
    config = {"server.address": ADDRESS, "server.port": port, "logger.hideWelcomeMessage": True}
    _import_first(app, config)
    echo(f"http://{ADDRESS}:{port} shows {workspace.root}; Ctrl-C ends it")
    _run(app, config, names)


def _app() -> Path:
    """Inside the package where a wheel was installed, beside src/ in a clone."""
    package = Path(anelab.__file__).parent
    places = (package / "dashboards" / "app.py", package.parents[1] / "dashboards" / "app.py")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise AnelabError(f"{places[0]} is not there; install anelab again")
    return found


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except PermissionError:
            raise AnelabError(
                f"port {port} is reserved for the system; choose one above 1023: anelab dashboard --port 8501"
            ) from None
        except OSError:
            other = port + 1 if port < LAST_PORT else port - 1
            raise AnelabError(f"port {port} is in use; choose another: anelab dashboard --port {other}") from None


def _import_first(app: Path, config: dict[str, Any]) -> None:
    """What the first page would otherwise wait for. A store that cannot be opened is for the pages to tell of."""
    for name in (*IMPORTED, "anelab.tracking.benchmarks", "anelab.bench.results.report", "anelab.views.charts"):
        import_module(name)
    from streamlit.config import get_config_options
    from streamlit.env_util import is_repl

    is_repl()  # Streamlit asks once, and looks through every module for the answer
    get_config_options(force_reparse=True, options_from_flags=config)  # read later, it would be said to have changed
    with suppress(Exception):  # whatever a store may hold
        _read_first(app)


def _read_first(app: Path) -> None:
    """What the first page reads, into the caches of the pages' own functions. Streamlit would warn that no server runs
    yet."""
    logging.getLogger("streamlit.runtime.caching.cache_data_api").setLevel(logging.ERROR)
    sys.path.insert(0, str(app.parent))  # where Streamlit puts it, too
    loading: Any = import_module("loading")
    for workload in loading.workloads():
        loading.versions(workload)
        loading.runs(workload, "train", TRAININGS)
        loading.latest_reports(workload)


def _run(app: Path, config: dict[str, Any], hosts: Sequence[str]) -> None:
    from starlette.middleware import Middleware
    from streamlit.starlette import App

    App(app, middleware=[Middleware(AllowedHosts, hosts=hosts)]).run(config=config)
