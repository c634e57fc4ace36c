"""`anelab predict`: rows in, outputs out, by whatever model."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli.console import EVERYWHERE, AsJson, Timeout, commands, print_json
from anelab.cli.packages import OUT_HELP
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S
from anelab.texts import echo, notify

if TYPE_CHECKING:
    from anelab.inference.model import Model
    from anelab.learning.base import Arrays

COMMANDS = commands()

MODEL_HELP = "NAME, NAME@alias or NAME/3 of a registered model, the folder of an export, or a file (.onnx, .mlpackage)."
ROWS_HELP = "Rows: .npz with an array for each input, or .npy for one input. - is standard input."
PROVIDER_HELP = (
    "ONNX: an execution provider of ONNX Runtime. Default: CPUExecutionProvider. Core ML: evaluator (any host) or, on "
    "macOS, cpu_only, cpu_and_ne, cpu_and_gpu, all."
)


@COMMANDS.command(epilog=f"Example: anelab predict mnist-onnx@champion rows.npy -o outputs.npz. {EVERYWHERE}")
def predict(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    rows: Annotated[str | None, typer.Argument(metavar="ROWS", help=ROWS_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)] = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Check the golden vectors of the model. Exit 1 if one fails.")
    ] = (False),
    tolerance: Annotated[
        float | None, typer.Option(help="For --golden: largest absolute difference that is allowed.", min=0)
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Another file of the version, such as model.raw.onnx. Default: the model itself.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help=PROVIDER_HELP)] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime.", min=1, max=1024)] = 1,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Run a model on rows of arrays, or check its golden vectors.

    If the model is a folder or a file, neither params.yaml nor a clone is needed."""
    from anelab.cli.packages import check_out
    from anelab.inference.model import Plan, open_model

    if golden == (rows is not None and out is not None) or (golden and (rows or out)):
        raise UsageError("predict needs ROWS and -o OUT, or --golden without them; see `anelab predict --help`")
    check_out(out)
    with open_model(ctx.obj.workspace, model, Plan(provider, threads, timeout_s=timeout), file=file) as opened:
        if rows is not None and out is not None:
            _predict(opened, rows, out, as_json)
        elif _check_golden(opened, tolerance, as_json):
            raise typer.Exit(1)


def _predict(model: "Model", rows: str, out: Path, as_json: bool) -> None:
    from anelab.cli.packages import STANDARD_STREAM, check_out, read_rows, write_outputs
    from anelab.export.comparison import values_not_finite

    check_out(out, [port.name for port in model.outputs])
    if str(out) != STANDARD_STREAM and out.exists() and Path(rows).exists() and out.samefile(rows):
        raise UsageError(f"--out {out}: is the file of the rows; give another")
    arrays = read_rows(rows, [port.name for port in model.inputs], "ROWS")
    if model.format == "onnx":  # the evaluator and Core ML name themselves what a package takes
        model.check_outputs()
        model.check_rows(arrays)
    started = time.perf_counter()
    outputs = model.predict(arrays)
    seconds = time.perf_counter() - started
    write_outputs(out, outputs)
    for name, odd in values_not_finite(outputs).items():
        notify(f"anelab: warning: {odd} of {outputs[name].size} values of {name} are NaN or infinite")
    count = len(next(iter(arrays.values())))
    facts = _facts(model, outputs, count, seconds)
    if as_json and str(out) != "-":
        print_json(facts)
    else:
        shapes = ", ".join(f"{name} {item['dtype']} {item['shape']}" for name, item in facts["outputs"].items())
        notify(f"{model.name} ({model.path.name}) on {model.provider}: {shapes}")
        notify(
            f"{count:,} rows in {seconds:.3g} s, {facts['us_per_row']:.3g} us a row including the first call; this is "
            "not a benchmark"
        )


def _facts(model: "Model", outputs: "Arrays", rows: int, seconds: float) -> dict[str, Any]:
    return {
        "file": model.path.name,
        "model": model.name,
        "outputs": {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in outputs.items()},
        "provider": model.provider,
        "rows": rows,
        "seconds": seconds,
        "us_per_row": seconds / max(rows, 1) * 1e6,
    }


def _check_golden(model: "Model", tolerance: float | None, as_json: bool) -> int:
    """Print the verdict of every case; how many failed."""
    from dataclasses import asdict

    from anelab.inference.golden import check_golden

    checks = list(check_golden(model, tolerance))
    failed = [check for check in checks if check.problem]
    if as_json:
        print_json([asdict(check) for check in checks])
        return len(failed)
    for check in failed:
        echo(f"golden case {check.case} fails: {check.problem}; it was given {str(check.given)[:100]}")
    worst = max(check.largest for check in checks)
    echo(
        f"{model.name} ({model.path.name}) on {model.provider}: {len(checks) - len(failed)} of {len(checks)} golden "
        f"cases pass, largest difference {worst:.3g}"
    )
    return len(failed)
