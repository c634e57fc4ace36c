"""What a server of this machine answers, asked as a browser would on behalf of another site."""

import asyncio
from typing import Any

import pytest

from anelab.allowed_hosts import AllowedHosts, check_host
from anelab.errors import UsageError


def answer(headers: list[tuple[str, str]], hosts: tuple[str, ...] = (), kind: str = "http") -> list[dict[str, Any]]:
    """What is sent for a request; [{"type": "app"}] if it got through."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "app"})

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}
    asyncio.run(AllowedHosts(app, hosts)(scope, receive, send))
    return sent


@pytest.fixture(params=["http", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "127.0.0.1:8501")],
        [("host", "localhost")],
        [("host", "LocalHost:9000"), ("origin", "http://localhost:9000")],
        [("host", "[::1]:8501"), ("origin", "http://[::1]:8501")],
        [("host", "board.example.org"), ("origin", "https://board.example.org")],
        [("host", "board.example.org:8443")],
    ],
)
def test_loopback_and_allowed_names_are_answered(headers: list[tuple[str, str]], kind: str) -> None:
    assert answer(headers, ("board.example.org",), kind) == [{"type": "app"}]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "evil.example:8501"), ("origin", "http://evil.example:8501")],
        [("host", "board.example.org")],
        [("host", "localhost.evil.example")],
        [("host", "localhost:x")],
        [("host", "127.0.0.1.")],
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", "http://evil.example")],
        [("host", "127.0.0.1:8501"), ("origin", "http://127.0.0.1:3000")],
        [("host", "127.0.0.1:8501"), ("origin", "null")],
        [("host", "127.0.0.1:8501"), ("origin", "http://127.0.0.1:8501"), ("origin", "http://evil.example")],
        [("host", "\x1b]0;x")],
    ],
)
def test_other_sites_are_not(headers: list[tuple[str, str]], kind: str) -> None:
    first = answer(headers, (), kind)[0]
    assert first["type"] == ("http.response.start" if kind == "http" else "websocket.close")
    assert first.get("status", 403) == 403


def test_a_refusal_says_what_to_do() -> None:
    text = answer([("host", "evil\x1b.example")])[1]["body"].decode()
    assert text == (
        "the Host evil\\x1b.example is not a name of this server; docs/publishing.md says how to allow a name\n"
    )


def test_the_servers_own_life_is_not_judged() -> None:
    assert answer([], kind="lifespan") == [{"type": "app"}]


@pytest.mark.parametrize("name", ["http://board.example.org", "board:8501", "", "a b", "-", "x" * 300, "*"])
def test_what_is_no_name_cannot_be_allowed(name: str) -> None:
    with pytest.raises(UsageError, match="a host is a name such as"):
        check_host(name)


def test_names_are_compared_in_lower_case() -> None:
    assert check_host("Board.Example.org") == "board.example.org"
