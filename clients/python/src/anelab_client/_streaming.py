"""A body that is sent while its answer is read, which httpx does not do: it sends all of a body first."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from anelab_client._messages import error_of


def stream_lines(url: str, headers: Mapping[str, str], chunks: Iterator[bytes], timeout: float) -> Iterator[str]:
    """Lines of the answer. Raises ServerError for a status of an error, and OSError or HTTPException of http.client if
    the connection breaks."""
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.putrequest("POST", f"{address.path}?{address.query}" if address.query else address.path)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        sending = threading.Thread(target=_send, args=(connection, chunks), daemon=True)
        sending.start()
        answer = connection.getresponse()
        if answer.status >= 400:
            raise error_of(answer.status, answer.read())
        for line in answer:
            yield line.decode().rstrip("\n")
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, chunks: Iterator[bytes]) -> None:
    """Until the server has enough: why is in its answer."""
    with suppress(OSError, http.client.HTTPException, AttributeError):  # the last: it was closed meanwhile
        for chunk in chunks:
            if chunk:
                connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        connection.send(b"0\r\n\r\n")
