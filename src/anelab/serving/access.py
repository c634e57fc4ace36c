"""Who may ask the server: holders of a key; without keys only programs of this machine, and no page of another site."""

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anelab.allowed_hosts import LOOPBACK, host_name
from anelab.errors import AnelabError, UsageError
from anelab.files import write_text
from anelab.serving.errors import FORBIDDEN, UNAUTHORIZED, RequestError
from anelab.texts import printable

Headers = Mapping[bytes, bytes]
log = logging.getLogger("anelab.serving")
KEY_BYTES = 32
KEY_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
LINE = re.compile(r"([A-Za-z0-9][\w.-]{0,63}) sha256:([0-9a-f]{64})")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
OPEN_PATHS = frozenset((b"/", b"/v2/health/live", b"/v2/health/ready"))
"""That need no key: the page, which asks for one, and what a load balancer asks."""
OPEN_FOLDERS = (b"/page/page.", b"/page/drawing.", b"/page/reads.", b"/web/ort/")
"""Of the page's own files, which a browser fetches without one."""
NOBODY = ""


def hash_of(key: bytes) -> bytes:
    """sha256: a key is 256 random bits, which nobody can try."""
    return hashlib.sha256(key).hexdigest().encode()


def add_key(file: Path, name: str) -> str:
    """A new key, whose hash is added to the file under that name. Raises UsageError if the name is taken or is none."""
    if not KEY_NAME.fullmatch(name):
        raise UsageError(f"a key's name has up to 64 letters, digits, '.', '_' and '-', but got {printable(name)}")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if name in {found for found, _ in parse_keys(text, file)}:
        raise UsageError(f"{file}: has a key {name} already; remove its line to withdraw it, or choose another name")
    key = secrets.token_urlsafe(KEY_BYTES)
    start = text if not text or text.endswith("\n") else f"{text}\n"
    write_text(file, f"{start}{name} sha256:{hash_of(key.encode()).decode()}\n")
    file.chmod(0o600)
    return key


def read_keys(file: Path) -> dict[str, bytes]:
    """Hashes by name. Raises AnelabError if the file cannot be read, or has no key."""
    try:
        found = dict(parse_keys(file.read_text(encoding="utf-8"), file))
    except (OSError, UnicodeDecodeError) as error:
        raise AnelabError(f"{file}: cannot be read ({error}); make it by `anelab serve-key NAME`") from None
    if not found:
        raise AnelabError(f"{file}: has no key; add one by `anelab serve-key NAME`")
    return {name: value.encode() for name, value in found.items()}


def parse_keys(text: str, file: Path) -> list[tuple[str, str]]:
    """Names and hashes: a line each. Empty lines and those with # are left out. Raises AnelabError."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = LINE.fullmatch(line.strip())
        if parts is None:
            raise AnelabError(f"{file}, line {number}: must be NAME sha256:HASH, as `anelab serve-key NAME` writes it")
        found.append((parts[1], parts[2]))
    return found


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_origins(origins: Iterable[str]) -> frozenset[bytes]:
    """As browsers send them. Raises UsageError."""
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise UsageError(
                f"--cors: an origin is a scheme and a host, such as https://lab.example.org, but got {origin}"
            )
    return frozenset(origin.lower().encode() for origin in origins)


@dataclass
class Access:
    """`keys`: hashes by name; empty if the server is for this machine only. `origins`: of pages that may ask."""

    keys: Mapping[str, bytes] = field(default_factory=dict)
    origins: frozenset[bytes] = frozenset()

    def refresh(self, file: Path) -> None:
        """Keys as they are now; the old ones if they cannot be read."""
        try:
            self.keys = read_keys(file)
        except AnelabError as error:
            log.error("the API keys stay as they were: %s", error)

    def check(self, method: bytes, path: bytes, headers: Headers) -> str:
        """The name of the key, if keys are needed. Raises RequestError."""
        self._check_origin(headers)
        if method == b"OPTIONS" and b"origin" in headers:  # a browser asks whether it may ask, without a key
            return NOBODY
        if not self.keys:
            self._check_host(headers)
            return NOBODY
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return NOBODY
        return self._key_name(headers)

    def check_key(self, headers: Headers) -> str:
        """As `check`, of gRPC, which no page of a browser speaks."""
        return self._key_name(headers) if self.keys else NOBODY

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get(b"origin")
        if origin is None or origin.lower() in self.origins:
            return
        if origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower():
            raise RequestError(FORBIDDEN, "pages of other sites may not ask; `anelab serve --cors ORIGIN` allows one")

    def _check_host(self, headers: Headers) -> None:
        """A page elsewhere can reach this machine by a name of its own, which leads here."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_loopback(host_name(host)):
            raise RequestError(
                FORBIDDEN, "without API keys the server answers as localhost only; start it with --api-keys FILE"
            )

    def _key_name(self, headers: Headers) -> str:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        key = given.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        found, digest = NOBODY, hash_of(key)
        for name, wanted in self.keys.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, wanted):
                found = name
        if found == NOBODY:
            raise RequestError(
                UNAUTHORIZED,
                "an API key is needed: send the header Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        return found
