"""Models on a port, until the process is asked to end; it finishes what it accepted."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvicorn
import uvloop
from starlette.middleware.cors import CORSMiddleware

from anelab.errors import AnelabError, UsageError
from anelab.inference.model import Plan
from anelab.interruption import leave_signals
from anelab.serving.access import Access, is_loopback, read_keys
from anelab.serving.answers import EXPOSED_HEADERS
from anelab.serving.api import make_api
from anelab.serving.batching import Limits
from anelab.serving.http import InferenceProtocol, protocol_of
from anelab.serving.inference import Inference
from anelab.serving.limits import RequestLimits
from anelab.serving.logs import configure_logs
from anelab.serving.metrics import Gauges, Metrics, prometheus_text
from anelab.serving.recording import Recording
from anelab.serving.repository import Repository, Source
from anelab.serving.request_log import RequestLog
from anelab.serving.service import Service
from anelab.serving.tasks import STREAMED_PATHS
from anelab.serving.workers import Shared, Workers
from anelab.workspace import Workspace

LOOPBACK = "127.0.0.1"
BACKLOG = 2048
CHECK_S = 1.0
MINUTE_S = 60
"""Of drift."""
SWITCH_S = 0.001
"""After which Python gives a thread its turn: a model in a thread must not wait for the loop."""
GC_THRESHOLDS = (20_000, 20, 100)
"""Objects of a few hundred requests."""
SHUTDOWN_S = 30
"""In which requests that were accepted must be answered."""


@dataclass(frozen=True)
class ServeSettings:
    """`host`: another than loopback needs `keys`, the file of API keys. `origins`: of pages that may ask. `poll_s`: how
    often to look whether a model, or the keys, changed. `simple`: also serve the protocol's own example.
    `indexes`: names and folders that tasks search.
    `state`: the workspace's folder of tables of drift, and of `make web`. `workers`: processes."""

    host: str = LOOPBACK
    port: int = 8000
    keys: Path | None = None
    origins: frozenset[bytes] = frozenset()
    request_log: Path | None = None
    poll_s: float = 5.0
    plan: Plan = field(default_factory=lambda: Plan(keeps_process=True))
    batching: Limits = field(default_factory=Limits)
    requests: RequestLimits = field(default_factory=lambda: RequestLimits(streamed_paths=STREAMED_PATHS))
    simple: bool = False
    state: Path | None = None
    json_logs: bool = False
    workers: int = 1
    grpc_port: int | None = None
    indexes: tuple[tuple[str, Path], ...] = ()


class Job(NamedTuple):
    """What a process serves: also what a worker is sent."""

    workspace: Callable[[], Workspace]
    sources: Sequence[Source]
    settings: ServeSettings


def serve(workspace: Callable[[], Workspace], sources: Sequence[Source], settings: ServeSettings) -> None:
    """Raises UsageError for a host without keys, AnelabError if a model cannot be loaded or the port is taken."""
    log = configure_logs(settings.json_logs)
    make_access(settings)
    job = Job(workspace, sources, settings)
    with listen(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def ready() -> None:
            log.info("%s serves them; Ctrl-C ends it", address)

        if settings.workers == 1:
            serve_on(listening, job, Shared(), ready)
        else:
            Workers(listening, job, settings.workers).run(ready)


def serve_on(listening: socket.socket, job: Job, shared: Shared, on_ready: Callable[[], None]) -> None:
    """In this process, on a socket that listens. Raises AnelabError if a model cannot be loaded."""
    workspace, sources, settings = job
    log = configure_logs(settings.json_logs)
    with ExitStack() as stack:
        drift = settings.state / "serving" if settings.state else None
        indexes = dict(settings.indexes)
        models = Repository(workspace, sources, settings.plan, settings.batching, settings.simple, drift, indexes)
        stack.callback(models.close)
        requests = RequestLog(settings.request_log) if settings.request_log else None
        if requests is not None:
            stack.callback(requests.close)
        models.load()
        if shared.number == 0:
            for one in models:
                file, provider = one.model.path.name, one.model.provider
                log.info("%s version %s: %s on %s, %s", one.name, one.number, file, provider, one.batcher)
        leave_signals()
        sys.setswitchinterval(SWITCH_S)
        _raise_file_limit()
        gc.collect()
        gc.freeze()  # else Python walks all that was imported, again and again, while requests wait
        gc.set_threshold(*GC_THRESHOLDS)
        serving = run_server(
            models, listening, settings, make_access(settings), requests, shared, lambda server: on_ready()
        )
        uvloop.run(serving)


def make_access(settings: ServeSettings) -> Access:
    """Raises UsageError if others could reach the server without a key."""
    if settings.keys is None and not is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host}: other machines could ask it, so it needs --api-keys FILE; "
            "`anelab serve-key NAME` makes one"
        )
    return Access(read_keys(settings.keys) if settings.keys else {}, settings.origins)


def listen(host: str, port: int) -> socket.socket:
    """Raises AnelabError if the address cannot be used."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Without the protocol's number asyncio leaves Nagle's delays on.
        found = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise AnelabError(f"--host {host}: is no address of this machine ({error.strerror})") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise AnelabError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another: --port {port % 65535 + 1}"
        ) from None
    found.listen(BACKLOG)
    return found


def _raise_file_limit() -> None:
    """A connection is a file, and the usual 1,024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def run_server(
    models: Repository,
    listening: socket.socket,
    settings: ServeSettings,
    access: Access,
    log: RequestLog | None = None,
    shared: Shared | None = None,
    on_started: Callable[[uvicorn.Server], None] = lambda server: None,
) -> None:
    """Until SIGTERM, SIGINT, or `should_exit` of what `on_started` is given."""
    metrics, shared = Metrics(), shared or Shared()
    models.on_batch = lambda name, number, rows: metrics.of(name, number).batches.add(rows)
    service = Service(Inference(models, metrics, log), access, settings.requests)
    app = make_app(models, lambda: prometheus_text(shared.sum(metrics), _gauges(models)), settings)
    server = _Server(_config(app, service))
    server.grpc = await _start_grpc(service, settings)
    background = [
        asyncio.create_task(_repeat(seconds, work))
        for seconds, work in (
            (settings.poll_s, partial(_refresh_keys, service, settings)),
            (settings.poll_s, models.refresh),
            (CHECK_S, partial(_check_connections, server)),
            (CHECK_S, partial(_write_counts, log, metrics, shared)),
            (CHECK_S, partial(_count_drift, models)),
            (MINUTE_S, partial(_finish_minute, models)),
        )
    ]
    on_started(server)
    try:
        await server.serve([listening])
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


class _Server(uvicorn.Server):
    """uvicorn's, which stops gRPC at the same time, and leaves the process to end in order."""

    grpc: Any = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stopping = [self.grpc.stop(SHUTDOWN_S)] if self.grpc is not None else []
        await asyncio.gather(super().shutdown(sockets), *stopping)


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Every so many seconds, whatever goes wrong with it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            logging.getLogger("anelab.serving").exception("what the server does in the background failed")


async def _start_grpc(service: Service, settings: ServeSettings) -> Any:
    """None if it is not wanted. Raises UsageError if its packages are not there."""
    if settings.grpc_port is None:
        return None
    try:
        from anelab.serving.grpc.server import start_grpc
    except ImportError:
        raise UsageError("--grpc-port needs the extra: pip install 'anelab[grpc]'") from None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return await start_grpc(service, f"{host}:{settings.grpc_port}", settings.workers > 1)


def make_app(models: Repository, metrics_text: Callable[[], bytes], settings: ServeSettings) -> Any:
    app: Any = make_api(models, metrics_text, settings.state / "web" if settings.state else None)
    if settings.origins:
        app = CORSMiddleware(
            app,
            allow_origins=[origin.decode() for origin in settings.origins],
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key", *EXPOSED_HEADERS],
            expose_headers=EXPOSED_HEADERS,
        )
    return app


def _config(app: Any, service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        Recording(app, service.inference.metrics, service.inference.log),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        lifespan="off",
        http=protocol_of(service),
        ws="none",
        proxy_headers=False,
    )


def _gauges(models: Repository) -> Gauges:
    drift = {
        (one.name, name, statistic): value
        for one in models
        for name, found in one.monitor.last.items()
        for statistic, value in (("mean", found.mean), ("largest", found.largest), ("noise", found.noise))
    }
    return Gauges({(one.name, one.number): one.batcher.queued_rows for one in models}, drift)


async def _refresh_keys(service: Service, settings: ServeSettings) -> None:
    if settings.keys is not None:
        service.refresh_keys(settings.keys)


async def _check_connections(server: uvicorn.Server) -> None:
    now = asyncio.get_running_loop().time()
    for connection in list(server.server_state.connections):
        cast(InferenceProtocol, connection).check(now)


async def _write_counts(log: RequestLog | None, metrics: Metrics, shared: Shared) -> None:
    if log is not None:
        await asyncio.to_thread(log.write, log.take())
    await asyncio.to_thread(shared.write, metrics.snapshot())


async def _count_drift(models: Repository) -> None:
    for one in models:
        await asyncio.to_thread(one.monitor.sampler.count)


async def _finish_minute(models: Repository) -> None:
    for one in models:
        await asyncio.to_thread(one.monitor.finish_minute)
