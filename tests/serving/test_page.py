"""The files of the page at `/`, and what else a browser may fetch."""

from pathlib import Path

from anelab.serving.access import add_key
from anelab.serving.pages import RUNTIME
from anelab.serving.repository import Repository
from tests.serving.conftest import Client, running


def test_the_page_asks_nobody_else(client: Client) -> None:
    answer = client.get("/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for name in ("page.css", "page.js", "drawing.js", "reads.js"):
        part = client.get(f"/page/{name}")
        assert (part.status, b"://" in part.body.replace(b"http://www.w3.org", b"")) == (200, False), name
    assert client.get("/page/..%2f..%2faccess.py").status == 404
    assert client.get("/page/index.html").status == 404


def test_models_are_listed_for_the_page(client: Client) -> None:
    found = {one["name"]: one for one in client.get("/page/models").json()}
    assert found["reads"]["workload"] == "read_quality"
    assert found["mnist"]["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
    assert {one["file"] for one in found.values()} == {None}
    assert client.get("/web/models/mnist/versions/1").status == 404


def test_with_the_runtime_a_browser_gets_models_of_the_server(models: Repository, tmp_path: Path) -> None:
    (tmp_path / "web" / RUNTIME).mkdir(parents=True)
    (tmp_path / "web" / RUNTIME / "ort.wasm.min.mjs").write_text("export {}")
    (tmp_path / "web" / "secret").write_text("x")
    key = {"X-API-Key": add_key(tmp_path / "keys", "laptop")}
    with running(models, state=tmp_path, keys=tmp_path / "keys") as client:
        entries = {one["name"]: one["file"] for one in client.get("/page/models", key).json()}
        assert (entries["mnist"], entries["simple"]) == ("web/models/mnist/versions/1", None)
        file = client.get(f"/{entries['mnist']}", key)
        assert file.body == models.version("mnist").model.path.read_bytes()
        assert client.get("/web/models/simple/versions/1", key).status == 404
        for path in (f"/{entries['mnist']}", "/page/models", "/page/modelsx"):
            assert client.get(path).status == 401
        assert client.get("/").status == 200
        module = client.get("/web/ort/ort.wasm.min.mjs")
        assert (module.status, "javascript" in module.headers["content-type"]) == (200, True)
        for outside in ("/web/ort/../../../secret", "/web/ort/..%2f..%2f..%2fsecret", "/web/ort//etc/passwd"):
            assert client.get(outside, key).status == 404, outside
