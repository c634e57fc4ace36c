"""Taxa from the tables and headers that people have."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from anelab.errors import AnelabError
from anelab.sequences.taxonomy import (
    NOTHING,
    Taxonomy,
    join_labels,
    lineage_of_header,
    parse_lineage,
    read_lineages,
)

DANIO = ("Eukaryota", "Chordata", "Actinopteri", "Cypriniformes", "Danionidae", "Danio", "Danio rerio")
ONLY_SPECIES = (*NOTHING[:5], "Danio", "Danio rerio")
WRITTEN = {
    "d__Eukaryota;p__Chordata;c__Actinopteri;o__Cypriniformes;f__Danionidae;g__Danio;s__Danio rerio": DANIO,
    "k__Eukaryota; p__Chordata; c__Actinopteri; o__Cypriniformes; f__Danionidae; g__Danio; s__rerio": DANIO,
    '"d__Eukaryota;p__Chordata;c__Actinopteri;o__Cypriniformes;f__Danionidae;g__Danio;s__Danio rerio': DANIO,
    "d:Eukaryota,p:Chordata,c:Actinopteri,o:Cypriniformes,f:Danionidae,g:Danio,s:Danio rerio": DANIO,
    "Eukaryota;Chordata;Actinopteri;Cypriniformes;Danionidae;Danio;Danio rerio": DANIO,
    "d__Eukaryota;p__;c__;o__;f__;g__;s__": ("Eukaryota", *NOTHING[1:]),
    "Unassigned": NOTHING,
    "Danio rerio": ONLY_SPECIES,
}


@pytest.mark.parametrize(("text", "lineage"), WRITTEN.items())
def test_lineages_as_others_write_them(text: str, lineage: tuple[str, ...]) -> None:
    assert parse_lineage(text) == lineage


TABLES = {
    "qiime.tsv": "Feature ID\tTaxon\tConfidence\na\td__Eukaryota;s__Danio rerio\t0.9\n",
    "typed.tsv": "Feature ID\tTaxon\n#q2:types\tcategorical\na\td__Eukaryota;s__Danio rerio\n",
    "bare.tsv": "a\td__Eukaryota;s__Danio rerio\n",
    "ranks.csv": "id,kingdom,species\r\na,Eukaryota,Danio rerio\r\n",
    "quoted.csv": 'id,taxonomy\na,"d__Eukaryota;s__Danio rerio"\n',
    "bom.csv": "\ufeffid,domain,species\na,Eukaryota,Danio rerio\n",
}


@pytest.mark.parametrize(("name", "text"), TABLES.items())
def test_tables_as_others_write_them(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, newline="")
    assert read_lineages(tmp_path / name) == {"a": ("Eukaryota", *NOTHING[1:5], "Danio", "Danio rerio")}


def test_a_table_of_labels_and_a_compressed_one(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,label\na,Danio rerio\nb,\n")
    packed = tmp_path / "with spaces.csv.gz"
    packed.write_bytes(gzip.compress(b"id,label\na,Danio rerio\nb,\n"))
    for path in (tmp_path / "labels.csv", packed):
        assert read_lineages(path) == {"a": ONLY_SPECIES, "b": NOTHING}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and more", "this is a zip archive"),
        (b"id\ttaxon\na\n", "line 2: has 1 columns, but 2 are needed"),
        (b"id\ttaxon\n\td__X\n", "line 2: has no sequence id"),
        (b"id\ttaxon\na\ts__A b\na\ts__C d\n", "line 3: a has another label above"),
        (b"id\ttaxon\na\t1;2;3;4;5;6;7;8\n", "line 2: 8 ranks where at most 7 are known"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(data)
    with pytest.raises(AnelabError, match=says):
        read_lineages(tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("header", "lineage"),
    [
        (("AB1;tax=d:Eukaryota,s:Danio rerio;", ""), ("Eukaryota", *NOTHING[1:5], "Danio", "Danio rerio")),
        (
            ("AB1", "d__Eukaryota;p__;c__;o__;f__;g__;s__Danio rerio"),
            ("Eukaryota", *NOTHING[1:5], "Danio", "Danio rerio"),
        ),
        (("AB1", "Danio rerio voucher 12S ribosomal RNA"), (*NOTHING[:5], "Danio", "Danio rerio")),
        (("AB1", "Danio rerio 12S\tA; B; C; D; E; Danio"), (*"ABCDE", "Danio", "Danio rerio")),
        (("AB1", "Barbus barbus 12S\tA;B;C;D;E;Danio"), (*"ABCDE", "Danio", "")),
        (("AB1", "Uncultured bacterium clone 7"), NOTHING),
        (("AB1", "Danio sp. 12S ribosomal RNA"), (*NOTHING[:5], "Danio", "")),
        (("AB1", ""), NOTHING),
    ],
)
def test_headers_tell_taxa(header: tuple[str, str], lineage: tuple[str, ...]) -> None:
    assert lineage_of_header(*header) == lineage


def test_a_header_of_too_many_ranks_is_named() -> None:
    with pytest.raises(AnelabError, match="header of AB1: 8 ranks where at most 7 are known"):
        lineage_of_header("AB1", "A;B;C;D;E;F;G;H")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Danio sp.", ""),
        ("Danio spp", ""),
        ("uncultured bacterium", ""),
        ("marine metagenome", ""),
        ("Danio sp. KB-1", "Danio sp. KB-1"),
        ("Danio rerio", "Danio rerio"),
    ],
)
def test_what_many_taxa_are_called_is_no_name(name: str, kept: str) -> None:
    assert parse_lineage(f"d__Eukaryota;s__{name}")[-1] == kept


def test_labels_are_joined_by_id_and_a_missing_one_is_an_error() -> None:
    known = {"a": DANIO, "b": NOTHING}
    assert join_labels(["b", "a"], known, "x.fasta") == [NOTHING, DANIO]
    with pytest.raises(AnelabError, match=r"x\.fasta: 2 of 3 sequences have no label, such as c, d"):
        join_labels(["a", "c", "d"], known, "x.fasta")


def test_codes_are_places_among_the_names_of_a_rank() -> None:
    other = (*DANIO[:-1], "Danio kyathit")
    found = Taxonomy.of([DANIO, NOTHING, other])
    assert found.codes[:, 6].tolist() == [1, -1, 0]
    assert [found.lineage(row) for row in range(3)] == [DANIO, NOTHING, other]
    assert found.take(np.array([2])).lineage(0) == other
    assert len(Taxonomy.of([])) == 0


@pytest.mark.parametrize(
    ("text", "lineage"),
    [
        ("D_0__Bacteria;D_1__Firmicutes;D_5__Bacillus", ("Bacteria", "Firmicutes", "", "", "", "Bacillus", "")),
        ("d__Eukaryota;k__Metazoa;g__Danio", ("Eukaryota", "", "", "", "", "Danio", "")),
        ("k__Metazoa;g__Danio", ("Metazoa", "", "", "", "", "Danio", "")),
        ("A;B;C;D;E;F;F g;", (*"ABCDEF", "F g")),
        ("g__Danio;s__Danio_rerio", (*NOTHING[:5], "Danio", "Danio rerio")),
        ("g__uncultured_bacterium;s__uncultured_bacterium", NOTHING),
        ("o__Incertae_Sedis;f__Unknown_Family", NOTHING),
    ],
)
def test_labels_of_silva_and_others(text: str, lineage: tuple[str, ...]) -> None:
    assert parse_lineage(text) == lineage


def test_a_defline_of_genbank_is_no_lineage() -> None:
    text = "Danio rerio voucher 7 12S gene, partial sequence; tRNA-Val gene, complete sequence; and 16S; mitochondrial"
    assert lineage_of_header("AB1", text) == (*NOTHING[:5], "Danio", "Danio rerio")


@pytest.mark.parametrize("head", ["sample\tkingdom\tspecies", "who\ttaxon", "x\ty\tz"])
def test_a_table_without_a_column_of_ids_is_refused(head: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(f"{head}\na\tMetazoa\tDanio rerio\n")
    with pytest.raises(AnelabError, match="is one of sequence ids; name it one of: feature id"):
        read_lineages(tmp_path / "t.tsv")


def test_of_domain_and_kingdom_the_domain_counts(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("asv_id\tdomain\tkingdom\tgenus\na\tEukaryota\tMetazoa\tDanio\n")
    assert read_lineages(tmp_path / "t.tsv") == {"a": ("Eukaryota", *NOTHING[1:5], "Danio", "")}
