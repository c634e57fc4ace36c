"""`anelab edna`: sequences of marker genes to embeddings and taxa."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli.console import EVERYWHERE, AsJson, Timeout, as_text, commands, print_json
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S
from anelab.names import FILE, fits
from anelab.texts import echo_lines, notify

if TYPE_CHECKING:
    from anelab.inference.edna.embed import Vectors

COMMANDS = commands("Embed marker genes; index references; find the taxa of sequences.", "edna")
CHAMPION = "models:/edna-onnx@champion"
KMERS = "kmers"

Sequences = Annotated[
    str, typer.Argument(metavar="SEQUENCES", help="FASTA or FASTQ, plain or compressed. - is FASTA of standard input.")
]
MODEL_HELP = "A registered version, the folder of an export, or a file of edna."
OUT_HELP = "File for the embeddings, in the order of the sequences: .parquet (id, embedding) or .npy."
INDEX_MODEL_HELP = f"{MODEL_HELP} {KMERS}: no model, search by counts of k-mers."
LABELS_HELP = (
    "Table of taxa, joined by sequence id: TSV or CSV with a lineage (d__...;p__...;..., or names between semicolons), "
    "a column of each rank, or a label. Default: the headers tell."
)
NAME_HELP = "Of the map on the dashboard. Default: the index's folder."
CONFIDENCE_HELP = (
    "Leave ranks empty that are less sure than this; 0 empties nothing. Default: as the index was calibrated."
)


@COMMANDS.command(epilog=f"Example: anelab edna embed genes.fasta.gz -o genes.parquet. {EVERYWHERE}")
def embed(
    ctx: typer.Context,
    sequences: Sequences,
    out: Annotated[Path, typer.Option("--out", "-o", help=OUT_HELP)],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Give each sequence its embedding: near each other where the taxa are related."""
    from anelab.inference.edna.embed import open_embedder
    from anelab.inference.edna.outputs import check_embeddings_file, write_embeddings
    from anelab.sequences.records import read_sequences

    check_embeddings_file(out)
    with open_embedder(ctx.obj.workspace, model, timeout) as embedder:
        count = write_embeddings(out, embedder, read_sequences(sequences))
    notify(f"anelab: {count:,} sequences, {embedder.dimension} numbers each, in {out}")


@COMMANDS.command(epilog=f"Example: anelab edna index refs.fasta --labels taxa.tsv -o refs-index. {EVERYWHERE}")
def index(
    ctx: typer.Context,
    references: Annotated[list[Path], typer.Argument(metavar="REFERENCES...", help="FASTA files of references.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the index. An older index is replaced.")],
    labels: Annotated[list[Path] | None, typer.Option(help=LABELS_HELP)] = None,
    model: Annotated[str, typer.Option(help=INDEX_MODEL_HELP)] = CHAMPION,
    min_length: Annotated[int, typer.Option(help="Leave out shorter references, in bases.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of the samples that the calibration takes.", min=0, max=2**32 - 1)] = 42,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Make references searchable, and learn from them how sure a taxon is.

    The learned embedding is compared with counts of k-mers on these references, up to 2,000 of which are left out, each
    in turn; the better one is kept.
    """
    from anelab.inference.edna.build import build_index
    from anelab.inference.edna.index import check_folder, write_index
    from anelab.inference.edna.references import read_references

    check_folder(out)
    labelled = read_references(references, labels or [], min_length)
    for text in labelled.warnings:
        notify(f"anelab: warning: {text}")
    with _vectors(ctx, model, timeout) as vectors:
        progress = (lambda text: notify(f"anelab: {text}")) if sys.stderr.isatty() else (lambda text: None)
        made = build_index(labelled.names, labelled.sequences, labelled.lineages, vectors, seed, progress)
        write_index(made, out)
    found: dict[str, Any] = {**labelled.facts, "references": len(made), **made.calibration.figures}
    found["min_confidence"] = round(made.calibration.min_confidence, 4)
    print_json(found) if as_json else echo_lines(as_text(found))


@COMMANDS.command(epilog=f"Example: anelab edna assign asv.fasta --index refs-index -o taxa.tsv. {EVERYWHERE}")
def assign(
    ctx: typer.Context,
    sequences: Sequences,
    index: Annotated[Path, typer.Option(metavar="FOLDER", help="What `anelab edna index` made.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File for the table. - is standard output; .gz: compressed.")
    ],
    min_confidence: Annotated[float | None, typer.Option(help=CONFIDENCE_HELP, min=0, max=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Find the taxa of sequences: a row for each, in the order of the input, duplicates included.

    Columns: query, domain to species, confidence (of the lowest rank that has a name), nearest, similarity (share of
    8-mers), ties (all species that are equally near), novelty (the chance that its genus is not among the references),
    verdict: called, novel, ambiguous, too short (under 40 different 8-mers), off-target.
    """
    from anelab.inference.edna.assign import assign_all
    from anelab.inference.edna.index import open_index
    from anelab.inference.edna.outputs import write_assignments
    from anelab.sequences.records import read_sequences
    from anelab.sequences.streams import STANDARD_INPUT

    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence takes a number from 0 to 1, but got {min_confidence}")
    if as_json and str(out) == STANDARD_INPUT:
        raise UsageError("--json and --out - both write to standard output; give --out a file")
    with open_index(ctx.obj.workspace, index) as opened:
        counts = write_assignments(out, assign_all(opened, read_sequences(sequences), min_confidence))
    if as_json:
        print_json(counts)
        return
    total = sum(counts.values())
    parts = ", ".join(f"{verdict} {count:,}" for verdict, count in counts.items() if count)
    notify(f"anelab: {total:,} sequences" + (f": {parts}" if parts else ""))


@COMMANDS.command(epilog=f"Example: anelab edna clusters asv.fasta --index refs-index. {EVERYWHERE}")
def clusters(
    ctx: typer.Context,
    index: Annotated[Path, typer.Option(metavar="FOLDER", help="What `anelab edna index` made.")],
    sequences: Annotated[
        str | None, typer.Argument(metavar="[SEQUENCES]", help="FASTA or FASTQ. Default: the references alone.")
    ] = None,
    name: Annotated[str | None, typer.Option(help=NAME_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Place sequences among the clusters of references, for the dashboard's page Clusters.

    Clusters and map were fitted with the index, so the maps of two surveys can be compared. The table is
    .anelab/clusters/NAME.parquet: id, verdict, x, y, cluster (-1: none), domain to species.
    """
    from anelab.inference.edna.index import open_index
    from anelab.inference.edna.outputs import write_clusters
    from anelab.sequences.records import read_sequences

    table = ctx.obj.workspace().state / "clusters" / f"{_file_name(name or index.resolve().name)}.parquet"
    with open_index(ctx.obj.workspace, index) as opened:
        found = write_clusters(table, opened, read_sequences(sequences) if sequences else ())
        counts = {"references": len(opened), "clusters": len(opened.clusters.reach), **found}
    print_json({**counts, "table": str(table)}) if as_json else echo_lines(as_text({**counts, "table": str(table)}))


def _file_name(name: str) -> str:
    if not fits(FILE, name):
        raise UsageError(
            f"--name takes a name without / that begins with no dot, of at most 200 characters, not {name!r}"
        )
    return name


@contextmanager
def _vectors(ctx: typer.Context, model: str, timeout: float) -> "Iterator[Vectors | None]":
    from anelab.inference.edna.embed import open_embedder

    if model == KMERS:
        yield None
        return
    with open_embedder(ctx.obj.workspace, model, timeout) as embedder:
        yield embedder
