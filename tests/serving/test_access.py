"""Who may ask: holders of a key, or programs of this machine, and no page of another site."""

import json
import stat
from pathlib import Path

import pytest

from anelab.errors import AnelabError, UsageError
from anelab.serving.access import add_key, check_origins, hash_of, read_keys
from anelab.serving.repository import Repository
from anelab.serving.server import ServeSettings, make_access
from tests.commands import anelab
from tests.serving.conftest import Client, running
from tests.serving.test_inference import INFER, request

PATHS = ("/v2", "/v2/models/mnist", "/metrics", "/openapi.json", "/api/v1/ml/models", "/nowhere")


def test_only_the_hash_of_a_key_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys with spaces.txt"
    first, second = add_key(file, "laptop"), add_key(file, "cluster")
    assert first not in file.read_text()
    assert read_keys(file) == {"laptop": hash_of(first.encode()), "cluster": hash_of(second.encode())}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="has a key laptop already"):
        add_key(file, "laptop")
    with pytest.raises(UsageError, match="up to 64 letters"):
        add_key(file, "two words")


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "has no key"), ("laptop secret\n", "line 1: must be NAME sha256:HASH"), (None, "cannot be read")],
)
def test_a_file_of_keys_that_is_none_is_refused(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "keys").write_text(text)
    with pytest.raises(AnelabError, match=says):
        read_keys(tmp_path / "keys")


def test_another_host_needs_keys(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "lab.example.org"):
        with pytest.raises(UsageError, match="needs --api-keys FILE"):
            make_access(ServeSettings(host=host))
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert make_access(ServeSettings(host=host)).keys == {}


def test_a_request_needs_a_key(models: Repository, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "laptop")
    with running(models, keys=file, poll_s=0.05) as client:
        for path in PATHS:
            answer = client.get(path)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        for wrong in ({"Authorization": "Bearer x"}, {"Authorization": key}, {"X-API-Key": ""}):
            assert client.post(INFER, request(), wrong).status == 401
        for right in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
            assert client.post(INFER, request(), right).status == 200
            assert client.get("/metrics", right).status == 200
        assert client.get("/v2/health/ready").status == 200
        file.write_text(f"other sha256:{hash_of(b'another').decode()}\n")  # the key is withdrawn
        for _ in range(200):
            if (status := client.get("/v2", {"X-API-Key": key}).status) == 401:
                break
        assert status == 401
        assert client.get("/v2", {"X-API-Key": "another"}).status == 200
        file.write_text("")  # which would let nobody in, or everybody
        for _ in range(20):
            assert client.get("/v2", {"X-API-Key": "another"}).status == 200


def test_pages_of_other_sites_may_not_ask_unless_they_are_named(client: Client, models: Repository) -> None:
    page = {"Origin": "https://lab.example.org"}
    for path in PATHS:
        assert client.get(path, page).status == 403
    refused = client.post(INFER, request(), page)
    assert (refused.status, "--cors ORIGIN" in refused.json()["error"]) == (403, True)
    assert client.get("/v2", {"Origin": f"http://127.0.0.1:{client.port}"}).status == 200
    with running(models, origins=check_origins(["https://lab.example.org"])) as named:
        for answer in (named.post(INFER, request(), page), named.get("/v2", page)):
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, page["Origin"])
            assert "inference-header-content-length" in answer.headers["access-control-expose-headers"]
        asks = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, authorization",
        }
        assert named.ask("OPTIONS", INFER, None, page | asks).headers["access-control-allow-origin"] == page["Origin"]
        assert named.get("/v2", {"Origin": "https://other.example.org"}).status == 403
    with pytest.raises(UsageError, match="an origin is a scheme and a host"):
        check_origins(["*"])


def test_without_keys_the_server_has_no_other_name(client: Client) -> None:
    """A page elsewhere can make a browser come here by a name of its own."""
    answer = client.get("/v2", {"Host": "evil.example.org:8000"})
    assert (answer.status, "answers as localhost only" in answer.json()["error"]) == (403, True)
    assert client.post(INFER, request(), {"Host": "evil.example.org"}).status == 403
    for name in ("localhost", "localhost:1", "127.0.0.1:8000", "[::1]:8000"):
        assert client.get("/v2", {"Host": name}).status == 200


def test_the_command_prints_a_key_once(tmp_path: Path) -> None:
    done = anelab(tmp_path, "serve-key", "laptop", "--file", str(tmp_path / "keys.txt"))
    assert done.returncode == 0, done.stderr
    assert read_keys(tmp_path / "keys.txt") == {"laptop": hash_of(done.stdout.strip().encode())}
    again = anelab(tmp_path, "serve-key", "laptop", "--file", str(tmp_path / "keys.txt"))
    assert (again.returncode, "has a key laptop already" in again.stderr) == (2, True)
    refused = anelab(tmp_path, "serve", "--model", "m=models:/mnist-onnx@champion", "--host", "0.0.0.0")
    assert (refused.returncode, "needs --api-keys FILE" in refused.stderr) == (2, True)


def test_the_request_log_names_the_key_and_no_contents(models: Repository, tmp_path: Path) -> None:
    file, log = tmp_path / "keys", tmp_path / "requests.log"
    key = {"X-API-Key": add_key(file, "laptop")}
    with running(models, keys=file, request_log=log) as client:
        client.post(INFER, request(), key | {"X-Request-Id": "mine-1"})
        client.post(INFER, {"inputs": []}, key)
        client.get("/v2/models/mnist?secret=1", key)
        client.get("/v2")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["method"], line["path"], line["status"], line["rows"], line["key"]) for line in lines] == [
        ("POST", INFER, 200, 3, "laptop"),
        ("POST", INFER, 400, 0, "laptop"),
        ("GET", "/v2/models/mnist", 200, 0, "laptop"),
        ("", "/v2", 401, 0, ""),
    ]
    assert (lines[0]["id"], lines[0]["ms"] > 0) == ("mine-1", True)
    assert key["X-API-Key"] not in log.read_text()
