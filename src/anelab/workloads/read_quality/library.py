"""All reads of all files, and where each comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from anelab.errors import AnelabError
from anelab.sequences.fastq import Integers
from anelab.sequences.mates import Fragments, fragments_of, marks_in_comments
from anelab.sequences.nucleotides import Bytes
from anelab.sequences.phred import Reads
from anelab.workloads.read_quality.config import ReadsDataConfig
from anelab.workloads.read_quality.encode import WIDTH, read_reads
from anelab.workloads.read_quality.groups import groups_of, libraries_of
from anelab.workloads.read_quality.labels import by_rule, passes
from anelab.workloads.read_quality.whole import long_reads, rule_values

MOST_WHOLE = 600
"""Bases of a read in which its mate is looked for; what is longer has no mates."""
PHRED_OPTION = "-S read_quality.data.phred="


@dataclass(frozen=True)
class ReadSet:
    """`raw` uint8 [n, 2 WIDTH] of reads/3, `lengths` of the uncut reads, `names` as in the headers, `file` the place of
    each read's among `files`, `in_comment` uint8 [n], the mate that the header's second word says, or 0. `changed`
    counts long reads of which the rule says another thing than of what the model sees. `codes` uint8 [n, longest], of
    whole reads up to MOST_WHOLE bases, for the label `overlap` only."""

    raw: Bytes
    lengths: Integers
    names: list[str]
    file: Integers
    in_comment: Bytes
    files: list[str]
    changed: int
    codes: Bytes | None = None

    @cached_property
    def fragments(self) -> Fragments:
        """Which reads are mates."""
        return fragments_of(self.names, self.file, self.in_comment)

    @cached_property
    def group(self) -> Integers:
        """What must stay in one split, [n]."""
        return groups_of(self.fragments.number, self.raw, self.lengths)

    @cached_property
    def library(self) -> Integers:
        """A number for each read's library, [n]."""
        return libraries_of(self.fragments.number, self.file, self.files)

    def files_of(self, library: int) -> list[str]:
        return [self.files[file] for file in np.unique(self.file[self.library == library])]


def read_all(files: Sequence[Path], data: ReadsDataConfig) -> ReadSet:
    """Raises AnelabError for no file, one without reads, and what cannot be read."""
    if not files:
        raise AnelabError("read_quality.data.source names no FASTQ file")
    parts: list[Reads] = []
    counts: list[int] = []
    left = data.max_records
    for path in files:
        if left == 0:
            break
        found = list(read_reads(path, data.phred, PHRED_OPTION, left))
        count = sum(map(len, found))
        if not count:
            raise AnelabError(f"{path}: holds no reads")
        left = None if left is None else left - count
        parts += found
        counts.append(count)
    return ReadSet(
        np.concatenate([part.raw for part in parts]),
        np.concatenate([part.block.lengths for part in parts]),
        [name for part in parts for name in part.block.names()],
        np.repeat(np.arange(len(counts)), counts),
        np.concatenate([marks_in_comments(part.block) for part in parts]),
        [path.name for path in files[: len(counts)]],
        sum(_changed_by_cutting(part, data) for part in parts),
        _whole_codes(parts) if data.label == "overlap" else None,
    )


def _whole_codes(parts: Sequence[Reads]) -> Bytes:
    longest = max(int(part.block.lengths.max(initial=0)) for part in parts)
    width = min(max(longest, WIDTH), MOST_WHOLE)
    return np.concatenate([part.block.whole_codes(width) for part in parts])


def _changed_by_cutting(reads: Reads, data: ReadsDataConfig) -> int:
    seen = by_rule(reads.raw, data)
    if seen is None:
        return 0
    changed = 0
    for parts, rows in long_reads(reads.block.lengths):
        block = reads.block.take(rows)
        values = rule_values(data.label, block, reads.offset, parts)
        changed += int((passes(data.label, values, block.lengths, data) != seen[rows]).sum())
    return changed
