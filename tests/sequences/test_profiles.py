"""Arrays of sequences, and their k-mers, against Python's own strings and sets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError
from anelab.sequences.arrays import SequenceArray, join
from anelab.sequences.kmers import canonical_ranks, kmer_text, reverse_complement_codes
from anelab.sequences.profiles import KmerSets, kmer_profiles
from anelab.sequences.records import is_sequences, read_all, read_sequences

SEQUENCES = st.lists(st.text("ACGTNRacgtu", max_size=30), max_size=6)
OTHERS = str.maketrans("ACGTRN", "TGCAYN")


def other_strand(text: str) -> str:
    return text[::-1].translate(OTHERS)


def kmers_of(text: str, k: int) -> list[str]:
    found = [text[at : at + k] for at in range(len(text) - k + 1)]
    return [min(kmer, other_strand(kmer)) for kmer in found if set(kmer) <= set("ACGT")]


@settings(deadline=None)
@given(SEQUENCES, st.data())
def test_an_array_is_its_sequences(texts: list[str], data: st.DataObject) -> None:
    found, upper = SequenceArray.of(texts), [text.upper().replace("U", "T") for text in texts]
    assert list(found) == upper
    assert list(found.reverse_complement()) == [other_strand(text) for text in upper]
    assert list(found.cut(7)) == [text[:7] for text in upper]
    turned = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), bool)
    wanted = [other_strand(text) if turn else text for text, turn in zip(upper, turned, strict=True)]
    assert list(found.reverse_complement(turned)) == wanted
    rows = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5) if texts else st.just([])), int)
    assert list(found.take(rows)) == [upper[row] for row in rows]
    assert list(join([found, found])) == upper * 2
    assert (len(set(found.digests())), len(set(upper))) == (len(set(upper)),) * 2


@settings(deadline=None)
@given(SEQUENCES, st.integers(1, 5))
def test_profiles_count_canonical_kmers(texts: list[str], k: int) -> None:
    found, (_, codes) = kmer_profiles(SequenceArray.of(texts), k), canonical_ranks(k)
    for row, text in zip(found, texts, strict=True):
        kmers = kmers_of(text.upper().replace("U", "T"), k)
        counts = np.array([kmers.count(kmer_text(int(code), k)) for code in codes])
        np.testing.assert_allclose(row, counts / max(np.linalg.norm(counts), 1e-9), rtol=1e-5)


@settings(deadline=None)
@given(SEQUENCES, SEQUENCES, st.integers(1, 5))
def test_shared_kmers_are_those_of_sets(texts: list[str], others: list[str], k: int) -> None:
    one, other = (KmerSets.of(SequenceArray.of(part), k) for part in (texts, others))
    rows = np.broadcast_to(np.arange(len(others)), (len(texts), len(others)))
    sets, against = ([set(kmers_of(text.upper().replace("U", "T"), k)) for text in part] for part in (texts, others))
    wanted = [[len(left & right) for right in against] for left in sets]
    assert one.shared(other, rows).tolist() == one.shared_with_all(other).tolist() == wanted
    assert one.sizes.tolist() == [len(left) for left in sets]
    for place, line in enumerate(one.containment(other, rows)):
        wanted = [len(sets[place] & right) / max(min(len(sets[place]), len(right)), 1) for right in against]
        np.testing.assert_allclose(line, wanted, rtol=1e-6)


def test_the_other_strand_of_a_code_is_that_of_its_letters() -> None:
    for k in (1, 4, 12):
        codes = np.random.default_rng(k).integers(0, 4**k, 50).astype(np.uint32)
        turned = reverse_complement_codes(codes, k)
        pairs = zip(codes.tolist(), turned.tolist(), strict=True)
        assert all(other_strand(kmer_text(one, k)) == kmer_text(other, k) for one, other in pairs)


def test_what_a_file_is_follows_from_its_first_character(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(">one first\nacgu\nNN\n>two\nGG\n")
    (tmp_path / "b.txt").write_text("@one first\nacgu\n+\nIIII\n@two\nGG\n+\nII\n")
    (tmp_path / "c.txt").write_text("id\ttaxon\n")
    found = [read_all(tmp_path / name) for name in ("a.txt", "b.txt")]
    assert [(one.names, list(one.sequences)) for one in found] == [
        (["one", "two"], ["ACGTNN", "GG"]),
        (["one", "two"], ["ACGT", "GG"]),
    ]
    assert found[0].descriptions == ["first", ""]
    assert [is_sequences(tmp_path / name) for name in ("a.txt", "b.txt", "c.txt")] == [True, True, False]


@pytest.mark.parametrize("data", [b">p\nMKVLEF\n", b">a\nACGT\n\x1f\x8b\x08\x00", b">a\n"])
def test_proteins_and_bytes_are_no_sequences(data: bytes, tmp_path: Path) -> None:
    """The old system read compressed bytes as one sequence of 154 million letters."""
    (tmp_path / "a.fasta").write_bytes(data)
    with pytest.raises(AnelabError, match="record 1"):
        list(read_sequences(tmp_path / "a.fasta"))
