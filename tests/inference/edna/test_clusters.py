"""Clusters of references, and places on their map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anelab.inference.edna.clusters import ClusterMap
from anelab.views.clusters import NONE, PALETTE, by_cluster, map_chart, read_clusters


def groups(rng: np.random.Generator, count: int = 3, size: int = 20, dimension: int = 16) -> np.ndarray:
    """Vectors of length 1 around the axes, a group after the other."""
    centres = np.repeat(np.eye(dimension, dtype=np.float32)[:count], size, axis=0)
    found = centres + rng.normal(0, 0.02, (count * size, dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_groups_are_clusters_and_what_is_far_from_all_is_in_none() -> None:
    rng = np.random.default_rng(1)
    vectors = groups(rng)
    found = ClusterMap.fit(vectors, seed=1)
    assert len(found.reach) == 3
    assert found.figures(np.repeat([0, 1, 2], 20))["adjusted Rand index of clusters and families"] == 1.0
    np.testing.assert_array_equal(found.clusters(vectors), found.labels)
    elsewhere = -vectors[:1]
    assert found.clusters(elsewhere).tolist() == [-1]
    assert found.clusters(vectors[:0]).shape == (0,)


def test_a_place_is_the_same_whatever_is_beside_it() -> None:
    vectors = groups(np.random.default_rng(2))
    found = ClusterMap.fit(vectors, seed=1)
    np.testing.assert_allclose(found.places(vectors)[7], found.places(vectors[7:8])[0], atol=1e-6)
    first = (vectors - vectors.mean(axis=0)) @ np.linalg.svd(vectors - vectors.mean(axis=0))[2][0]
    np.testing.assert_allclose(np.abs(found.places(vectors)[:, 0]), np.abs(first), atol=1e-4)


def table(folder: Path, families: int = 10) -> Path:
    names = [f"family {number % families}" for number in range(60)]
    frame = pd.DataFrame({"id": [str(row) for row in range(60)], "verdict": "reference", "x": 0.0, "y": 1.0})
    frame["cluster"] = [number % families if number < 50 else -1 for number in range(60)]
    for rank in ("domain", "phylum", "class", "order", "genus", "species"):
        frame[rank] = ""
    frame["family"] = names
    frame.loc[[0, 10, 59], "verdict"] = "called"
    frame.to_parquet(folder / "survey.parquet")
    return folder


def test_a_table_of_clusters_is_counted(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    found = read_clusters(table(tmp_path))
    assert list(found) == ["survey"]
    rows = by_cluster(found["survey"]).set_index("cluster")
    assert rows.index[0] == "0"
    assert rows.loc["0", ["references", "queries", "family", "share of family", "genus"]].tolist() == [
        3,
        2,
        "family 0",
        1.0,
        "",
    ]
    assert rows.loc[NONE, ["references", "queries"]].tolist() == [9, 1]


@pytest.mark.parametrize("by", ["family", "cluster", "verdict", "genus"])
def test_what_is_rare_is_grey_on_the_map(by: str, tmp_path: Path) -> None:
    drawn = map_chart(read_clusters(table(tmp_path))["survey"], by).to_dict()
    scale = drawn["layer"][0]["encoding"]["color"]["scale"]
    assert len(scale["domain"]) == len(scale["range"])
    assert len(set(scale["domain"])) == len(scale["domain"])
    if by == "family":
        assert scale["domain"][-1] == "others"
        assert scale["range"][:7] == PALETTE
