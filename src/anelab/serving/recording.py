"""What becomes of a request that FastAPI answers: its id is sent back, it is counted, and logged if there is a log."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anelab.serving.metrics import Metrics
from anelab.serving.request_log import RequestLog


@dataclass(frozen=True)
class Recording:
    """ASGI middleware around `app`."""

    app: ASGIApp
    metrics: Metrics
    log: RequestLog | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller, started, status = scope.get("state", {}).get("caller"), perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if caller is not None:
                    message["headers"] = [*message["headers"], (b"x-request-id", caller.request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self.metrics.others[_template(scope), status] += 1
            if self.log is not None and caller is not None:
                seconds = perf_counter() - started
                self.log.add(caller.request_id, caller.key, scope["method"], scope["path"], status, seconds, 0)


def _template(scope: Mapping[str, Any]) -> str:
    """The route's path, so that no client makes labels of its own."""
    return getattr(scope.get("route"), "path", "other")
