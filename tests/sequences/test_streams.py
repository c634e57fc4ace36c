"""Compressed input: known by its content, whole or refused."""

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backports import zstd

from anelab.errors import AnelabError
from anelab.sequences import streams
from anelab.sequences.streams import BGZF_END, ahead, read_bytes

TEXT = b"".join(b"@r%d\nACGTACGTTT\n+\nIIIIIIIIII\n" % number for number in range(20_000))
CHECKED = zstd.compress(TEXT, options={zstd.CompressionParameter.checksum_flag: 1})
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def bgzf(data: bytes) -> bytes:
    """Members with the extra field of bgzf, and the empty one that ends the file."""
    extra = bytes.fromhex("1f8b08040000000000ff0600424302000000")
    members = [extra + gzip.compress(data[at : at + 60_000])[10:] for at in range(0, len(data), 60_000)]
    return b"".join(members) + BGZF_END


@pytest.mark.parametrize("kind", PACKED)
def test_every_kind_is_known_by_its_content_and_may_have_several_members(kind: str, tmp_path: Path) -> None:
    pack, path = PACKED[kind], tmp_path / "reads.txt"
    path.write_bytes(pack(TEXT) + pack(b"@x\nA\n+\nI\n"))
    assert b"".join(read_bytes(path)) == TEXT + b"@x\nA\n+\nI\n"
    path.write_bytes(pack(TEXT) + bytes(512))  # as tapes and xz pad
    assert b"".join(read_bytes(path)) == TEXT


def test_zstandard_may_begin_with_what_is_to_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size" + CHECKED)
    assert b"".join(read_bytes(path)) == TEXT


def test_bgzf_is_read_and_missed_if_its_end_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_bytes(bgzf(TEXT))
    assert b"".join(read_bytes(path)) == TEXT
    path.write_bytes(bgzf(TEXT) + gzip.compress(TEXT))
    assert b"".join(read_bytes(path)) == TEXT + TEXT
    path.write_bytes(bgzf(TEXT)[: -len(BGZF_END)])
    with pytest.raises(AnelabError, match=r"reads\.fq: the gzip stream is cut short"):
        list(read_bytes(path))


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("harm", ["cut", "cut in the second", "something behind", "flipped"])
def test_a_stream_that_is_not_whole_is_refused(kind: str, harm: str, tmp_path: Path) -> None:
    whole = PACKED[kind](TEXT)
    middle = len(whole) // 2
    harmed = {
        "cut": whole[:middle],
        "cut in the second": whole + whole[:20],
        "something behind": whole + b"something else",
        "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
    }[harm]
    path = tmp_path / "reads"
    path.write_bytes(harmed)
    with pytest.raises(AnelabError, match=f"reads: the {kind} stream is (cut short|damaged)"):
        list(read_bytes(path))


def test_much_in_little_is_read_in_small_parts(tmp_path: Path) -> None:
    """100 MB of nothing are 100 kB of gzip; no part may be larger than a block."""
    path = tmp_path / "much.gz"
    path.write_bytes(gzip.compress(bytes(100 << 20), compresslevel=6))
    sizes = [len(part) for part in read_bytes(path)]
    assert sum(sizes) == 100 << 20
    assert max(sizes) <= streams.BLOCK_BYTES + streams.LEAST_BYTES


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    packed = gzip.compress(TEXT)

    def feed() -> None:
        with pipe.open("wb", buffering=0) as handle:
            for at in range(0, len(packed), 1000):
                handle.write(packed[at : at + 1000])

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert b"".join(read_bytes(pipe)) == TEXT
    feeder.join()


def test_what_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(AnelabError, match=r"absent\.fq: cannot be read: No such file"):
        list(read_bytes(tmp_path / "absent.fq"))


@pytest.mark.parametrize("cores", [1, 2])
def test_items_come_ahead_in_their_order_and_so_do_errors(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_cores", lambda: cores)

    def items() -> Iterator[int]:
        yield from range(20)
        raise AnelabError("it broke")

    got = []
    with pytest.raises(AnelabError, match="it broke"):
        for item in ahead(items()):
            got.append(item)
    assert got == list(range(20))
    before = threading.active_count()
    for item in ahead(iter(range(1000))):
        if item == 3:
            break  # who stops early leaves no thread behind
    assert threading.active_count() == before
