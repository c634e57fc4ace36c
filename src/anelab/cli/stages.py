"""The stages of the pipeline, as DVC calls them, and all of them in order."""

from functools import partial
from typing import Annotated

import typer

from anelab.cli.console import EVERYWHERE, Common, Workload, commands
from anelab.texts import echo

COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab check -S mnist.training.max_epochs=3. {EVERYWHERE}")
def check(ctx: typer.Context) -> None:
    """Check the whole of params.yaml."""
    ctx.obj.params()
    echo("params.yaml is valid")


@COMMANDS.command(epilog=f"Example: anelab inputs mnist. {EVERYWHERE}")
def inputs(ctx: typer.Context, workload: Workload) -> None:
    """Record the data files of a workload, and this host."""
    from anelab.inputs import write_host, write_manifest

    job = ctx.obj.job(workload)
    write_manifest(workload, job.config.data.source, job.workspace)
    write_host(job.workspace)


@COMMANDS.command(epilog=f"Example: anelab simulate mnist. {EVERYWHERE}")
def simulate(ctx: typer.Context, workload: Workload) -> None:
    """Simulate or download the raw data."""
    from anelab.stages import simulate as stage

    stage.run(ctx.obj.job(workload))


@COMMANDS.command(epilog=f"Example: anelab prepare read_quality -S read_quality.data.phred=33. {EVERYWHERE}")
def prepare(ctx: typer.Context, workload: Workload) -> None:
    """Check, label and split the raw data."""
    _execute(ctx.obj, "prepare", workload)


@COMMANDS.command(epilog=f"Example: anelab search mnist -S mnist.search.n_trials=20. {EVERYWHERE}")
def search(ctx: typer.Context, workload: Workload) -> None:
    """Search for better hyperparameters with Optuna."""
    _execute(ctx.obj, "search", workload)


@COMMANDS.command(epilog=f"Example: anelab train mnist -S mnist.training.debug=fast-dev-run. {EVERYWHERE}")
def train(ctx: typer.Context, workload: Workload) -> None:
    """Train with the best hyperparameters, and test."""
    _execute(ctx.obj, "train", workload)


@COMMANDS.command(epilog=f"Example: anelab export mnist -S mnist.export.int8=false. {EVERYWHERE}")
def export(ctx: typer.Context, workload: Workload) -> None:
    """Export to ONNX and Core ML, and prove every file.

    Each file must compute the same as the trained module."""
    _execute(ctx.obj, "export", workload)


@COMMANDS.command(epilog=f"Example: anelab register mnist. {EVERYWHERE}")
def register(ctx: typer.Context, workload: Workload) -> None:
    """Check the exported models at every gate, and register them."""
    _execute(ctx.obj, "register", workload)


def _execute(common: Common, stage: str, workload: str) -> None:
    from anelab.stages.job import execute_and_publish
    from anelab.stages.pipeline import stage_of

    execute_and_publish(stage_of(stage), common.job(workload))


@COMMANDS.command(epilog=f"Example: anelab run mnist -S 'mnist.data.source=[../mnist]' --workspace out. {EVERYWHERE}")
def run(
    ctx: typer.Context,
    workload: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORKLOAD...", help="One workload or more. Default: those that params.yaml lists."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="How many workloads are worked on at once, until their models are exported. Benchmarks run alone.",
        ),
    ] = 1,
) -> None:
    """Run all stages of workloads in order, without DVC.

    A workload that fails does not stop the others."""
    from anelab.stages.pipeline import run_pipeline

    named = {name: partial(ctx.obj.job, name) for name in workload or ctx.obj.params().workloads}
    for make in named.values():
        make()  # a mistake in one is told before the others begin
    run_pipeline(named, jobs)
