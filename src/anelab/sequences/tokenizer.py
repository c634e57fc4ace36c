"""DNA as the ids of tokens: k-mers, single letters, or both."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anelab.errors import AnelabError, UsageError
from anelab.files import write_json
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.kmers import BITS, LETTERS, MOST_K, canonical_ranks, kmer_codes, kmer_text

Ids = NDArray[np.int32]
SPECIALS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
PAD, UNK, CLS, SEP = SPECIALS.values()
FIRST = len(SPECIALS)
LETTERS_AT_ONCE = 1 << 16
"""So that what is made of them stays in the core's cache."""
SCHEMA = "anelab.dna_tokenizer/1"
Encoding = Literal["kmer", "char", "both"]
ENCODINGS: tuple[Encoding, ...] = ("kmer", "char", "both")


class Encoded(NamedTuple):
    """All int32 [n, length]. `mask` is 1 where there is a token and 0 where `ids` is [PAD]; `segments` is 1 for the
    k-mers of "both", else 0."""

    ids: Ids
    mask: Ids
    segments: Ids


@dataclass(frozen=True)
class DNATokenizer:
    """Turns DNA into ids, and back.

    `encoding_type`: "kmer", k-mers of `kmer_size` bases (1 to 12), each `stride` bases after the last; "char", single
    letters; "both", the letters and then the k-mers of the same bases. The bases behind the last k-mer, fewer than
    `stride`, have no k-mer.

    With `add_special_tokens` a sequence is `[CLS] tokens [SEP]`, and of "both" `[CLS] letters [SEP] k-mers [SEP]`,
    where segment ids are 0 up to the first [SEP] and 1 behind it. Without, there are the tokens alone.

    Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3; then A, C, G, T, unless it is "kmer"; then the k-mers in the order of the
    alphabet, unless it is "char". `canonical`: a k-mer and its reverse complement are one token.

    Lower case is upper case, and U is T. Any other letter, N and IUPAC's among them, is [UNK], and so is each k-mer
    that has one; with `ambiguous` "error" it is a UsageError instead.
    """

    encoding_type: Encoding = "kmer"
    kmer_size: int = 6
    stride: int = 1
    add_special_tokens: bool = True
    canonical: bool = False
    ambiguous: Literal["unknown", "error"] = "unknown"

    def __post_init__(self) -> None:
        """Raises UsageError for settings that are none."""
        if self.encoding_type not in ENCODINGS:
            raise UsageError(f"encoding_type must be one of {', '.join(ENCODINGS)} but got {self.encoding_type!r}")
        if not 1 <= self.kmer_size <= MOST_K:
            raise UsageError(f"kmer_size must be 1 to {MOST_K} but got {self.kmer_size}")
        if self.encoding_type == "both" and self.kmer_size == 1:
            raise UsageError(
                "encoding_type both needs a kmer_size of 2 or more: k-mers of 1 base are the letters again"
            )
        if self.stride < 1:
            raise UsageError(f"stride must be 1 or more but got {self.stride}")
        if self.ambiguous not in ("unknown", "error"):
            raise UsageError(f"ambiguous must be unknown or error but got {self.ambiguous!r}")

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self._first_kmer + (self._kmers if self.encoding_type != "char" else 0)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Tokens to ids. With k of 12 that are 17 million."""
        found = dict(SPECIALS)
        if self.encoding_type != "kmer":
            found |= {letter: FIRST + place for place, letter in enumerate(LETTERS)}
        if self.encoding_type != "char":
            codes = canonical_ranks(self.kmer_size)[1] if self.canonical else range(4**self.kmer_size)
            found |= {kmer_text(int(code), self.kmer_size): self._first_kmer + i for i, code in enumerate(codes)}
        return found

    @property
    def _first_kmer(self) -> int:
        return FIRST + (0 if self.encoding_type == "kmer" else len(LETTERS))

    @property
    def _kmers(self) -> int:
        return len(canonical_ranks(self.kmer_size)[1]) if self.canonical else 4**self.kmer_size

    @property
    def specials(self) -> int:
        """Special tokens of a sequence."""
        return (3 if self.encoding_type == "both" else 2) if self.add_special_tokens else 0

    def token_counts(self, bases: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """How many tokens so many bases become, specials included."""
        kmers = np.maximum(bases - self.kmer_size + self.stride, 0) // self.stride
        counts: NDArray[np.int64] = {"kmer": kmers, "char": bases, "both": bases + kmers}[self.encoding_type]
        return counts + np.int64(self.specials)

    def most_bases(self, length: int) -> int:
        """Of which the tokens fit into `length` places. Raises UsageError if not even the specials do."""
        if length < max(self.specials, 1):
            raise UsageError(f"max_length must be at least {max(self.specials, 1)} but got {length}")
        low, high = 0, (length + 1) * self.stride + self.kmer_size
        while low < high:
            middle = (low + high + 1) // 2
            fits = int(self.token_counts(np.array([middle]))[0]) <= length
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def encode(self, sequences: SequenceArray, max_length: int | None = None) -> Encoded:
        """Padded to `max_length`, or to the longest; a sequence that is too long is cut to as many bases as fit. Raises
        UsageError for a letter that is none of ACGTU, if `ambiguous` is "error"."""
        if self.ambiguous == "error":
            self._check(sequences)
        if max_length is not None:
            sequences = sequences.cut(self.most_bases(max_length))
        counts = self.token_counts(sequences.lengths)
        length = max_length if max_length is not None else int(counts.max(initial=max(self.specials, 1)))
        shape = len(sequences), length
        found = Encoded(np.empty(shape, np.int32), np.empty(shape, np.int32), np.zeros(shape, np.int32))
        for part in sequences.blocks(LETTERS_AT_ONCE):
            rows = slice(part.start, part.stop)
            ids, segments = self._rows(sequences.rows(part), counts[rows], length)
            found.ids[rows] = ids
            found.mask[rows] = np.arange(length) < counts[rows, None]
            if self.encoding_type == "both":
                found.segments[rows] = segments
        return found

    def _rows(self, sequences: SequenceArray, counts: "NDArray[np.int64]", length: int) -> tuple[Ids, "Ids | int"]:
        """Ids, and segments, which are 0 unless it is "both"."""
        start = 1 if self.add_special_tokens else 0
        segments: Ids | int = 0
        if self.encoding_type == "kmer":
            tokens = self._kmer_tokens(sequences)
            ids = _windows(tokens, sequences, self.stride, length, start, counts - self.specials)
        else:
            ids = _windows(self._characters(sequences), sequences, 1, length, start, sequences.lengths)
        if self.encoding_type == "both":
            segments = self._put_kmers(ids, sequences, counts)
        if self.add_special_tokens:
            ids[:, 0] = CLS
            ids[np.arange(len(ids)), counts - 1] = SEP
        return ids, segments

    def _put_kmers(self, ids: Ids, sequences: SequenceArray, counts: "NDArray[np.int64]") -> Ids:
        """The k-mers behind the letters of "both"; the segments."""
        length, between = ids.shape[1], 2 if self.add_special_tokens else 0
        begins, rest = sequences.lengths + between, counts - self.specials - sequences.lengths
        _put_behind(ids, _windows(self._kmer_tokens(sequences), sequences, self.stride, length, 0, rest), begins, rest)
        if self.add_special_tokens:
            ids[np.arange(len(ids)), begins - 1] = SEP
        places = np.arange(length)
        return ((places >= begins[:, None]) & (places < counts[:, None])).astype(np.int32)

    def _characters(self, sequences: SequenceArray) -> Ids:
        table = np.where(BITS < 4, BITS + FIRST, UNK).astype(np.int32)
        return table[sequences.letters]

    def _kmer_tokens(self, sequences: SequenceArray) -> Ids:
        codes, valid = kmer_codes(sequences.letters, self.kmer_size)
        ids = canonical_ranks(self.kmer_size)[0][codes] if self.canonical else codes.astype(np.int32)
        ids += self._first_kmer
        ids[~valid] = UNK
        return ids

    def _check(self, sequences: SequenceArray) -> None:
        odd = np.flatnonzero(BITS[sequences.letters] == 4)
        if odd.size:
            row = int(np.searchsorted(sequences.offsets, odd[0], "right")) - 1
            base, letter = int(odd[0] - sequences.offsets[row]) + 1, chr(sequences.letters[odd[0]])
            raise UsageError(f"sequence {row + 1}, base {base} is {letter!r}; ambiguous='unknown' makes [UNK] of such")

    # The interface for single sequences and lists of them

    def encode_sequence(self, sequence: str, max_length: int | None = None) -> dict[str, Any]:
        """`input_ids` and `attention_mask`, int32 [length], and `tokens`, their texts."""
        found = self.encode(SequenceArray.of([sequence]), max_length)
        ids = found.ids[0]
        return {"input_ids": ids, "attention_mask": found.mask[0], "tokens": [self.token(int(one)) for one in ids]}

    def encode_sequences(self, sequences: Sequence[str], max_length: int | None = None) -> dict[str, Ids]:
        """`input_ids`, `attention_mask` and `token_type_ids`, int32 [n, length]."""
        found = self.encode(SequenceArray.of(sequences), max_length)
        return {"input_ids": found.ids, "attention_mask": found.mask, "token_type_ids": found.segments}

    def sequence_to_kmers(self, sequence: str) -> list[str]:
        """The k-mers as they stand in the sequence."""
        k = self.kmer_size
        return [sequence[at : at + k].upper() for at in range(0, len(sequence) - k + 1, self.stride)]

    def token(self, number: int) -> str:
        """Its text. Raises UsageError for a number that is no id."""
        if not 0 <= number < self.vocab_size:
            raise UsageError(f"ids are 0 to {self.vocab_size - 1} but got {number}")
        if number < FIRST:
            return tuple(SPECIALS)[number]
        if number < self._first_kmer:
            return LETTERS[number - FIRST]
        code = number - self._first_kmer
        return kmer_text(int(canonical_ranks(self.kmer_size)[1][code]) if self.canonical else code, self.kmer_size)

    def decode_sequence(self, ids: "Sequence[int] | Ids") -> str:
        """The bases of ids: what was encoded, but for the bases that have no token; N where there was [UNK] and no
        other k-mer tells, or where a stride longer than k leaves a gap. Raises UsageError for canonical k-mers alone,
        which do not tell the strand."""
        tokens = [self.token(int(one)) for one in ids if one not in (PAD, CLS, SEP)]
        if self.encoding_type != "kmer":
            both = self.encoding_type == "both" and tokens
            bases = self.most_bases(len(tokens) + self.specials) if both else len(tokens)
            return "".join("N" if token == "[UNK]" else token for token in tokens[:bases])
        if self.canonical:
            raise UsageError("canonical k-mers do not tell the strand they are of; decode with canonical=False")
        return _overlapped(tokens, self.kmer_size, self.stride)

    def save(self, path: Path | str) -> None:
        """As JSON."""
        facts = {"schema": SCHEMA, "specials": SPECIALS, "letters": LETTERS, "vocab_size": self.vocab_size}
        write_json(Path(path), facts | {"settings": asdict(self)})

    @classmethod
    def load(cls, path: Path | str) -> "DNATokenizer":
        """Raises AnelabError for a file that is none of a tokenizer, or of one with other ids."""
        try:
            found = msgspec.json.decode(Path(path).read_bytes(), type=_Saved)
        except (OSError, msgspec.MsgspecError) as error:
            raise AnelabError(f"{path}: is no tokenizer ({error}); DNATokenizer.save writes one") from None
        made = cls(**msgspec.structs.asdict(found.settings))
        stated = (found.schema, dict(found.specials), found.letters, found.vocab_size)
        if stated != (SCHEMA, SPECIALS, LETTERS, made.vocab_size):
            raise AnelabError(
                f"{path}: has a vocabulary of {found.vocab_size} ids with {dict(found.specials)}, but these settings "
                f"have {made.vocab_size} with {SPECIALS}; save it again with this version of anelab"
            )
        return made


def _windows(
    tokens: Ids, sequences: SequenceArray, stride: int, length: int, start: int, counts: "NDArray[np.int64]"
) -> Ids:
    """int32 [n, length]: from column `start` on each sequence's tokens, every `stride`-th of those that begin with its
    bases; [PAD] behind its count."""
    places = max(length - start, 1)
    width = (places - 1) * stride + 1
    missing = len(sequences.letters) - len(tokens) + width
    padded = np.concatenate([tokens, np.zeros(missing, np.int32)])
    windows = sliding_window_view(padded, width)[:, ::stride]
    if start == 0:
        ids = windows[sequences.offsets[:-1]]
    else:
        ids = np.zeros((len(sequences), length), np.int32)
        ids[:, start:] = windows[sequences.offsets[:-1], : length - start]
    ids *= np.arange(length) < counts[:, None] + start
    return ids


def _put_behind(ids: Ids, second: Ids, begins: "NDArray[np.int64]", counts: "NDArray[np.int64]") -> None:
    """Of each row of `second` the first `counts` into `ids`, from column `begins` on."""
    rows = np.repeat(np.arange(len(ids)), counts)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    ids[rows, begins[rows] + columns] = second[rows, columns]


def _overlapped(kmers: Sequence[str], k: int, stride: int) -> str:
    """The bases of k-mers, each `stride` bases after the last."""
    bases = ["N"] * ((len(kmers) - 1) * stride + k) if kmers else []
    for place, kmer in enumerate(kmers):
        if kmer != "[UNK]":
            bases[place * stride : place * stride + k] = kmer
    return "".join(bases)


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    encoding_type: Encoding
    kmer_size: int
    stride: int
    add_special_tokens: bool
    canonical: bool
    ambiguous: Literal["unknown", "error"]


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    specials: Mapping[str, int]
    letters: str
    vocab_size: int
    settings: _Settings
