"""Requests over HTTP."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Self

import httpx
import numpy as np

from anelab_client._messages import (
    HEADER_LENGTH,
    Array,
    ModelEntry,
    Prediction,
    Read,
    decode_answer,
    encode_request,
    error_of,
    model_entries,
    model_path,
    read_of,
    retry_after,
)
from anelab_client._streaming import stream_lines

TOO_MANY = 429
CHUNK_BYTES = 1 << 16


def _options(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"base_url": url, "headers": headers, "timeout": timeout}


class Client:
    """Asks one server, on connections that it keeps. `timeout` in seconds, for each step of a request; `retries`: how
    often it asks again when the server has too much to do. Every method raises ServerError for what is refused, and
    httpx.HTTPError if the server cannot be reached."""

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 60.0, retries: int = 3) -> None:
        self._http, self._retries, self._timeout = httpx.Client(**_options(url, api_key, timeout)), retries, timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        """Whether the server answers, and every model is ready."""
        try:
            return self._http.get("/v2/health/ready").is_success
        except httpx.HTTPError:
            return False

    def models(self) -> list[ModelEntry]:
        return model_entries(self._ask("POST", "/v2/repository/index").json())

    def metadata(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Names, datatypes and shapes of inputs and outputs, as the protocol has them."""
        found: dict[str, Any] = self._ask("GET", model_path(model, version)).json()
        return found

    def predict(
        self,
        model: str,
        rows: Array | Mapping[str, Array],
        version: str | None = None,
        outputs: list[str] | None = None,
    ) -> dict[str, Array]:
        """Outputs by name, row by row. `rows`: an array [n, ...] of the model's only input, or arrays by name."""
        arrays = rows if isinstance(rows, Mapping) else {self._only_input(model, version): np.asarray(rows)}
        body, headers = encode_request(arrays, outputs)
        answer = self._ask("POST", model_path(model, version, "/infer"), content=body, headers=headers)
        return decode_answer(answer.content, answer.headers.get(HEADER_LENGTH))

    def _only_input(self, model: str, version: str | None) -> str:
        return _only(model, self.metadata(model, version))

    def classify(self, image: Array, model: str = "mnist", top_k: int = 5) -> list[Prediction]:
        """The likeliest classes of one image, [values] or any shape; of mnist 0 is black and 1 white."""
        body = {"image_data": np.asarray(image, np.float64).ravel().tolist(), "model_name": model, "top_k": top_k}
        found = self._ask("POST", "/api/v1/ml/classify", json=body).json()["predictions"]
        return [Prediction(one["class"], one["probability"]) for one in found]

    def score_reads(
        self, fastq: IO[bytes] | Iterable[bytes], model: str | None = None, threshold: float = 0.5, phred: str = "auto"
    ) -> Iterator[Read]:
        """PASS or FAIL of each read of a FASTQ file, plain or compressed, while it is sent. Raises ServerError, also
        after some reads, for what is no FASTQ. It does not try again."""
        query = {"threshold": str(threshold), "phred": phred} | ({"model": model} if model else {})
        url = self._http.base_url.join("/api/v1/reads/score").copy_merge_params(query)
        headers = {"Content-Type": "application/octet-stream"}
        if "Authorization" in self._http.headers:
            headers["Authorization"] = self._http.headers["Authorization"]
        lines = stream_lines(str(url), headers, _chunks(fastq), self._timeout)
        next(lines, None)  # names of columns
        return map(read_of, lines)

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            answer = self._http.request(method, path, **content)
            if answer.status_code != TOO_MANY or not left:
                break
            time.sleep(retry_after(answer.headers.get("Retry-After")))
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        return answer


class AsyncClient:
    """`predict` and `models` of Client, for asyncio."""

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 60.0, retries: int = 3) -> None:
        self._http, self._retries = httpx.AsyncClient(**_options(url, api_key, timeout)), retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def models(self) -> list[ModelEntry]:
        return model_entries((await self._ask("POST", "/v2/repository/index")).json())

    async def predict(
        self,
        model: str,
        rows: Array | Mapping[str, Array],
        version: str | None = None,
        outputs: list[str] | None = None,
    ) -> dict[str, Array]:
        """As Client.predict."""
        if not isinstance(rows, Mapping):
            name = _only(model, (await self._ask("GET", model_path(model, version))).json())
            rows = {name: np.asarray(rows)}
        body, headers = encode_request(rows, outputs)
        answer = await self._ask("POST", model_path(model, version, "/infer"), content=body, headers=headers)
        return decode_answer(answer.content, answer.headers.get(HEADER_LENGTH))

    async def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        for left in range(self._retries, -1, -1):
            answer = await self._http.request(method, path, **content)
            if answer.status_code != TOO_MANY or not left:
                break
            await asyncio.sleep(retry_after(answer.headers.get("Retry-After")))
        if answer.is_error:
            raise error_of(answer.status_code, answer.content)
        return answer


def _only(model: str, metadata: Mapping[str, Any]) -> str:
    """The name of the model's only input."""
    names = [item["name"] for item in metadata["inputs"]]
    if len(names) != 1:
        raise ValueError(f"{model} has {len(names)} inputs; give arrays by name: {', '.join(names)}")
    return str(names[0])


def _chunks(fastq: IO[bytes] | Iterable[bytes]) -> Iterator[bytes]:
    read = getattr(fastq, "read", None)
    if read is None:
        yield from fastq
        return
    while chunk := read(CHUNK_BYTES):
        yield chunk
