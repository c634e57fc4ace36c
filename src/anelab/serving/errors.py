"""What a client did wrong, or must wait for: an answer with a reason, never a traceback."""

from collections.abc import Mapping

from anelab.errors import AnelabError

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, REQUEST_TIMEOUT = 400, 401, 403, 404, 405, 408
TOO_LARGE, UNSUPPORTED_MEDIA, UNPROCESSABLE, TOO_MANY, HEADERS_TOO_LARGE = 413, 415, 422, 429, 431
INTERNAL, UNAVAILABLE, GATEWAY_TIMEOUT = 500, 503, 504


class RequestError(AnelabError):
    """The answer to a request that cannot be served: a status, a sentence, and headers if the client needs them."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.headers = status, dict(headers or {})
