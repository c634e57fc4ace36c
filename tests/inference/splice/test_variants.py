"""What variants do to splice sites: either strand, every kind of allele, the ends of contigs, and damaged files."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest

from anelab.errors import AnelabError
from anelab.inference.splice.detection import recall_at
from anelab.inference.splice.scorer import Scorer, open_scorer
from anelab.inference.splice.variant_files import VariantFile, read_genome_of, write_effects
from anelab.inference.splice.variants import Effect, Genes, Outcome, Variant, VariantScorer, aligned
from anelab.sequences.annotation import Transcript
from anelab.sequences.genome import Genome
from anelab.sequences.nucleotides import encode_bases
from anelab.workloads.splice.config import SimulationConfig
from anelab.workloads.splice.simulate import simulate_genome
from anelab.workspace import Workspace
from tests.commands import Done, anelab
from tests.inference.splice.made import base_model, model_with_base, text, turned, write_genome
from tests.shared import copy_workspace

GENOME, TRANSCRIPTS = simulate_genome(SimulationConfig(genes=20, exons=3), 5)
AG, AL, DG, DL = range(4)
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(tmp_path_factory.mktemp("variants"), "splice")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_genome(tmp_path_factory.mktemp("genes"), GENOME, TRANSCRIPTS)


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_with_base(home, tmp_path_factory.mktemp("pwm") / "model", "pwm")


@pytest.fixture(scope="module")
def scorer(home: Path, folder: Path) -> Iterator[Scorer]:
    with open_scorer(lambda: Workspace(home, home), str(folder)) as found:
        yield found


def gene(strand: int) -> Transcript:
    return next(one for one in TRANSCRIPTS if one.strand == strand)


def donor_of(one: Transcript) -> int:
    """The last base of the exon before its first intron, on its strand."""
    return one.introns[0][0] - 1 if one.strand > 0 else one.introns[-1][1] + 1


def effect_of(scored: VariantScorer, variant: Variant) -> Effect:
    (outcome,) = scored.outcomes([variant])
    assert not outcome.skipped and len(outcome.effects) == 1
    return outcome.effects[0]


def letters(genome: Genome, contig: str, first: int, last: int) -> str:
    return text(genome.contigs[contig][first - 1 : last])


def point(genome: Genome, contig: str, position: int, alt: str | None = None) -> Variant:
    ref = letters(genome, contig, position, position)
    return Variant(contig, position, ref, alt or ("A" if ref != "A" else "C"))


@pytest.mark.parametrize("strand", [1, -1])
def test_a_donor_that_is_broken_is_lost_where_it_was(scorer: Scorer, strand: int) -> None:
    one = gene(strand)
    donor = donor_of(one)
    broken = point(GENOME, one.contig, donor + strand)  # the G of GT
    effect = effect_of(VariantScorer(scorer, GENOME, Genes(TRANSCRIPTS)), broken)
    assert (effect.gene, effect.strand) == (one.gene, strand)
    assert effect.base_values[DL] > 0.3 and effect.base_offsets[DL] == -strand
    assert effect.values[DL] > 0 and effect.offsets[DL] == -strand
    assert max(effect.base_values[place] for place in (AG, AL)) < 0.2


def test_a_genome_read_from_its_other_end_gives_the_same_effects(scorer: Scorer) -> None:
    other, genes = turned(GENOME, TRANSCRIPTS)
    here, there = VariantScorer(scorer, GENOME, Genes(TRANSCRIPTS)), VariantScorer(scorer, other, Genes(genes))
    one = gene(1)
    size = GENOME.contigs[one.contig].size
    for position in (donor_of(one) + 1, donor_of(one) + 5, one.introns[0][1] - 8):
        variant = point(GENOME, one.contig, position)
        alt = variant.alt.translate(str.maketrans("ACGT", "TGCA"))
        mirrored = point(other, one.contig, size + 1 - position, alt)
        left, right = effect_of(here, variant), effect_of(there, mirrored)
        np.testing.assert_allclose(left.values, right.values, atol=1e-6)
        np.testing.assert_allclose(left.base_values, right.base_values, atol=1e-6)
        assert left.offsets == tuple(-offset for offset in right.offsets)


def test_alleles_of_other_lengths_are_laid_over_the_reference() -> None:
    values = np.arange(1.0, 12.0)[:, None]
    assert aligned(values, 3, 1, 1)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert aligned(values, 3, 1, 3)[:, 0].tolist() == [1, 2, 3, 6, 7, 8, 9]  # the inserted bases' highest
    assert aligned(values, 3, 3, 1)[:, 0].tolist() == [1, 2, 3, 4, 0, 0, 5]  # deleted bases have none
    assert aligned(values, 3, 2, 2)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert aligned(values, 3, 6, 1)[:, 0].tolist() == [1, 2, 3, 4, 0, 0, 0]
    assert aligned(values, 3, 2, 4)[:, 0].tolist() == [1, 2, 3, 4, 7, 8, 9]


def test_deletions_and_insertions_are_seen_where_they_are(scorer: Scorer) -> None:
    scored, one = VariantScorer(scorer, GENOME, Genes(TRANSCRIPTS)), gene(1)
    donor = donor_of(one)
    anchor, cut = letters(GENOME, one.contig, donor, donor), letters(GENOME, one.contig, donor, donor + 2)
    deleted = effect_of(scored, Variant(one.contig, donor, cut, anchor))
    assert deleted.base_values[DL] > 0.3 and deleted.base_offsets[DL] == 0
    far = donor + 60
    base = letters(GENOME, one.contig, far, far)
    inserted = effect_of(scored, Variant(one.contig, far, base, base + "CAGGTAAGTA"))
    assert inserted.base_values[DG] > 0.5 and inserted.base_offsets[DG] == 0
    same = effect_of(scored, Variant(one.contig, far, base, base))
    assert same.values == same.base_values == (0, 0, 0, 0) and same.offsets == (0, 0, 0, 0)


def test_without_genes_both_strands_are_looked_at(scorer: Scorer) -> None:
    one = gene(-1)
    variant = point(GENOME, one.contig, donor_of(one) - 1)
    (outcome,) = VariantScorer(scorer, GENOME).outcomes([variant])
    assert [(effect.gene, effect.strand) for effect in outcome.effects] == [("+", 1), ("-", -1)]
    assert outcome.effects[1].base_values[DL] > 0.3 > outcome.effects[0].base_values[DL]


def test_masked_are_gains_of_annotated_sites_and_losses_of_others(scorer: Scorer) -> None:
    one = gene(1)
    genes, donor = Genes(TRANSCRIPTS), donor_of(one)
    broken, far = point(GENOME, one.contig, donor + 1), donor + 60
    base = letters(GENOME, one.contig, far, far)
    created = Variant(one.contig, far, base, base + "CAGGTAAGTA")
    masked, plain = (VariantScorer(scorer, GENOME, genes, mask=mask) for mask in (True, False))
    assert effect_of(masked, broken).base_values[DL] == effect_of(plain, broken).base_values[DL] > 0.3
    assert effect_of(masked, created).base_values[DG] == effect_of(plain, created).base_values[DG] > 0.5
    contigs = {name: codes.copy() for name, codes in GENOME.contigs.items()}
    contigs[one.contig][donor] = encode_bases(np.frombuffer(b"A", np.uint8)[None])[0, 0]
    healed = Variant(one.contig, donor + 1, "A", letters(GENOME, one.contig, donor + 1, donor + 1))
    without = Genes([Transcript("t", "g", one.contig, 1, ((1, donor + 500),), False)])
    assert effect_of(VariantScorer(scorer, Genome(contigs), genes, mask=True), healed).base_values[DG] < 0.1
    assert effect_of(VariantScorer(scorer, Genome(contigs), genes), healed).base_values[DG] > 0.3
    assert effect_of(VariantScorer(scorer, GENOME, without, mask=True), broken).base_values[DL] == 0


def test_ends_of_contigs_and_other_letters_are_scored(scorer: Scorer) -> None:
    contig = next(iter(GENOME.contigs))
    size = GENOME.contigs[contig].size
    scored = VariantScorer(scorer, GENOME)
    for position in (1, 2, size - 1, size):
        (outcome,) = scored.outcomes([point(GENOME, contig, position)])
        assert len(outcome.effects) == 2
        for effect in outcome.effects:
            assert np.isfinite(effect.values).all()
            assert all(1 <= position + offset <= size for offset in (*effect.offsets, *effect.base_offsets))
    contigs = {contig: GENOME.contigs[contig].copy()}
    contigs[contig][99:120] = 8
    (outcome,) = VariantScorer(scorer, Genome(contigs)).outcomes([Variant(contig, 105, "N", "G")])
    assert len(outcome.effects) == 2


@pytest.mark.parametrize(
    ("position", "ref", "alt", "reason"),
    [
        (500, None, "*", "an allele is no sequence of bases"),
        (500, None, "<DEL>", "an allele is no sequence of bases"),
        (500, None, "C[2:100[", "an allele is no sequence of bases"),
        (500, "", "A", "an allele is no sequence of bases"),
        (500, "other", "A", "the FASTA has another reference allele"),
        (10**9, "A", "C", "the FASTA has another reference allele"),
        (0, "first", "C", "the FASTA has another reference allele"),
        (500, None, "A.", "an allele is no sequence of bases"),
        (500, None, ".A", "an allele is no sequence of bases"),
        (500, "long", "A", "the reference allele has more than 100 bases"),
        (500, None, "A" * 10_001, "the allele has more than 10,000 bases"),
    ],
)
def test_what_cannot_be_scored_says_why(scorer: Scorer, position: int, ref: str | None, alt: str, reason: str) -> None:
    contig = next(iter(GENOME.contigs))
    own = letters(GENOME, contig, 500, 500)
    given = {
        None: own,
        "other": "A" if own != "A" else "C",
        "long": letters(GENOME, contig, 500, 600),
        "first": letters(GENOME, contig, 1, 1),
    }.get(ref, ref)
    assert given is not None
    (outcome,) = VariantScorer(scorer, GENOME).outcomes([Variant(contig, position, given, alt)])
    assert outcome == Outcome(skipped=reason)
    (outcome,) = VariantScorer(scorer, GENOME).outcomes([Variant("absent", 5, "A", "C")])
    assert outcome.skipped == "the FASTA has no such contig"


def variants(home: Path, vcf: Path, files: tuple[Path, Path], folder: Path, out: Path, *words: str) -> Done:
    fasta, annotation = files
    command = ("splice", "variants", str(vcf), "--fasta", str(fasta), "--annotation", str(annotation))
    return anelab(home, *command, "--model", str(folder), "-o", str(out), *words)


def write_vcf(path: Path, lines: list[str], header: str = HEADER) -> Path:
    data = (header + "".join(f"{line}\n" for line in lines)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_every_record_is_kept_as_it_was_with_its_effects(
    home: Path, files: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    one = gene(1)
    at = donor_of(one) + 1
    ref = letters(GENOME, one.contig, at, at)
    alts = [letter for letter in "ACGT" if letter != ref]
    outside = one.contig, 5, letters(GENOME, one.contig, 5, 5)
    header = HEADER.replace("INFO\n", "INFO\tFORMAT\ta sample\n").replace(
        "#CHROM", '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">\n#CHROM'
    )
    lines = [
        "\t".join([outside[0], "5", ".", outside[2], "A" if outside[2] != "A" else "C", ".", ".", ".", "GT", "0/0"]),
        f"{one.contig}\t{at}\trs1\t{ref}\t{','.join(alts)}\t1234567.89\tPASS\tAC=1,2,3;ODD=0.1234567891\tGT\t0/1",
        f"{one.contig}\t{at}\t.\t{ref}\t<DEL>,*\t.\t.\t.\tGT\t./.",
        f"{one.contig}\t{at}\t.\t{ref}\t.\t.\t.\t.\tGT\t0/0",
        f"chr{one.contig}\t{at}\t.\t{ref.lower()}\t{alts[0].lower()}\t.\t.\t.\tGT\t0/0",
    ]
    for name in ("in.vcf", "in.vcf.gz"):
        vcf = write_vcf(tmp_path / name, lines, header)
        done = variants(home, vcf, files, folder, tmp_path / "out file.vcf.gz", "--json")
        assert done.returncode == 0, done.stderr
    assert '"scored": 4' in done.stdout and '"an allele is no sequence of bases": 2' in done.stdout
    pysam.tabix_index(str(tmp_path / "out file.vcf.gz"), preset="vcf")  # it is in blocks, and sorted as it was
    with pysam.VariantFile(str(tmp_path / "out file.vcf.gz")) as file:
        found = list(file)
    outside_record, first, *rest = found
    assert first.info["AC"] == (1, 2, 3) and first.samples["a sample"]["GT"] == (0, 1)
    entries = [entry.split("|") for entry in first.info["ANELAB_SPLICE"]]
    assert [(entry[0], entry[1], len(entry)) for entry in entries] == [(alt, one.gene, 10) for alt in alts]
    base = [entry.split("|") for entry in first.info["ANELAB_SPLICE_BASE"]]
    assert all(float(entry[5]) > 0.3 and entry[9] == "-1" for entry in base)
    assert rest[0].info["ANELAB_SPLICE_SKIPPED"] == tuple(
        f"{alt}|an_allele_is_no_sequence_of_bases" for alt in ("<DEL>", "*")
    )
    assert rest[1].info["ANELAB_SPLICE_SKIPPED"] == (".|there_is_no_alternative_allele",)
    assert rest[2].info["ANELAB_SPLICE"][0] == first.info["ANELAB_SPLICE"][0]
    assert outside_record.info["ANELAB_SPLICE_SKIPPED"][0].endswith("no_gene_of_the_annotation_is_there")
    texts = pysam.BGZFile(str(tmp_path / "out file.vcf.gz"), "r", None).read().decode().splitlines()
    kept = [line.split("\t") for line in texts if not line.startswith("#")]
    for line, cells in zip(lines, kept, strict=True):  # digits too
        given = line.split("\t")
        assert cells[:7] + cells[8:] == given[:7] + given[8:] and cells[7].startswith(given[7].strip("."))
    again = variants(home, tmp_path / "out file.vcf.gz", files, folder, tmp_path / "again.vcf")
    assert (again.returncode, "has ANELAB_SPLICE already" in again.stderr) == (2, True), again.stderr


def test_bcf_latin_letters_and_keys_that_are_there(
    home: Path, files: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    one = gene(1)
    at = donor_of(one) + 1
    ref = letters(GENOME, one.contig, at, at)
    line = f"{one.contig}\t{at}\trs1\t{ref}\tA\t.\t.\t"
    head = HEADER.replace("#CHROM", f"##contig=<ID={one.contig}>\n##source=caf\xe9\n#CHROM")
    vcf, bcf = write_vcf(tmp_path / "in.vcf", [line + "."], head.replace("\xe9", "e")), tmp_path / "in.bcf"
    with pysam.VariantFile(str(vcf)) as source, pysam.VariantFile(str(bcf), "wb", header=source.header) as target:
        for record in source:
            target.write(record)
    outs = [tmp_path / "a.vcf", tmp_path / "b.vcf", tmp_path / "c.vcf"]
    latin = tmp_path / "latin.vcf"
    latin.write_bytes((head + line + "NOTE=caf\xe9\n").encode("latin-1"))
    for path, out in zip((vcf, bcf, latin), outs, strict=True):
        done = variants(home, path, files, folder, out)
        assert done.returncode == 0, done.stderr
    entries = [out.read_bytes().split(b"ANELAB_SPLICE=")[1].split(b";")[0] for out in outs]
    assert entries[0] == entries[1] == entries[2]
    assert b"##source=caf\xe9\n" in outs[2].read_bytes() and b"NOTE=caf\xe9;ANELAB" in outs[2].read_bytes()
    taken = write_vcf(tmp_path / "taken.vcf", [line + "ANELAB_SPLICE=x"])
    done = variants(home, taken, files, folder, tmp_path / "d.vcf")
    assert (done.returncode, "has ANELAB_SPLICE already" in done.stderr) == (1, True), done.stderr
    for name in ("e.bcf", "e.vcf.bgz"):
        done = variants(home, vcf, files, folder, tmp_path / name)
        assert (done.returncode, "choose such a name" in done.stderr) == (2, True), done.stderr


def test_recall_at_a_false_positive_rate_is_that_of_a_search_for_the_threshold() -> None:
    rng = np.random.default_rng(2)
    label = rng.random(80) < 0.4
    score = np.round(rng.random(80) + 0.3 * label, 1)  # many are equal
    counts = rng.integers(0, 3, (5, 80)).astype(float)
    for rate in (0.05, 0.3):
        for weight, found in zip(counts, recall_at(score, label, counts, rate), strict=True):
            allowed = [
                (weight * label * (score >= threshold)).sum() / (weight * label).sum()
                for threshold in [*np.unique(score), 9]
                if (weight * ~label * (score >= threshold)).sum() <= rate * (weight * ~label).sum()
            ]
            assert found == pytest.approx(max(allowed))
    assert np.isnan(recall_at(score, label, label[None].astype(float), 0.05)).all()


def test_sites_are_as_rare_as_is_said(scorer: Scorer) -> None:
    """Probabilities of a genome are those of training data whose odds of a site are so much lower."""
    one = gene(1)
    codes, positions = GENOME.contigs[one.contig], np.array([donor_of(one), donor_of(one) + 40])
    window = GENOME.windows(one.contig, positions, 1, scorer.window)
    scores = scorer.scores_at(codes, positions, 1)
    learned = scorer.base["prevalence"]
    same = scorer.probabilities(window, scores, (learned["donor"], learned["acceptor"]))
    plain, rare = scorer.probabilities(window, scores), scorer.probabilities(window, scores, (1e-3, 1e-3))
    np.testing.assert_allclose(same, plain, atol=1e-6)
    odds = [values[:, 0] / values[:, 2] for values in (plain, rare)]
    np.testing.assert_allclose(odds[1] / odds[0], 1e-3 / 0.998 / (learned["donor"] / learned["neither"]), rtol=1e-3)


def test_a_table_has_a_line_for_each_allele_and_gene(
    home: Path, files: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    one = gene(-1)
    at = donor_of(one) - 1
    ref = letters(GENOME, one.contig, at, at)
    vcf = write_vcf(tmp_path / "in.vcf", [f"{one.contig}\t{at}\t.\t{ref}\t{'A' if ref != 'A' else 'G'},*\t.\t.\t."])
    done = variants(home, vcf, files, folder, tmp_path / "out.tsv")
    assert done.returncode == 0, done.stderr
    head, first, second = (line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines())
    row = dict(zip(head, first, strict=True))
    assert (row["GENE"], row["STRAND"], row["SKIPPED"], row["BASE_DP_DL"]) == (one.gene, "-", "", "1")
    assert float(row["BASE_DS_DL"]) > 0.3
    assert dict(zip(head, second, strict=True))["SKIPPED"] == "an allele is no sequence of bases"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "is no VCF or BCF"),
        (b"", "is no VCF or BCF"),
        (HEADER.encode() + b"sim1\tx\t.\tA\tG\t.\t.\t.\n", "record 1 cannot be read"),
        (HEADER.encode() + b"sim1\t500\t.\tA\tG\t.\t.\t.\nsim1\t501\t.\tA\n", "record 2 cannot be read"),
        (HEADER.encode() + b"c9\t500\t.\tA\tG\t.\t.\t.\n", "has variants on c9, but .* has none of these contigs"),
    ],
)
def test_a_damaged_file_is_named_and_leaves_none_behind(
    scorer: Scorer, files: tuple[Path, Path], tmp_path: Path, content: bytes, message: str
) -> None:
    vcf = tmp_path / "bad.vcf"
    vcf.write_bytes(content)
    with pytest.raises(AnelabError, match=message):
        source = VariantFile(vcf)
        if b"c9" in content:
            read_genome_of(source, [files[0]])
        write_effects(VariantScorer(scorer, GENOME), source, tmp_path / "out.vcf")
    assert list(tmp_path.iterdir()) == [vcf]


def test_detection_is_judged_on_variants_that_have_a_class(
    home: Path, files: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    lines, classes = [], ["hg38\tclassification"]
    for one in TRANSCRIPTS:
        donor = donor_of(one)
        for position, name in ((donor + one.strand, "Splice-altering"), (donor + 40 * one.strand, "Normal")):
            variant = point(GENOME, one.contig, position)
            lines.append(f"{one.contig}\t{position}\t.\t{variant.ref}\t{variant.alt}\t.\t.\t.")
            classes.append(f"{one.contig}-{position}-{variant.ref}-{variant.alt}\t{name}")
    classes.append("sim1-9-A-C\tNormal")
    vcf, table = write_vcf(tmp_path / "in.vcf", lines), tmp_path / "splicevardb.tsv"
    table.write_text("\n".join(classes) + "\n")
    done = variants(home, vcf, files, folder, tmp_path / "out.tsv", "--classes", str(table))
    assert done.returncode == 0, done.stderr
    assert "classes without a variant: 1" in done.stderr and "of class normal: 20" in done.stderr
    assert "recall at 5% false positives: " in done.stderr
    table.write_text("\n".join(line for line in classes if not line.endswith("Normal")) + "\n")
    done = variants(home, vcf, files, folder, tmp_path / "out2.tsv", "--classes", str(table))
    assert (done.returncode, "there must be some of both" in done.stderr) == (1, True), done.stderr


def test_a_model_of_a_base_models_scores_runs_its_file(
    home: Path, files: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    other = model_with_base(home, tmp_path / "table", "table")
    one = gene(1)
    at = donor_of(one) + 1
    ref = letters(GENOME, one.contig, at, at)
    vcf = write_vcf(tmp_path / "in.vcf", [f"{one.contig}\t{at}\t.\t{ref}\tA\t.\t.\t."])
    done = variants(home, vcf, files, other, tmp_path / "out.tsv")
    assert (done.returncode, "name its ONNX file by --base-model" in done.stderr) == (1, True), done.stderr
    default = variants(home, vcf, files, home / "models/splice/export", tmp_path / "out.tsv")
    assert (default.returncode, "whose base model is simulated" in default.stderr) == (1, True), default.stderr
    base = base_model(tmp_path / "base.onnx")
    done = variants(home, vcf, files, other, tmp_path / "out.tsv", "--base-model", str(base))
    assert done.returncode == 0, done.stderr
    matrices = variants(home, vcf, files, folder, tmp_path / "pwm.tsv")
    assert matrices.returncode == 0, matrices.stderr
    rows = [(tmp_path / name).read_text().splitlines()[1].split("\t")[7:23] for name in ("out.tsv", "pwm.tsv")]
    np.testing.assert_allclose(np.array(rows[0], float), np.array(rows[1], float), atol=2e-4)
    useless = variants(home, vcf, files, folder, tmp_path / "no.tsv", "--base-model", str(base))
    assert (useless.returncode, "has no use here" in useless.stderr) == (2, True), useless.stderr
