"""DNA to ids and back: against a tokenizer of a few lines, one token at a time."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anelab.errors import AnelabError, UsageError
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.tokenizer import CLS, ENCODINGS, PAD, SEP, SPECIALS, UNK, DNATokenizer

DNA = st.text("ACGT", max_size=40)
ANY_DNA = st.text("ACGTNRYacgtu", max_size=40)
TOKENIZERS = st.builds(
    DNATokenizer,
    encoding_type=st.sampled_from(ENCODINGS),
    kmer_size=st.integers(2, 6),
    stride=st.integers(1, 8),
    add_special_tokens=st.booleans(),
    canonical=st.booleans(),
)


def one_at_a_time(tokenizer: DNATokenizer, sequence: str, length: int) -> list[int]:
    text = sequence.upper().replace("U", "T")[: tokenizer.most_bases(length)]
    known = tokenizer.vocabulary
    kmers = []
    for at in range(0, len(text) - tokenizer.kmer_size + 1, tokenizer.stride):
        kmer = text[at : at + tokenizer.kmer_size]
        if tokenizer.canonical and set(kmer) <= set("ACGT"):
            kmer = min(kmer, kmer[::-1].translate(str.maketrans("ACGT", "TGCA")))
        kmers.append(known.get(kmer, UNK))
    chars = [known.get(letter, UNK) for letter in text]
    parts = {"char": [chars], "kmer": [kmers], "both": [chars, kmers]}[tokenizer.encoding_type]
    if not tokenizer.add_special_tokens:
        ids = [number for part in parts for number in part]
    else:
        ids = [CLS, *(number for part in parts for number in (*part, SEP))]
    return ids + [PAD] * (length - len(ids))


@settings(max_examples=300, deadline=None)
@given(TOKENIZERS, st.lists(ANY_DNA, min_size=1, max_size=5), st.integers(3, 90))
def test_ids_are_those_of_one_token_at_a_time(tokenizer: DNATokenizer, sequences: list[str], length: int) -> None:
    found = tokenizer.encode(SequenceArray.of(sequences), length)
    assert found.ids.tolist() == [one_at_a_time(tokenizer, sequence, length) for sequence in sequences]
    assert (found.mask == (found.ids != PAD)).all()
    assert found.ids.dtype == found.mask.dtype == found.segments.dtype == np.int32


@settings(max_examples=200, deadline=None)
@given(TOKENIZERS, DNA)
def test_decoding_inverts_but_for_bases_without_a_token(tokenizer: DNATokenizer, sequence: str) -> None:
    ids = tokenizer.encode_sequence(sequence, 120)["input_ids"]
    if tokenizer.encoding_type != "kmer":
        assert tokenizer.decode_sequence(ids) == sequence
    elif tokenizer.canonical:
        with pytest.raises(UsageError, match="do not tell the strand"):
            tokenizer.decode_sequence(ids)
    elif tokenizer.stride <= tokenizer.kmer_size:
        found = tokenizer.decode_sequence(ids)
        assert sequence.startswith(found)
        assert len(sequence) - len(found) < max(tokenizer.stride, tokenizer.kmer_size)


def test_what_the_old_guide_says() -> None:
    tokenizer = DNATokenizer(encoding_type="kmer", kmer_size=3, stride=1)
    assert tokenizer.sequence_to_kmers("ATCGATCG") == ["ATC", "TCG", "CGA", "GAT", "ATC", "TCG"]
    found = tokenizer.encode_sequence("ATCGATCG", max_length=10)
    assert found["tokens"] == ["[CLS]", "ATC", "TCG", "CGA", "GAT", "ATC", "TCG", "[SEP]", "[PAD]", "[PAD]"]
    assert found["attention_mask"].tolist() == [1] * 8 + [0] * 2
    assert tokenizer.vocab_size == 4 + 4**3
    assert tokenizer.encode_sequences(["ATCG", "AT"])["input_ids"].shape == (2, 4)


def test_both_is_letters_then_kmers_with_segments() -> None:
    tokenizer = DNATokenizer("both", kmer_size=3)
    found = tokenizer.encode(SequenceArray.of(["ATNCGA", "AT"]), 14)
    assert [tokenizer.token(int(one)) for one in found.ids[0]] == [
        *("[CLS]", "A", "T", "[UNK]", "C", "G", "A", "[SEP]"),
        *("[UNK]", "[UNK]", "[UNK]", "CGA", "[SEP]", "[PAD]"),
    ]
    assert found.segments[0].tolist() == [0] * 8 + [1] * 5 + [0]
    assert found.segments[1].tolist() == [0] * 4 + [1] + [0] * 9


def test_special_ids_are_fixed_and_no_other_token_has_them() -> None:
    assert SPECIALS == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    for encoding in ENCODINGS:
        tokenizer = DNATokenizer(encoding, 2)
        assert list(tokenizer.vocabulary.values()) == list(range(tokenizer.vocab_size))
        assert [tokenizer.token(number) for number in range(tokenizer.vocab_size)] == list(tokenizer.vocabulary)


def test_canonical_kmers_are_one_for_both_strands() -> None:
    tokenizer = DNATokenizer(kmer_size=6, canonical=True, add_special_tokens=False)
    sequences = SequenceArray.of(["ACGTTGCAACGATTGCAGCTAGCATCGATC"])
    there, back = (tokenizer.encode(one).ids[0] for one in (sequences, sequences.reverse_complement()))
    assert there.tolist() == back[::-1].tolist()
    assert tokenizer.vocab_size == 4 + (4**6 + 4**3) // 2  # pairs, and those that are their own


@pytest.mark.parametrize("k", [1, 12])
def test_k_is_1_to_12(k: int) -> None:
    tokenizer = DNATokenizer(kmer_size=k, add_special_tokens=False)
    sequence = "ACGTACGTACGTTTT"
    ids = tokenizer.encode_sequence(sequence)["input_ids"]
    assert [tokenizer.token(int(one)) for one in ids] == [sequence[at : at + k] for at in range(len(sequence) - k + 1)]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kmer_size": 13}, "kmer_size must be 1 to 12 but got 13"),
        ({"stride": 0}, "stride must be 1 or more"),
        ({"encoding_type": "bpe"}, "must be one of kmer, char, both but got 'bpe'"),
        ({"encoding_type": "both", "kmer_size": 1}, "needs a kmer_size of 2 or more"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        DNATokenizer(**settings)  # type: ignore[arg-type]


def test_an_ambiguous_letter_can_be_an_error() -> None:
    tokenizer = DNATokenizer(ambiguous="error")
    with pytest.raises(UsageError, match="sequence 2, base 3 is 'N'"):
        tokenizer.encode_sequences(["ACGTACGT", "ACNTACGT"])


def test_it_is_saved_as_json_and_checked_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer = DNATokenizer("both", 5, 2, canonical=True)
    tokenizer.save(file)
    assert DNATokenizer.load(file) == tokenizer
    found = json.loads(file.read_text())
    for change in ({"vocab_size": 99}, {"specials": {**SPECIALS, "[UNK]": 9}}, {"letters": "TGCA"}, {"schema": "x"}):
        file.write_text(json.dumps(found | change))
        with pytest.raises(AnelabError, match="has a vocabulary of"):
            DNATokenizer.load(file)
    for text in ("", "[]", "\x80pickle", json.dumps(found | {"more": 1})):
        file.write_text(text)
        with pytest.raises(AnelabError, match="is no tokenizer"):
            DNATokenizer.load(file)
