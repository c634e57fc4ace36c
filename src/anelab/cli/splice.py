"""`anelab splice`: tables, genomes and variants, checked and scored by a model of splice sites."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anelab.cli.console import EVERYWHERE, AsJson, Timeout, as_text, commands, print_json
from anelab.errors import UsageError
from anelab.interruption import TIMEOUT_S, ending_in_order
from anelab.texts import echo_lines, notify
from anelab.workspace import NoProjectError

if TYPE_CHECKING:
    from anelab.inference.splice.detection import Detection
    from anelab.workloads.splice.config import Config, SpliceData

COMMANDS = commands("Splice sites: check tables, score tables, genomes and variants.", "splice")
CHAMPION = "models:/splice-onnx@champion"
SOURCES_HELP = (
    "Tables of windows (TSV, CSV, Parquet, compressed too), SpliceVarDB's table, or FASTA with GFF3 or GTF, and tables "
    "of scores by position."
)
GENOME_HELP = "A genome's FASTA and its annotation (GFF3 or GTF)."
INPUTS_HELP = "A table of windows; or a genome's FASTA and its annotation (GFF3 or GTF)."
OUT_HELP = (
    "File for the table. - is standard output; .gz: compressed; of a genome also .bedgraph: tracks for a browser."
)
MODEL_HELP = "A registered version, the folder of an export, or a file."
BASE_MODEL_HELP = (
    "ONNX file of the base model with whose scores the model was trained. Repeat it for several, which are averaged."
)
BASE_RUN_HELP = "ONNX file of the base model. Repeat it for several, which are averaged."
FASTA_HELP = "The genome that the variants are of."
ANNOTATION_HELP = "Genes (GFF3 or GTF). Without it both strands are looked at."
DISTANCE_HELP = "Bases on each side of a variant in which sites are looked for."
MASK_HELP = "Ignore gains at annotated sites and losses at others, as SpliceAI's mask does."
CLASSES_HELP = "SpliceVarDB's table: also say how well the variants that alter splicing are told from the others."
EFFECTS_HELP = "File for the effects: .vcf or .vcf.gz keeps every record; any other name is a table. - is VCF."


class Positions(StrEnum):
    sites = "sites"
    motifs = "motifs"
    all = "all"


POSITIONS_HELP = (
    "Of a genome: annotated sites; these and what has GT or GC after it, or AG before it (motifs, the default); or all "
    "positions of genes."
)
PREVALENCE_HELP = (
    "Share of a gene's positions that are donors, and share that are acceptors. Default: that of the annotation, or "
    "0.0002 without one."
)
GENOME_ONLY = (
    "a table is scored as it is: --base-model, --positions, --prevalence and .bedgraph are for a FASTA and its "
    "annotation"
)
PrevalenceOption = Annotated[float | None, typer.Option("--prevalence", help=PREVALENCE_HELP, min=1e-9, max=0.3)]
BaseModels = Annotated[list[Path] | None, typer.Option("--base-model", help=BASE_MODEL_HELP)]


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

    _require(sources)
    found = summary(_config(ctx), sources)
    print_json(found) if as_json else echo_lines(as_text(found))


@COMMANDS.command(epilog=f"Example: anelab splice score windows.tsv.gz -o scored.tsv.gz. {EVERYWHERE}")
def score(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="TABLE|FASTA ANNOTATION", help=INPUTS_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help=OUT_HELP)],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION,
    positions: Annotated[Positions | None, typer.Option(help=POSITIONS_HELP)] = None,
    base_model: BaseModels = None,
    prevalence: PrevalenceOption = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Give each row or position the probabilities of donor, acceptor and neither, the base model's, and a verdict.

    A table's rows stay in their order, and labels are not needed; the base model's scores are, if the model was trained
    with some. Added columns: probability_donor, probability_acceptor, probability_neither, base_donor, base_acceptor,
    base_neither, verdict (the class with the highest probability). Of a genome, probabilities are those where as few
    positions are sites as --prevalence says.
    """
    from anelab.inference.reads.outputs import files_of
    from anelab.inference.splice.genome_scores import GenomeScorer, is_bedgraph, score_genome
    from anelab.inference.splice.score import score_table
    from anelab.inference.splice.scorer import open_scorer
    from anelab.workloads.splice.sources import ANNOTATION, FASTA, TABLE

    _require(inputs)
    _require_other_output(out, as_json)
    files_of(out, mates=False)
    data = _data(ctx)
    of = _by_kind(inputs, data)
    if set(of) not in ({TABLE}, {FASTA, ANNOTATION}) or len(of.get(TABLE, [])) > 1:
        raise UsageError(
            "give one table of windows (with a column of sequences), or a FASTA and its annotation, but got "
            f"{', '.join(of)}" + (" (more than one)" if set(of) == {TABLE} else "")
        )
    if TABLE in of and (base_model or positions or prevalence or is_bedgraph(out)):
        raise UsageError(GENOME_ONLY)
    with ending_in_order(), open_scorer(ctx.obj.workspace, model, timeout, base_model or ()) as scorer:
        if TABLE in of:
            counts = score_table(scorer, of[TABLE][0], out, data.columns)
        else:
            wanted = GenomeScorer(scorer, (positions or Positions.motifs).value, _of_both(prevalence))
            counts = score_genome(wanted, of[FASTA], of[ANNOTATION], out)
    if as_json:
        print_json(counts)
        return
    parts = ", ".join(f"{verdict} {count:,}" for verdict, count in counts.items())
    total = sum(count for verdict, count in counts.items() if verdict != "not scored")
    notify(f"anelab: {total:,} rows: {parts}")


@COMMANDS.command(
    "base-scores",
    epilog="Example: anelab splice base-scores genome.fa genes.gff3 --base-model openspliceai.onnx -o base.tsv.gz. "
    + EVERYWHERE,
)
def base_scores(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="FASTA ANNOTATION", help=GENOME_HELP)],
    base_model: Annotated[list[Path], typer.Option("--base-model", help=BASE_RUN_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the table. .gz: compressed.")],
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Run a base model on the positions that `anelab prepare splice` takes from a genome, for training on its scores.

    Add the table to splice.data.source, beside the FASTA and the annotation. The order of the file's classes and how
    many bases it sees are splice.data.base.channels and splice.data.base.context.
    """
    from anelab.inference.splice.base_model import open_base_model
    from anelab.inference.splice.base_table import write_base_scores
    from anelab.workloads.splice.sources import ANNOTATION, FASTA

    _require([*inputs, *base_model])
    config = _config(ctx)
    of = _by_kind(inputs, config.data)
    if set(of) != {FASTA, ANNOTATION}:
        raise UsageError(f"give a FASTA and its annotation (GFF3 or GTF), but got {', '.join(of)}")
    base = config.data.base
    with ending_in_order(), open_base_model(ctx.obj.workspace, base_model, base, timeout) as opened:
        count = write_base_scores(opened, config, of[FASTA], of[ANNOTATION], out)
    notify(f"anelab: {count:,} positions, scored by {base.model}, in {out}")


@COMMANDS.command(
    epilog="Example: anelab splice variants calls.vcf.gz --fasta genome.fa --annotation genes.gff3 -o effects.vcf.gz. "
    + EVERYWHERE
)
def variants(
    ctx: typer.Context,
    vcf: Annotated[Path, typer.Argument(metavar="VCF", help="VCF or BCF, compressed or not.")],
    fasta: Annotated[list[Path], typer.Option(help=FASTA_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help=EFFECTS_HELP)],
    annotation: Annotated[list[Path] | None, typer.Option("--annotation", "--gtf", help=ANNOTATION_HELP)] = None,
    mask: Annotated[bool, typer.Option("--mask", help=MASK_HELP)] = False,
    distance: Annotated[int, typer.Option(help=DISTANCE_HELP, min=1, max=5000)] = 50,
    classes: Annotated[list[Path] | None, typer.Option(help=CLASSES_HELP)] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION,
    base_model: BaseModels = None,
    prevalence: PrevalenceOption = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Say what each variant does to splice sites near it: how much likelier or less likely donors and acceptors become.

    INFO gains ANELAB_SPLICE, in the order of SpliceAI: ALLELE|GENE|DS_AG|DS_AL|DS_DG|DS_DL|DP_AG|DP_AL|DP_DG|DP_DL. DS:
    largest gain (G) and loss (L) of an acceptor (A) and a donor (D), 0 to 1; DP: where, in bases after POS.
    ANELAB_SPLICE_BASE has the same of the base model alone, ANELAB_SPLICE_SKIPPED why an allele has none.
    """
    from anelab.inference.splice.scorer import open_scorer
    from anelab.inference.splice.variant_files import (
        VariantFile,
        check_effects_file,
        read_genes,
        read_genome_of,
        write_effects,
    )
    from anelab.inference.splice.variants import VariantScorer
    from anelab.workloads.splice.sites import USUAL_PREVALENCE

    if mask and not annotation:
        raise UsageError("--mask needs to know which sites are annotated; give --annotation GFF3 or GTF")
    if classes and not annotation:
        raise UsageError("--classes gives intervals over genes; give --annotation GFF3 or GTF")
    check_effects_file(out)
    _require([*fasta, *(annotation or ()), *(classes or ())])
    _require_other_output(out, as_json)
    source = VariantFile(vcf)
    detection = _detection(ctx, classes) if classes else None
    with ending_in_order(), open_scorer(ctx.obj.workspace, model, timeout, base_model or ()) as scorer:
        genome = read_genome_of(source, fasta)
        genes = read_genes(annotation, genome) if annotation else None
        share = _of_both(prevalence) or (genes.prevalence if genes else USUAL_PREVALENCE)
        effects = VariantScorer(scorer, genome, genes, distance, mask, share)
        counts: dict[str, Any] = write_effects(effects, source, out, detection.add if detection else None)
    if as_json:
        print_json({**counts, **({"detection": detection.report()} if detection else {})})
    else:
        notify(as_text({**counts, **({"detection": detection.texts()} if detection else {})}))


def _of_both(prevalence: float | None) -> tuple[float, float] | None:
    return (prevalence, prevalence) if prevalence is not None else None


def _detection(ctx: typer.Context, classes: list[Path]) -> "Detection":
    from anelab.inference.splice.detection import Detection
    from anelab.workloads.splice.sources import read_classes

    return Detection(read_classes(_data(ctx), classes))


def _by_kind(paths: list[Path], data: "SpliceData") -> dict[str, list[Path]]:
    """By their content."""
    from anelab.workloads.splice.sources import kind_of

    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(kind_of(path, data), []).append(path)
    return found


def _require(paths: list[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path}: there is no such file")


def _require_other_output(out: Path, as_json: bool) -> None:
    from anelab.sequences.streams import STANDARD_INPUT

    if as_json and str(out) == STANDARD_INPUT:
        raise UsageError("--json and --out - both write to standard output; give --out a file")


def _data(ctx: typer.Context) -> "SpliceData":
    """That of params.yaml, if there is one."""
    from anelab.workloads.splice.config import SpliceData

    try:
        return _config(ctx).data
    except NoProjectError:
        return SpliceData(source="simulate")


def _config(ctx: typer.Context) -> "Config":
    found: Any = ctx.obj.params().section("splice")
    config: Config = found
    return config
