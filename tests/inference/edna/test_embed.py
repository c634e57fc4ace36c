"""Long sequences in stretches, and models whose settings differ from the default."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from anelab.inference.edna.calibrator import Calibrator
from anelab.inference.edna.embed import _stretches
from anelab.sequences.arrays import SequenceArray
from anelab.sequences.records import read_sequences


@pytest.mark.parametrize("length", [517, 518, 1034, 1500, 9583])
def test_stretches_cover_a_sequence_and_stand_alike_on_both_strands(length: int) -> None:
    most, rng = 517, np.random.default_rng(length)
    sequences = SequenceArray.of(["".join("ACGT"[code] for code in rng.integers(0, 4, length))])
    there, owner = _stretches(sequences, most)
    back, _ = _stretches(sequences.reverse_complement(), most)
    assert sorted(there) == sorted(back.reverse_complement())
    assert set(owner.tolist()) == {0}
    assert there.lengths.max() == min(length, most)
    covered = np.zeros(length, bool)
    for text in there:
        start = sequences[0].index(text)
        covered[start : start + len(text)] = True
    assert covered.all()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As `<(zcat asv.fasta.gz)` of a shell."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(">a\nACGT\n>b\nGGCC\n"))
    writer.start()
    found = [name for block in read_sequences(tmp_path / "pipe") for name in block.names]
    writer.join()
    assert found == ["a", "b"]


def test_a_calibration_is_told_by_rows_that_it_was_not_fitted_on() -> None:
    rng = np.random.default_rng(3)
    values, weight, fold = rng.normal(size=(60, 9)), np.ones(60), np.arange(60) % 2
    truth = rng.random(60) < 0.5
    fitted, chance = Calibrator.cross_fit(values, truth, weight, fold)
    assert np.mean((fitted(values) > 0.5) == truth) > 0.8, "noise is learned by heart"
    assert np.mean((chance > 0.5) == truth) < 0.75, "and not taken for knowledge"
    again = Calibrator.from_json(fitted.as_json(), 9)
    np.testing.assert_array_equal(again(values), fitted(values))
    with pytest.raises(ValueError, match="a calibration has"):
        Calibrator.from_json(fitted.as_json(), 8)
    assert Calibrator.fit(values[:0], truth[:0], weight[:0])(values).min() > 0.999
