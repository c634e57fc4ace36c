"""The dashboard as a person has it: in Chromium, on the store that the pipeline made."""

import http.client
import shutil
from pathlib import Path
from urllib.parse import unquote_plus

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Watched, serving
from tests.conftest import ROOT

PAGES = {
    "": "Overview",
    "engine": "Neural Engine vs CPU",
    "chips": "Chips",
    "compare": "Compare",
    "pareto": "Pareto",
    "history": "History",
    "search": "Search",
    "lineage": "Lineage",
    "data": "Data",
    "clusters": "Clusters",
}
ALERT = '[data-testid="stAlertContentError"]'


def whole(page: Page, path: Path) -> None:
    """A picture of the whole page, which scrolls inside itself."""
    height = page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollHeight")
    page.set_viewport_size({"width": 1400, "height": min(height + 40, 8000)})
    page.wait_for_timeout(900)
    page.screenshot(path=path)


def listening(port: int) -> set[str]:
    """The addresses, in the kernel's notation, at which something listens on the port."""
    tables = [path.read_text() for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists()]
    rows = [line.split() for text in tables for line in text.splitlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, number in places if int(number, 16) == port}


@pytest.mark.parametrize("workload", ["mnist", "read_quality"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_shown_without_an_error_or_a_request_elsewhere(
    name: str, workload: str, address: str, watched: Watched, pictures: Path
) -> None:
    page = watched.open(f"{address}/{name}?workload={workload}")
    assert page.locator("h1").inner_text() == PAGES[name]
    assert page.locator(ALERT).count() == 0
    assert page.locator('[data-testid="stException"]').count() == 0
    whole(page, pictures / f"{name or 'overview'}-{workload}.png")
    assert watched.errors == []
    assert watched.strayed == []
    assert page.locator('[data-testid="stVegaLiteChart"] .error').count() == 0


def test_a_choice_is_in_the_address_and_the_address_makes_the_choice(
    address: str, watched: Watched, chromium: Browser
) -> None:
    page = watched.open(f"{address}/engine?workload=read_quality")
    page.get_by_label("Batch or scenario").click()
    page.get_by_role("option", name="batch of 64").click()
    page.wait_for_url("**scenario=batch*")
    watched.settle()
    context = chromium.new_context()
    again = Watched(context).open(page.url)
    for label, value in (("Workload", "read_quality"), ("Batch or scenario", "batch of 64")):
        box = again.locator('[data-testid="stSelectbox"]', has_text=label).first
        assert value in (box.inner_text() + box.locator("input").input_value())
    context.close()
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url("**/compare**")
    watched.settle()
    assert "workload=read_quality" in page.url  # what is chosen goes along


def test_a_point_that_is_clicked_is_chosen_and_in_the_address(address: str, watched: Watched) -> None:
    page = watched.open(f"{address}/pareto?workload=read_quality&infeasible=true")
    points = page.locator('[data-testid="stVegaLiteChart"] g.mark-symbol.role-mark path')
    points.first.wait_for()
    assert points.count() > 1
    for number in range(points.count()):
        points.nth(number).click(force=True)
        watched.settle()
        if "point=" in page.url:  # the first of the list is chosen as it is, and leaves the address bare
            break
    box = page.locator('[data-testid="stSelectbox"]', has_text="Point").first
    chosen = (box.inner_text() + box.locator("input").input_value()).removeprefix("Point").strip()
    assert chosen in unquote_plus(page.url)
    assert watched.errors == []


def test_a_table_comes_as_csv_and_as_parquet(address: str, watched: Watched, tmp_path: Path) -> None:
    page = watched.open(f"{address}/engine?workload=mnist")
    for label, read in (("CSV", pd.read_csv), ("Parquet", pd.read_parquet)):
        with page.expect_download() as found:
            page.locator(f".st-key-download_speedups-{label.lower()} button").click()
        assert found.value.suggested_filename == f"speedups.{label.lower()}"
        found.value.save_as(tmp_path / label)
        frame = read(tmp_path / label)
        assert {"arm", "against", "origin"} <= set(frame.columns)
        assert "imported" in set(frame["origin"])


def test_it_is_as_well_seen_in_the_dark(address: str, chromium: Browser, pictures: Path) -> None:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, color_scheme="dark")
    dark = Watched(context)
    page = dark.open(f"{address}/engine?workload=mnist")
    background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=\"stApp\"]')).backgroundColor")
    red, green, blue = (int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(","))
    assert max(red, green, blue) < 60
    whole(page, pictures / "engine-dark.png")
    assert dark.errors == []
    context.close()


def test_an_empty_store_says_what_to_run(watched: Watched, tmp_path: Path, pictures: Path) -> None:
    with serving(tmp_path, tmp_path / "server.log") as address:
        page = watched.open(address)
        page.get_by_text("Nothing here yet").wait_for()
        assert "make repro" in page.content()
        whole(page, pictures / "empty.png")
        assert watched.errors == []
        assert listening(int(address.rpartition(":")[2])) == {"0100007F"}  # on this machine only


def test_a_broken_store_is_a_sentence_and_no_traceback(watched: Watched, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"not a database" * 100)
    with serving(tmp_path, tmp_path / "server.log") as address:
        page = watched.open(address)
        assert "cannot be opened" in page.locator(ALERT).inner_text()
        assert "Traceback" not in page.content()
        whole(page, pictures / "broken.png")


def test_the_picture_of_the_readme_is_of_real_results_alone(watched: Watched, pictures: Path, tmp_path: Path) -> None:
    """docs/pictures/dashboard.png is a copy of it."""
    shutil.copytree(ROOT / "mlruns", tmp_path / "mlruns")
    with serving(tmp_path, tmp_path / "server.log") as address:
        page = watched.open(f"{address}/engine?workload=mnist")
        page.set_viewport_size({"width": 1400, "height": 1500})
        page.wait_for_timeout(900)
        assert "imported" not in page.locator("body").inner_text()
        assert page.locator('[data-testid="stVegaLiteChart"]').count()
        page.screenshot(path=pictures / "dashboard.png", clip={"x": 0, "y": 0, "width": 1400, "height": 1240})
    assert (pictures / "dashboard.png").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("evil.example", "http://evil.example", 403),
        ("127.0.0.1", "http://evil.example", 403),
        ("localhost:9000", "http://localhost:9000", 101),
    ],
)
def test_a_websocket_of_another_site_is_refused(address: str, host: str, origin: str, status: int) -> None:
    """A forwarded port is another, a foreign name is another site's."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    names = {"Host": host, "Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
    keys = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    connection.request("GET", "/_stcore/stream", headers=names | keys | {"Sec-WebSocket-Protocol": "streamlit"})
    assert connection.getresponse().status == status
    connection.close()
