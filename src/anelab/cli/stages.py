"""The stages of the pipeline, as DVC calls them, and all of them in order."""

import typer

from anelab.cli.console import EVERYWHERE, Common, Workload, commands, notify

COMMANDS = commands()


@COMMANDS.command(epilog=f"Example: anelab check -S mnist.training.max_epochs=3. {EVERYWHERE}")
def check(ctx: typer.Context) -> None:
    """Check params.yaml as a whole."""
    ctx.obj.params()
    print("params.yaml is valid")


@COMMANDS.command(epilog=f"Example: anelab inputs mnist. {EVERYWHERE}")
def inputs(ctx: typer.Context, workload: Workload) -> None:
    """List a workload's data files, and what this host is."""
    from anelab.inputs import write_host, write_manifest

    job = ctx.obj.job(workload)
    write_manifest(workload, job.config.data.source, job.workspace)
    write_host(job.workspace)


@COMMANDS.command(epilog=f"Example: anelab simulate mnist. {EVERYWHERE}")
def simulate(ctx: typer.Context, workload: Workload) -> None:
    """Make the default raw data, or fetch what addresses name."""
    from anelab.stages import simulate as stage

    stage.run(ctx.obj.job(workload))


@COMMANDS.command(epilog=f"Example: anelab prepare read_quality -S read_quality.data.phred=33. {EVERYWHERE}")
def prepare(ctx: typer.Context, workload: Workload) -> None:
    """Check, label and split the raw data."""
    _execute(ctx.obj, "prepare", workload)


@COMMANDS.command(epilog=f"Example: anelab search mnist -S mnist.search.n_trials=20. {EVERYWHERE}")
def search(ctx: typer.Context, workload: Workload) -> None:
    """Search better values with Optuna."""
    _execute(ctx.obj, "search", workload)


@COMMANDS.command(epilog=f"Example: anelab train mnist -S mnist.training.debug=fast-dev-run. {EVERYWHERE}")
def train(ctx: typer.Context, workload: Workload) -> None:
    """Train with the values that were found, and test."""
    _execute(ctx.obj, "train", workload)


@COMMANDS.command(epilog=f"Example: anelab export mnist -S mnist.export.int8=false. {EVERYWHERE}")
def export(ctx: typer.Context, workload: Workload) -> None:
    """Export to ONNX and Core ML, proven to compute the same."""
    _execute(ctx.obj, "export", workload)


@COMMANDS.command(epilog=f"Example: anelab register mnist. {EVERYWHERE}")
def register(ctx: typer.Context, workload: Workload) -> None:
    """Judge the exported model at every gate and register it."""
    _execute(ctx.obj, "register", workload)


def _execute(common: Common, stage: str, workload: str) -> None:
    from importlib import import_module

    from anelab.stages.job import execute

    job = common.job(workload)
    execute(import_module(f"anelab.stages.{stage}").STAGE, job)


@COMMANDS.command(epilog=f"Example: anelab run mnist -S 'mnist.data.source=[../mnist]' --workspace out. {EVERYWHERE}")
def run(ctx: typer.Context, workload: Workload) -> None:
    """Run all stages of a workload in order, without DVC."""
    ctx.obj.job(workload)
    for step in (inputs, simulate):
        notify(f"{workload}: {step.__name__}")
        step(ctx, workload)
    for stage in ("prepare", "search", "train", "export", "bench", "register"):
        notify(f"{workload}: {stage}")
        _execute(ctx.obj, stage, workload)
