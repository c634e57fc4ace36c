"""Served models: mnist's and read_quality's exports, trained once for all tests; and a server of them, over HTTP."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from anelab.serving.repository import Repository, parse_source
from anelab.serving.request_log import RequestLog
from anelab.serving.server import ServeSettings, listen, make_access, run_server
from anelab.workspace import Workspace
from tests.conftest import ROOT
from tests.shared import copy_workspace


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks a server, each time on a connection of its own."""

    port: int
    models: Repository
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        content = json.dumps(body).encode() if isinstance(body, dict | list) else body
        kind = {"Content-Type": "application/json"} if content is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, content, kind | self.headers | (headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any = b"", headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", path, body, headers)


@contextmanager
def running(models: Repository, **settings: Any) -> Iterator[Client]:
    """A server in a thread of this process, until the block is left."""
    chosen = ServeSettings(port=0, **settings)
    servers: list[uvicorn.Server] = []
    log = RequestLog(chosen.request_log) if chosen.request_log else None
    with listen(chosen.host, 0) as listening:
        work = run_server(models, listening, chosen, make_access(chosen), log, on_started=servers.append)
        thread = threading.Thread(target=lambda: asyncio.run(work), daemon=True)
        thread.start()
        try:
            yield Client(listening.getsockname()[1], models)
        finally:
            servers[0].should_exit = True
            thread.join(30)
    if log is not None:
        log.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("served"), "mnist", "read_quality")


def repository(home: Path, *sources: str, **settings: Any) -> Repository:
    found = Repository(lambda: Workspace(ROOT, home), [parse_source(text) for text in sources], **settings)
    found.load()
    return found


@pytest.fixture(scope="session")
def models(home: Path) -> Repository:
    reads = home / "models/read_quality/export/model.raw.onnx"
    return repository(home, "mnist=models:/mnist-onnx@champion", f"reads={reads}", simple=True)


@pytest.fixture(scope="session")
def client(models: Repository) -> Iterator[Client]:
    with running(models) as found:
        yield found
