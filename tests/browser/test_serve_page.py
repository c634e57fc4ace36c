"""The page of `anelab serve` as a person has it: in Chromium, on the champions that the pipeline made."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from anelab.serving.access import add_key
from tests.browser.conftest import Watched
from tests.conftest import ROOT

SEVEN = [(80, 60), (200, 60), (150, 150), (110, 230)]
HAS_RUNTIME = (ROOT / ".anelab" / "web" / "node_modules" / "onnxruntime-web").is_dir()


class Server:
    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        models = [f"--model={name}=models:/{name}-onnx@champion" for name in ("mnist", "read_quality")]
        command = [sys.executable, "-m", "anelab", "serve", *models, "--port", port, *options]
        self.process = subprocess.Popen(command, cwd=ROOT)
        self.address = f"http://127.0.0.1:{port}/"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.address}v2/health/ready", timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.1)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.end()


def draw(page: Page) -> None:
    box = page.locator("#canvas").bounding_box()
    assert box
    for number, (x, y) in enumerate(SEVEN):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=15)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def answers(page: Page, count: int) -> list[list[str]]:
    """The labels and numbers of each answer."""
    page.click("#ask")
    page.wait_for_function("count => document.querySelectorAll('.answer').length === count", arg=count)
    return [[row.inner_text() for row in answer.locator(".row span").all()] for answer in page.locator(".answer").all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_digit_is_drawn_and_reads_are_pasted(scheme: str, server: Server, chromium: Browser, pictures: Path) -> None:
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 1000})  # type: ignore[arg-type]
    watched = Watched(context)
    page = watched.page
    page.goto(server.address)
    page.wait_for_selector("#models tr")
    assert page.locator("#models tr").count() == 2
    draw(page)
    ways = 2 if HAS_RUNTIME else 1
    found = answers(page, ways)
    assert len(found[0]) == 10
    assert all(one == found[0] for one in found), "the browser answers otherwise than the server"
    page.screenshot(path=pictures / f"serve_{scheme}.png", full_page=True)
    page.select_option("#choice", "1")
    verdicts = answers(page, ways)
    assert [text.split()[1] for text in verdicts[0][::2]] == ["PASS", "FAIL"]
    assert all(one[::2] == verdicts[0][::2] for one in verdicts)
    page.fill("#reads", "no reads")
    page.click("#ask")
    page.wait_for_selector(".wrong:not(:empty)")
    assert "the header must start with '@'" in page.inner_text("#answers")
    assert watched.strayed == []
    assert [text for text in watched.errors if "422" not in text] == []
    context.close()


@pytest.mark.skipif(not HAS_RUNTIME, reason="onnxruntime-web is not here; `make web` gets it")
def test_in_the_browser_alone_nothing_is_sent(server: Server, watched: Watched) -> None:
    page, sent = watched.page, list[str]()
    page.goto(server.address)
    page.wait_for_selector("#where:not([hidden])")
    page.check("#local")
    page.on("request", lambda request: sent.append(f"{request.method} {request.url.removeprefix(server.address)}"))
    draw(page)
    (found,) = answers(page, 1)
    assert len(found) == 10
    assert {one for one in sent if not one.startswith("GET web/")} == set()


def test_a_key_is_asked_for(watched: Watched, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "laptop")
    server = Server("--api-keys", str(tmp_path / "keys"))
    try:
        page = watched.page
        page.goto(server.address)
        page.wait_for_selector("#access:not([hidden])")
        assert "an API key is needed" in page.inner_text("#problem")
        page.fill("#key", key)
        page.press("#key", "Enter")
        page.wait_for_selector("#models tr")
        draw(page)
        assert len(answers(page, 2 if HAS_RUNTIME else 1)[0]) == 10
    finally:
        server.end()
