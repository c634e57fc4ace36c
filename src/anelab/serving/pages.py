"""The page at `/`: what is served, and a form to try it, also in the browser itself. It asks no other machine."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from anelab.serving.errors import NOT_FOUND, RequestError
from anelab.serving.metadata import describe, port_entry
from anelab.serving.repository import Repository, Version

FOLDER = Path(__file__).parent / "page"
FILES = ("page.css", "page.js", "drawing.js", "reads.js")
RUNTIME = Path("node_modules") / "onnxruntime-web" / "dist"
"""Below the folder that `make web` fills."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_page(api: FastAPI, models: Repository, web: Path | None) -> None:
    """`web`: the folder of `make web`, if this server has one."""
    in_browser = web is not None and (web / RUNTIME).is_dir()

    @api.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(FOLDER / "index.html", headers=HEADERS)

    @api.get("/page/models", include_in_schema=False)
    async def served() -> list[dict[str, Any]]:
        return [_entry(one, models, in_browser) for one in models]

    @api.get("/page/{file}", include_in_schema=False)
    async def part(file: str) -> Response:
        if file not in FILES:
            raise RequestError(NOT_FOUND, "the page has no such file")
        return FileResponse(FOLDER / file, headers=HEADERS)

    if in_browser and web is not None:
        api.mount("/web/ort", StaticFiles(directory=web / RUNTIME))

        @api.get("/web/models/{name}/versions/{number}", include_in_schema=False)
        async def model_file(name: str, number: str) -> Response:
            """For the browser to run."""
            version = models.version(name, number)
            if not _runs_in_browser(version):
                raise RequestError(NOT_FOUND, f"{name} is no ONNX model")
            return FileResponse(version.model.path, media_type="application/octet-stream", headers=HEADERS)


def _entry(version: Version, models: Repository, in_browser: bool) -> dict[str, Any]:
    model = version.model
    has_file = in_browser and _runs_in_browser(version)
    return {
        "name": version.name,
        "version": version.number,
        "workload": model.metadata.get("workload", ""),
        "description": describe(model),
        "problem": models.problem(version),
        "inputs": [port_entry(port) for port in model.inputs],
        "outputs": [port_entry(port) for port in model.outputs],
        "file": f"web/models/{version.name}/versions/{version.number}" if has_file else None,
    }


def _runs_in_browser(version: Version) -> bool:
    model = version.model
    return model.format == "onnx" and model.path.is_file() and len(model.inputs) == len(model.outputs) == 1
