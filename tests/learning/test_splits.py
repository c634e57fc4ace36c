import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anelab.learning.config import SplitConfig
from anelab.learning.splits import stratified_split


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=200), st.integers(0, 5))
def test_every_row_is_in_one_split_and_no_group_in_two(rows: list[tuple[int, int]], seed: int) -> None:
    strata, groups = (np.array(column) for column in zip(*rows, strict=True))
    parts = stratified_split(strata, groups, SplitConfig(validation=0.2, test=0.3), seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(rows)))
    held = [set(groups[part].tolist()) for part in parts.values()]
    assert sum(map(len, held)) == len(set(groups.tolist()))
    again = stratified_split(strata, groups, SplitConfig(validation=0.2, test=0.3), seed)
    assert all((parts[name] == again[name]).all() for name in parts)


def test_shares_are_kept_in_each_stratum_and_a_rare_one_is_everywhere() -> None:
    strata = np.repeat([0, 1, 2], [1000, 200, 3])
    parts = stratified_split(strata, np.arange(1203), SplitConfig(validation=0.1, test=0.2), 0)
    counts = {name: np.bincount(strata[part]).tolist() for name, part in parts.items()}
    assert counts == {"train": [700, 140, 1], "validation": [100, 20, 1], "test": [200, 40, 1]}
