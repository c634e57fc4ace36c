"""`anelab serve`: models over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, commands
from anelab.texts import echo, notify

COMMANDS = commands()
KEYS = Path("api-keys.txt")

SERVED_HELP = (
    "A model, and the name to serve it by: NAME=REFERENCE, or REFERENCE alone. REFERENCE is NAME, NAME@alias or NAME/3 "
    "of a registered model, the folder of an export, or a file. Repeat it for more models, or more versions of a name."
)
HOST_HELP = "The address to listen on. Another than this machine's own loopback needs --api-keys."
KEYS_HELP = "The file of API keys that `anelab serve-key` writes. A request then needs one of them."
CORS_HELP = "An origin whose pages may ask, such as https://lab.example.org. Repeat it for more."
LOG_HELP = "Add a line of JSON for each request to this file: id, key's name, path, status, rows, time; never contents."
POLL_HELP = "Seconds between two looks for a moved alias, a changed file, or changed keys."
JSON_HELP = "Write the server's own messages as lines of JSON, not of text."
INDEX_HELP = "An index of `anelab edna index`, and the name to serve it by: NAME=FOLDER. Repeat it for more."
SIMPLE_HELP = "Also serve `simple`, the example that clients of the Open Inference Protocol are tried with."


@COMMANDS.command(epilog=f"Example: anelab serve --model mnist=models:/mnist-onnx@champion --port 8000. {EVERYWHERE}")
def serve(
    ctx: typer.Context,
    model: Annotated[list[str], typer.Option(metavar="[NAME=]REFERENCE", help=SERVED_HELP)],
    host: Annotated[str, typer.Option(help=HOST_HELP)] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 is any that is free.", min=0, max=65535)] = 8000,
    grpc_port: Annotated[
        int | None, typer.Option(help="Also answer gRPC, on this port. Needs the extra `grpc`.", min=1, max=65535)
    ] = None,
    api_keys: Annotated[Path | None, typer.Option(metavar="FILE", help=KEYS_HELP)] = None,
    cors: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help=CORS_HELP)] = None,
    provider: Annotated[
        str | None, typer.Option(help="As of `anelab predict`: an execution provider of ONNX Runtime, or evaluator.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime in a call.", min=1, max=1024)] = 1,
    calls: Annotated[int, typer.Option(help="Calls of a model at the same time.", min=1, max=256)] = 1,
    workers: Annotated[int, typer.Option(help="Processes, each with its own models.", min=1, max=256)] = 1,
    batch: Annotated[int, typer.Option(help="Rows that are predicted together at most.", min=1, max=65536)] = 256,
    queue: Annotated[int, typer.Option(help="Rows that wait for a model at most; then 429.", min=1)] = 8192,
    max_body: Annotated[int, typer.Option(help="MiB of a request's body at most; then 413.", min=1, max=900)] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds for a request to come, and for its answer.", min=0.1)] = 60.0,
    poll: Annotated[float, typer.Option(help=POLL_HELP, min=0.1)] = 5.0,
    request_log: Annotated[Path | None, typer.Option(metavar="FILE", help=LOG_HELP)] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help=JSON_HELP)] = False,
    index: Annotated[list[str] | None, typer.Option(metavar="[NAME=]FOLDER", help=INDEX_HELP)] = None,
    simple: Annotated[bool, typer.Option("--simple", help=SIMPLE_HELP)] = False,
) -> None:
    """Answer requests of the Open Inference Protocol v2 with models."""
    from anelab.inference.model import Plan
    from anelab.serving.access import check_origins
    from anelab.serving.batching import Limits
    from anelab.serving.limits import MEBI, RequestLimits
    from anelab.serving.repository import parse_index, parse_source
    from anelab.serving.server import ServeSettings
    from anelab.serving.server import serve as serve_models
    from anelab.serving.tasks import STREAMED_PATHS

    settings = ServeSettings(
        host=host,
        port=port,
        keys=api_keys,
        origins=check_origins(cors or ()),
        request_log=request_log,
        poll_s=poll,
        plan=Plan(provider, threads, timeout_s=timeout, keeps_process=True),
        batching=Limits(batch, queue, calls),
        requests=RequestLimits(body_bytes=max_body * MEBI, request_s=timeout, streamed_paths=STREAMED_PATHS),
        simple=simple,
        state=ctx.obj.workspace().state if _has_workspace(ctx) else None,
        json_logs=json_logs,
        workers=workers,
        grpc_port=grpc_port,
        indexes=tuple(parse_index(text) for text in index or ()),
    )
    serve_models(ctx.obj.workspace, [parse_source(text) for text in model], settings)


@COMMANDS.command("serve-key", epilog=f"Example: anelab serve-key laptop --file api-keys.txt. {EVERYWHERE}")
def serve_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold the key; the request log names it.")],
    file: Annotated[Path, typer.Option(help="The file that gets the key's hash, a line each.")] = KEYS,
) -> None:
    """Make an API key for the server: its hash goes into a file, the key is printed once."""
    from anelab.serving.access import add_key

    echo(add_key(file, name))
    notify(f"anelab: {file} has its hash. The key is not kept anywhere: store it now. Removing its line withdraws it")


def _has_workspace(ctx: typer.Context) -> bool:
    """Files are served without a clone, too."""
    return bool(ctx.obj.anywhere().is_clone)
