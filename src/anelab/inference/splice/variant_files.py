"""VCF in, VCF or a table out: every record of the input with its effects, or why it has none."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol

import pysam

from anelab.errors import AnelabError, UsageError
from anelab.files import replacing
from anelab.inference.reads.outputs import STANDARD_OUTPUT, is_special, opened
from anelab.inference.splice.variants import VALUES, Effect, Genes, Outcome, Variant, VariantScorer
from anelab.sequences.annotation import read_transcripts
from anelab.sequences.genome import Genome
from anelab.sequences.streams import read_bytes
from anelab.texts import one_line
from anelab.workloads.splice.sources import read_all_contigs

KEY, BASE_KEY, SKIPPED_KEY = "ANELAB_SPLICE", "ANELAB_SPLICE_BASE", "ANELAB_SPLICE_SKIPPED"
OFFSETS = ("DP_AG", "DP_AL", "DP_DG", "DP_DL")
FORM = "|".join(("ALLELE", "GENE", *VALUES, *OFFSETS))
COLUMNS = (
    *("CHROM", "POS", "ID", "REF", "ALT", "GENE", "STRAND"),
    *VALUES,
    *OFFSETS,
    *(f"BASE_{name}" for name in (*VALUES, *OFFSETS)),
    "SKIPPED",
)
RECORDS_AT_ONCE = 16
NO_ALLELE = "there is no alternative allele"


class Writer(Protocol):
    def write(self, text: str) -> None: ...


@dataclass(frozen=True)
class Record:
    """A line of VCF without its end, and its variants."""

    line: str
    variants: tuple[Variant, ...]

    @property
    def id(self) -> str:
        return self.line.split("\t", 3)[2]


@dataclass
class VariantFile:
    """`header`: its lines. Reading raises AnelabError for what is no VCF or BCF, and for a record that is damaged."""

    path: Path
    header: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        pysam.set_verbosity(0)  # htslib writes its warnings itself
        with self._opened() as file:
            self.header = str(file.header).splitlines() if file.format == "BCF" else list(_lines(self.path, True))

    def records(self) -> Iterator[Record]:
        """Lines of a text come as they are; those of BCF as htslib writes them."""
        with self._opened() as file:
            lines = None if file.format == "BCF" else _lines(self.path)
            number, records = 0, iter(file)
            while True:
                number += 1
                try:
                    found = next(records, None)
                except (OSError, ValueError):
                    raise AnelabError(
                        f"{self.path}: record {number} cannot be read; a line of VCF has 8 columns and more between "
                        "tabs, the second a number"
                    ) from None
                if found is None:
                    return
                contig, position, ref = str(found.contig), int(found.pos), str(found.ref or "").upper()
                variants = tuple(Variant(contig, position, ref, str(alt).upper()) for alt in found.alts or ())
                yield Record(str(found).rstrip("\r\n") if lines is None else next(lines), variants)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        if not self.path.is_file():
            raise UsageError(f"{self.path}: there is no such file")
        with ExitStack() as stack:
            try:
                try:
                    file = pysam.VariantFile(str(self.path))
                except NotImplementedError:  # htslib cannot read what gzip itself has compressed
                    file = pysam.VariantFile(stack.enter_context(_decompressed(self.path)))
            except (OSError, ValueError):
                raise AnelabError(
                    f"{self.path}: is no VCF or BCF (compressed by bgzip or gzip, or not), or is cut short"
                ) from None
            yield stack.enter_context(file)


def _lines(path: Path, header: bool = False) -> Iterator[str]:
    """Of records, or of the header, without their ends; bytes that are no UTF-8 stay what they are."""
    rest = b""
    for data in chain(read_bytes(path), [b"\n"]):
        parts = (rest + data).split(b"\n")
        rest = parts.pop()
        for part in parts:
            if part.strip() and part.startswith(b"#") == header:
                yield part.decode("utf-8", "surrogateescape").rstrip("\r")
            elif header and part.strip():
                return


@contextmanager
def _decompressed(path: Path) -> Iterator[str]:
    with NamedTemporaryFile(suffix=".vcf") as handle:
        for data in read_bytes(path):
            handle.write(data)
        handle.flush()
        yield handle.name


def matched_name(name: str, there: Collection[str]) -> str:
    """What a contig is called there: as it is, or with `chr` or without it; its own name if it is not there."""
    other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
    return other if name not in there and other in there else name


def read_genome_of(source: VariantFile, fastas: Sequence[Path]) -> Genome:
    """The contigs that its variants are on, a byte a base. Raises AnelabError if there is none of them."""
    named = {variant.contig for record in source.records() for variant in record.variants}
    wanted = {name for one in named for name in (one, f"chr{one}", one.removeprefix("chr"))}
    found = Genome(dict(read_all_contigs(fastas, wanted)))
    if named and not found.contigs:
        raise AnelabError(
            f"{source.path}: has variants on {', '.join(sorted(named)[:5])}, but {fastas[0]} has none of these contigs"
        )
    return found


def read_genes(annotations: Sequence[Path], genome: Genome) -> Genes:
    """Genes on contigs of the genome. Raises AnelabError if there is none."""
    found = []
    for path in annotations:
        for one in read_transcripts(path):
            found.append(replace(one, contig=matched_name(one.contig, genome.contigs)))
    if genome.contigs and not {one.contig for one in found} & genome.contigs.keys():
        raise AnelabError(
            f"{annotations[0]}: has genes on {', '.join(sorted({one.contig for one in found})[:5])}, but the variants "
            f"are on {', '.join(list(genome.contigs)[:5])}"
        )
    return Genes(found)


def write_effects(
    scorer: VariantScorer, source: VariantFile, out: Path, on_outcome: "OnOutcome | None" = None
) -> dict[str, int]:
    """Every record of the source to `out`, VCF if it is called so or is standard output, else a table; counts, of
    alleles. `on_outcome` is given each allele and what was found. Raises AnelabError and UsageError."""
    as_vcf = _is_vcf(out)
    taken = [key for key in (KEY, BASE_KEY, SKIPPED_KEY) if any(f"##INFO=<ID={key}," in line for line in source.header)]
    if as_vcf and taken:
        raise UsageError(f"{source.path}: has {taken[0]} already; remove it, or write a table (-o NAME.tsv)")
    counts, reasons = Counter[str](), Counter[str]()
    with ExitStack() as names, _opened_out(out, names) as handle:
        handle.write(_vcf_header(source.header) if as_vcf else "\t".join(COLUMNS) + "\n")
        for record, outcomes in _scored(scorer, source):
            handle.write(_vcf_line(record, outcomes) if as_vcf else _table_lines(record, outcomes))
            counts["records"] += 1
            reasons.update([] if record.variants else [NO_ALLELE])
            for variant, outcome in zip(record.variants, outcomes, strict=True):
                counts["scored" if outcome.effects else "skipped"] += 1
                reasons.update([outcome.skipped] if outcome.skipped else [])
                if on_outcome is not None:
                    on_outcome(variant, outcome)
    return {**{name: counts[name] for name in ("records", "scored", "skipped")}, **dict(sorted(reasons.items()))}


class OnOutcome(Protocol):
    def __call__(self, variant: Variant, outcome: Outcome) -> None: ...


def _scored(scorer: VariantScorer, source: VariantFile) -> Iterator[tuple[Record, list[Outcome]]]:
    contigs, records = scorer.genome.contigs, source.records()
    while some := list(islice(records, RECORDS_AT_ONCE)):
        renamed = (
            Variant(matched_name(one.contig, contigs), one.position, one.ref, one.alt)
            for record in some
            for one in record.variants
        )
        outcomes = scorer.outcomes(renamed)
        for record in some:
            yield record, list(islice(outcomes, len(record.variants)))


def check_effects_file(out: Path) -> None:
    """Raises UsageError for a name that says another format."""
    if out.name.lower().endswith((".bcf", ".bgz", ".bz2", ".xz", ".zst")):
        raise UsageError(f"{out}: effects are written as .vcf, .vcf.gz, or a table (.tsv, .tsv.gz); choose such a name")


def _is_vcf(out: Path) -> bool:
    return str(out) in (STANDARD_OUTPUT, "/dev/stdout") or out.name.lower().endswith((".vcf", ".vcf.gz"))


@contextmanager
def _opened_out(out: Path, names: ExitStack) -> Iterator[Writer]:
    """Text; VCF that is compressed as tools for it want it, in blocks."""
    if _is_vcf(out) and out.suffix.lower() == ".gz" and not is_special(out):
        with pysam.BGZFile(str(names.enter_context(replacing(out.resolve()))), "wb", None) as blocks:
            yield _Encoded(blocks)
    else:
        with opened(out, names) as handle:
            yield _Encoded(handle)


@dataclass(frozen=True)
class _Encoded:
    handle: Any

    def write(self, text: str) -> None:
        self.handle.write(text.encode("utf-8", "surrogateescape"))


def _vcf_header(lines: Sequence[str]) -> str:
    added = [
        f'##INFO=<ID={KEY},Number=.,Type=String,Description="Effect on splice sites by anelab: {FORM}">',
        f'##INFO=<ID={BASE_KEY},Number=.,Type=String,Description="The same by the base model alone: {FORM}">',
        f'##INFO=<ID={SKIPPED_KEY},Number=.,Type=String,Description="Why an allele has no effect: ALLELE|REASON">',
    ]
    return "\n".join([*lines[:-1], *added, lines[-1], ""])


def _vcf_line(record: Record, outcomes: Sequence[Outcome]) -> str:
    """The record with what was found added to its INFO; all else as it is."""
    pairs = list(zip(record.variants, outcomes, strict=True))
    own = [_entry(one.alt, effect, False) for one, outcome in pairs for effect in outcome.effects]
    base = [_entry(one.alt, effect, True) for one, outcome in pairs for effect in outcome.effects]
    skipped = [f"{_plain(one.alt)}|{_plain(outcome.skipped)}" for one, outcome in pairs if outcome.skipped]
    if not pairs:
        skipped = [f".|{_plain(NO_ALLELE)}"]
    cells = record.line.split("\t")
    if any(field.partition("=")[0] in (KEY, BASE_KEY, SKIPPED_KEY) for field in cells[7].split(";")):
        raise AnelabError(f"{cells[0]}:{cells[1]}: INFO has {KEY} already; remove it, or write a table (-o NAME.tsv)")
    fields = [] if cells[7] in ("", ".") else [cells[7]]
    fields += [
        f"{key}={','.join(values)}" for key, values in ((KEY, own), (BASE_KEY, base), (SKIPPED_KEY, skipped)) if values
    ]
    cells[7] = ";".join(fields)
    return "\t".join(cells) + "\n"


def _entry(allele: str, effect: Effect, base: bool) -> str:
    values, offsets = _texts(effect, base)
    return "|".join([_plain(allele), _plain(effect.gene), *values, *offsets])


def _texts(effect: Effect, base: bool) -> tuple[list[str], list[str]]:
    values, offsets = (effect.base_values, effect.base_offsets) if base else (effect.values, effect.offsets)
    return [f"{value:.4f}" for value in values], [str(offset) for offset in offsets]


def _plain(text: str) -> str:
    """Without characters that mean something in INFO."""
    return "".join("_" if letter in ";,|= " else letter for letter in one_line(text))


def _table_lines(record: Record, outcomes: Sequence[Outcome]) -> str:
    """A line for each allele and gene, or one that says why there is none."""
    contig, position, name, ref, _ = record.line.split("\t", 4)
    lines = []
    for variant, outcome in zip(record.variants, outcomes, strict=True):
        front = [contig, position, name, ref, variant.alt]
        for effect in outcome.effects:
            texts = [text for base in (False, True) for part in _texts(effect, base) for text in part]
            lines.append([*front, one_line(effect.gene), "+" if effect.strand > 0 else "-", *texts, ""])
        if not outcome.effects:
            lines.append([*front, *[""] * (len(COLUMNS) - len(front) - 1), outcome.skipped])
    if not record.variants:
        lines.append([contig, position, name, ref, ".", *[""] * (len(COLUMNS) - 6), NO_ALLELE])
    return "".join("\t".join(line) + "\n" for line in lines)
