"""Commands on models: registered versions, and Core ML packages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anelab.cli.console import (
    EVERYWHERE,
    AsJson,
    Model,
    NamedModel,
    Timeout,
    Version,
    Workload,
    as_text,
    commands,
    print_json,
)
from anelab.cli.packages import OUT_HELP
from anelab.cli.placements import Chip
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S, watched
from anelab.texts import echo, echo_lines, notify

if TYPE_CHECKING:
    from anelab.tracking.reference import VersionReference

COMMANDS = commands("Inspect, promote and delete models; check Core ML packages.", "model")


@COMMANDS.command("list", epilog=f"Example: anelab model list mnist-onnx. {EVERYWHERE}")
def list_(ctx: typer.Context, model: Model, as_json: AsJson = False) -> None:
    """List a model's versions, newest first."""
    from anelab.tracking.commands import list_versions
    from anelab.tracking.reference import parse_version

    versions = list_versions(ctx.obj.workspace(), parse_version(model).model)
    if as_json:
        print_json(versions)
        return
    for row in versions:
        echo(f"{row['version']:>4}  {row['variant']:8}  {row['metric']:32}  {row['verdict']:20}  {row['aliases']}")


@COMMANDS.command(epilog=f"Example: anelab model inspect mnist-onnx@champion. {EVERYWHERE}")
def inspect(ctx: typer.Context, model: Model, version: Version = None, as_json: AsJson = False) -> None:
    """Show a model. Of a registered version: gates, metrics, files and origin. Of a folder or file: what is in it."""
    from anelab.tracking.commands import inspect_version
    from anelab.tracking.reference import parse_reference, parse_version

    if isinstance(parse_reference(model), Path) and version is None:
        from anelab.inference.describe import describe_path

        found = describe_path(model)
    else:
        reference = parse_version(model, version)
        found = inspect_version(ctx.obj.workspace(), reference.model, reference.version)
    if as_json:
        print_json(found)
    else:
        echo_lines(as_text(found))


@COMMANDS.command(epilog=f"Example: anelab model promote mnist-onnx/3. {EVERYWHERE}")
def promote(
    ctx: typer.Context,
    model: NamedModel,
    version: Version = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate failed.")] = False,
) -> None:
    """Make a version the champion.

    Its gates must have passed. It is compared with the champion of now, not with that of the day when it was
    registered."""
    from anelab.tracking.commands import promote_version, workload_of

    reference, workspace = _named_version(model, version), ctx.obj.workspace()
    margin = None
    if workspace.is_clone:
        margin = ctx.obj.params().section(workload_of(reference.model)).registry.margin
    echo(promote_version(workspace, reference.model, reference.selector, force, margin))


@COMMANDS.command(epilog=f"Example: anelab model rollback mnist-onnx. {EVERYWHERE}")
def rollback(ctx: typer.Context, model: Model) -> None:
    """Make the previous champion the champion again."""
    from anelab.tracking.commands import rollback_model
    from anelab.tracking.reference import parse_version

    echo(rollback_model(ctx.obj.workspace(), parse_version(model).model))


@COMMANDS.command(epilog=f"Example: anelab model delete mnist-onnx/2. {EVERYWHERE}")
def delete(ctx: typer.Context, model: NamedModel, version: Version = None) -> None:
    """Delete a version that has no alias."""
    from anelab.tracking.commands import delete_model_version

    reference = _named_version(model, version)
    echo(delete_model_version(ctx.obj.workspace(), reference.model, reference.selector))


def _named_version(model: str, version: str | None) -> "VersionReference":
    """Raises UsageError if no version is named: what changes the registry takes none by default."""
    from anelab.tracking.reference import parse_version

    found = parse_version(model, version)
    if not found.selector:
        raise UsageError(f"name a version of {found.model}: {found.model}/3, or an alias, {found.model}@challenger")
    return found


Package = Annotated[
    str,
    typer.Argument(metavar="PKG", help="A .mlpackage, or a registered one: mnist-coreml@champion, mnist-coreml/3."),
]
IMAGES = "An image is [rows, channels, height, width], channels in the package's order, pixels 0 to 255."
ROWS_HELP = f"Rows: .npz with an array for each input, or .npy for one input. {IMAGES}"
Rows = Annotated[Path, typer.Option("--input", help=ROWS_HELP)]
RowsOrExamples = Annotated[
    Path | None, typer.Option("--input", help=f"{ROWS_HELP} Default: the example rows beside the package.")
]
Function = Annotated[
    str | None, typer.Option(help="A function of the package, if it has several. Default: the package's default.")
]


@COMMANDS.command("eval", epilog=f"Example: anelab model eval model.mlpackage --input rows.npz. {EVERYWHERE}")
def evaluate(
    ctx: typer.Context,
    package: Package,
    rows: RowsOrExamples = None,
    mode: Annotated[
        str,
        typer.Option(
            help="fp32: all in float32. fp16: in the types of the package. "
            "ane: fp16 as the Neural Engine computes, as far as that was published."
        ),
    ] = "fp16",
    out: Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)] = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Evaluate any Core ML package on any host, operator by operator.

    The package need not be of anelab. Its outputs count, its speed does not.

    Any number of rows is split into as many calls as needed. Arrays of exactly the shape of a function go into one
    call, whatever their axes mean. A classifier returns its label and its probabilities as arrays, with the names of
    the classes. An image output is the array before Core ML turns it into pixels."""
    from anelab.cli.packages import (
        check_out,
        labelled,
        outputs_as_text,
        read_rows_of,
        with_classes,
        write_outputs,
    )
    from anelab.export.comparison import values_not_finite
    from anelab.export.mil.engine.coverage import coverage_text
    from anelab.export.mil.modes import check_mode
    from anelab.export.mil.predictor import mil_predictor
    from anelab.export.mlpackage import input_names
    from anelab.inference.location import opened_package

    chosen = check_mode(mode)
    check_out(out)
    with opened_package(ctx.obj.workspace, package) as path:
        predict = mil_predictor(path, chosen, timeout)
        outputs = predict(read_rows_of(path, rows, input_names(path)))
    if chosen == "ane":
        notify(f"anelab: {coverage_text(predict.programs)}")
    for name, count in values_not_finite(outputs).items():
        notify(f"anelab: {count} of {outputs[name].size} values of {name} are NaN or infinite")
    if out is not None:
        write_outputs(out, with_classes(outputs, predict.classes))
    if as_json:
        print_json({name: labelled(array, predict.classes.get(name)) for name, array in outputs.items()})
    else:
        echo_lines(outputs_as_text(outputs, predict.classes))


@COMMANDS.command(epilog=f"Example: anelab model lint mnist-coreml@champion --input rows.npz. {EVERYWHERE}")
def lint(
    ctx: typer.Context,
    package: Annotated[
        str, typer.Argument(metavar="MODEL", help="A .mlpackage, an .onnx file, or a registered model of either.")
    ],
    rows: Annotated[
        Path | None, typer.Option("--input", help=f"Real rows (.npz, .npy), to check the ranges of values. {IMAGES}")
    ] = None,
    function: Function = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """List what keeps any Core ML package off the Neural Engine.

    The package need not be of anelab. Also lists what 16 bits would break, and where Core ML was measured to differ
    from its documentation. Of an ONNX file: what ONNX Runtime's Core ML provider would leave to the CPU, and the number
    of partitions it would take."""
    from anelab.cli.onnx_lint import lint_onnx, linted_file, print_onnx
    from anelab.cli.packages import read_rows
    from anelab.export.formats import format_of
    from anelab.export.mlpackage import input_names
    from anelab.export.placement.predicted import package_placements
    from anelab.export.readiness import inspect_package
    from anelab.inference.location import located
    from anelab.views.tables import placements_text

    with located(ctx.obj.workspace, package) as place, watched(package, timeout):
        path = linted_file(place, {"--input": rows, "--function": function})
        if format_of(path) == "onnx":
            reports = lint_onnx(path)
            if as_json:
                print_json({title: report.as_json() for title, report in reports.items()})
            else:
                print_onnx(reports)
            return
        arrays = read_rows(rows, input_names(path)) if rows else None
        found = inspect_package(path, arrays, function)
        predicted = package_placements(path)[found.function]
    if as_json:
        print_json({**found.as_json(), "predicted_placement": predicted.as_json()})
        return
    for (severity, rule, fix, source), group in found.by_rule().items():
        echo(f"{severity:8} {rule}: {fix} [{source}]")
        for finding in group:
            echo(f"         {finding.kind} {finding.operator} {finding.detail}")
    echo_lines(placements_text({predicted.rows: predicted}))
    echo(", ".join(f"{count} {severity}" for severity, count in found.counts.items()))
    echo(found.verdict)


@COMMANDS.command(epilog=f"Example: anelab model blame model.mlpackage --input rows.npz. {EVERYWHERE}")
def blame(
    ctx: typer.Context,
    package: Package,
    rows: Rows,
    tolerance: Annotated[
        float, typer.Option(help="Largest error of an operator that is allowed: absolute up to 1, relative above.")
    ] = 5e-3,
    function: Function = None,
    mode: Annotated[str, typer.Option(help="fp16, or ane: what the Neural Engine would break first.")] = "fp16",
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Find the operator of any Core ML package that 16 bits break first.

    The package need not be of anelab. The operator's error is the first to be too large. Also lists which operators to
    keep in float32, so that the error is gone."""
    from dataclasses import asdict

    from anelab.cli.packages import read_rows
    from anelab.export.mil.blame import find_blame
    from anelab.export.mil.modes import check_mode
    from anelab.export.mlpackage import input_names
    from anelab.inference.location import opened_package

    chosen = check_mode(mode)
    with opened_package(ctx.obj.workspace, package) as path, watched(str(path), timeout):
        found = find_blame(path, read_rows(rows, input_names(path)), tolerance, function, chosen)
    if as_json:
        print_json(asdict(found))
    else:
        echo(f"largest error of an output: {found.output_error:.3g}")
        echo(found.advice())


@COMMANDS.command(epilog=f"Example: anelab model parity mnist. {EVERYWHERE}")
def parity(ctx: typer.Context, workload: Workload, as_json: AsJson = False) -> None:
    """Compare exported files with the trained module.

    By everything that runs them on this host: ONNX Runtime, the evaluator, and on macOS Core ML on every compute
    unit. Exit 1 if one is off."""
    from anelab.stages.export import measure, predicted_arithmetic

    job = ctx.obj.job(workload)
    found = measure(job)
    test = job.workload.load(job.config, job.prepared, "test")
    predicted = predicted_arithmetic(job, job.output("export"), test)
    if as_json:
        arithmetic = None if predicted is None else predicted.as_json()
        print_json({"measured": [one.as_json() for one in found], "predicted_arithmetic": arithmetic})
    else:
        echo(f"{'file':26} {'run by':20} {'max error':>10} {'agreement':>10}  verdict")
        for one in found:
            agreement = "" if one.parity.agreement is None else f"{one.parity.agreement:.6g}"
            verdict = "; ".join([*(one.broken or ["ok"]), *one.parity.remarks()])
            echo(f"{one.file:26} {one.executor:20} {one.parity.max_absolute:10.3g} {agreement:>10}  {verdict}")
        if predicted is not None:
            echo(f"predicted, by the Neural Engine's arithmetic (--mode ane): {predicted.text}")
    if any(one.broken for one in found):
        raise typer.Exit(1)


@COMMANDS.command(epilog=f"Example: anelab model placement mnist-coreml@champion. {EVERYWHERE}")
def placement(
    ctx: typer.Context,
    package: Package,
    unit: Annotated[str, typer.Option(help="cpu_only, cpu_and_ne, cpu_and_gpu or all.")] = "cpu_and_ne",
    function: Function = None,
    chip: Chip = "M4",
    as_json: AsJson = False,
) -> None:
    """Show where Core ML would run a package: Neural Engine, GPU or CPU.

    For cpu_and_ne, on any host: a prediction by Core ML's own rule. On macOS 14.4 or later: Core ML's plan beside it,
    and the operators at which the two differ."""
    from dataclasses import asdict

    from anelab.cli.placements import compare, plan_text
    from anelab.export.apple import check_unit
    from anelab.export.placement.rates import check_chip
    from anelab.inference.location import opened_package
    from anelab.views.tables import placements_text

    check_unit(unit)
    with opened_package(ctx.obj.workspace, package) as path:
        found = compare(path, unit, function, check_chip(chip))
    if as_json:
        plan = found.plan and {**asdict(found.plan), "operator_share": found.plan.operator_share}
        predicted = found.predicted and found.predicted.as_json()
        print_json({"differences": found.differences, "plan": plan, "predicted": predicted})
        return
    if found.predicted is not None:
        echo_lines(placements_text({found.predicted.rows: found.predicted}))
    echo_lines(found.no_plan if found.plan is None else plan_text(found.plan))
    for line in found.differences:
        echo(f"  {line}")
