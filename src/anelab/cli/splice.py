"""`anelab splice`: tables of windows, checked and scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli.console import EVERYWHERE, AsJson, Timeout, as_text, commands, print_json
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S
from anelab.texts import echo_lines, notify
from anelab.workspace import NoProjectError

if TYPE_CHECKING:
    from anelab.workloads.splice.config import Config

COMMANDS = commands("Check tables of windows around splice sites, and score them.", "splice")
CHAMPION = "models:/splice-onnx@champion"
SOURCES_HELP = "Tables of windows (TSV, CSV, Parquet, compressed too), SpliceVarDB's table, or FASTA with GFF3 or GTF."
TABLE_HELP = "A table with a column of sequences, and with the base model's scores if the model was trained with some."
OUT_HELP = "File for the table: the columns of the input and 7 more. - is standard output; .gz: compressed."


@COMMANDS.command(epilog=f"Example: anelab splice check windows.tsv.gz. {EVERYWHERE}")
def check(
    ctx: typer.Context,
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCES...", help=SOURCES_HELP)],
    as_json: AsJson = False,
) -> None:
    """Say what `anelab prepare splice` would find in these files: rows, classes, columns that nothing reads, mistakes.

    Names of columns, the window and all else come from the section splice of params.yaml, and from -S.
    """
    from anelab.workloads.splice.prepare import summary

    for path in sources:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file")
    found = summary(_config(ctx), sources)
    print_json(found) if as_json else echo_lines(as_text(found))


@COMMANDS.command(epilog=f"Example: anelab splice score windows.tsv.gz -o scored.tsv.gz. {EVERYWHERE}")
def score(
    ctx: typer.Context,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=TABLE_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help=OUT_HELP)],
    model: Annotated[str, typer.Option(help="A registered version, the folder of an export, or a file.")] = CHAMPION,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Give each row the chances of donor, acceptor and neither, beside the base model's, and a verdict.

    Rows stay in their order, and labels are not needed. Added columns: probability_donor, probability_acceptor,
    probability_neither, base_donor, base_acceptor, base_neither, verdict (the class with the highest chance).
    """
    from anelab.inference.splice.score import open_scorer, score_table
    from anelab.sequences.streams import STANDARD_INPUT

    if not table.is_file():
        raise UsageError(f"{table}: there is no such file")
    if as_json and str(out) == STANDARD_INPUT:
        raise UsageError("--json and --out - both write to standard output; give --out a file")
    with open_scorer(ctx.obj.workspace, model, timeout) as scorer:
        counts = score_table(scorer, table, out, _columns(ctx))
    if as_json:
        print_json(counts)
        return
    parts = ", ".join(f"{verdict} {count:,}" for verdict, count in counts.items())
    notify(f"anelab: {sum(counts.values()):,} rows: {parts}")


def _columns(ctx: typer.Context) -> dict[str, str]:
    """Those that params.yaml names, if there is one."""
    try:
        return _config(ctx).data.columns
    except NoProjectError:
        return {}


def _config(ctx: typer.Context) -> "Config":
    found: Any = ctx.obj.params().section("splice")
    config: Config = found
    return config
