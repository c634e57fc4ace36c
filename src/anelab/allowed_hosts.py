"""Which names a server on this machine answers to.

A page of another site can make a browser ask a server of this machine: from its own address (the Origin says so), or by
a name of its own that leads here (DNS rebinding; the Host says so). Neither may read what is served."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from anelab.errors import UsageError
from anelab.names import HOST, fits
from anelab.texts import printable

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""With any port: a forwarded one is another."""
HEADERS = (b"host", b"origin")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class AllowedHosts:
    """ASGI middleware: `app` gets only requests whose Host is a loopback name or in `hosts` (lower case, no port), and
    whose Origin, if they have one, is that Host. Others are answered with status 403, WebSockets before they are
    accepted."""

    def __init__(self, app: Application, hosts: Iterable[str] = ()) -> None:
        self.app, self.hosts = app, frozenset((*LOOPBACK, *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refused(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "Host or Origin is not allowed"})
        else:
            text = f"{refused}; docs/publishing.md says how to allow a name\n".encode()
            kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": kind})
            await send({"type": "http.response.body", "body": text})

    def _refused(self, scope: Scope) -> str | None:
        """What is wrong with a request; None if nothing is. A Host is needed; an Origin is what browsers add."""
        hosts, origins = ([_text(value) for name, value in scope["headers"] if name == wanted] for wanted in HEADERS)
        if len(hosts) != 1 or host_name(hosts[0]) not in self.hosts:
            return f"the Host {printable(', '.join(hosts) or 'that is missing', 80)} is not a name of this server"
        wrong = next((one for one in origins if one.partition("://")[2].lower() != hosts[0].lower()), None)
        return None if wrong is None else f"the Origin {printable(wrong, 80)} is not the Host {printable(hosts[0], 80)}"


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def check_host(name: str) -> str:
    """A name that a server is to answer to, in lower case. Raises UsageError if it is none."""
    if not fits(HOST, name):
        raise UsageError(f"a host is a name such as board.example.org, without http:// and port, but got {name}")
    return name.lower()


def host_name(address: str) -> str:
    """'127.0.0.1' of '127.0.0.1:8501', '::1' of '[::1]:8501', lower case; the whole if it is none of that form."""
    name, _, port = address.rpartition(":") if not address.endswith("]") else (address, "", "")
    found = name if name and port.isascii() and port.isdigit() else address
    if found.startswith("[") and found.endswith("]"):
        return found[1:-1].lower()
    return found.lower()
