"""A dashboard in a real Chromium, on the results that `make repro` left in this checkout."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import ROOT
from tests.dashboards.conftest import import_mac, map_genes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBES = ("/_stcore/health", "/_stcore/host-config")
"""On a link to a page Streamlit asks below that page first where its server is, and is told 404."""


@contextmanager
def serving(home: Path, log: Path) -> Iterator[str]:
    """The address of `anelab dashboard` on the workspace `home`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "anelab", "dashboard", "--port", str(port), "--workspace", str(home)]
    with log.open("w") as handle:
        process = subprocess.Popen(command, cwd=ROOT, stdout=handle, stderr=subprocess.STDOUT)
    try:
        yield _ready(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return address
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(log.read_text())


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout's store, with a Mac's result that is made up beside the real ones, and a map of the
    simulated genes."""
    assert (ROOT / "mlruns" / "mlflow.db").is_file(), "there are no results to show; run `make repro` first"
    home = tmp_path_factory.mktemp("store")
    shutil.copytree(ROOT / "mlruns", home / "mlruns")
    import_mac(home, tmp_path_factory.mktemp("mac"))
    map_genes(home, ROOT / "data/raw/edna", str(ROOT / "models/edna/export"), tmp_path_factory.mktemp("index"))
    return home


@pytest.fixture(scope="session")
def address(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(store, tmp_path_factory.mktemp("log") / "server.log") as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM, "there is no Chromium; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, with every error that it logged and every request that left this machine."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.strayed: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("request", self._see)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        where = str(message.location.get("url", ""))
        if message.type == "error" and not where.endswith(PROBES):
            self.errors.append(f"{message.text} {where}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.strayed.append(request.url)

    def open(self, url: str) -> Page:
        """The page when its script has ended and it stands still."""
        self.page.goto(url)
        self.page.wait_for_selector("h1", timeout=60_000)
        self.settle()
        return self.page

    def settle(self) -> None:
        self.page.wait_for_selector('[data-test-script-state="notRunning"]', timeout=60_000)
        self.page.wait_for_timeout(400)


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    yield Watched(context)
    context.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go, for a person to look at."""
    named = os.environ.get("ANELAB_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
