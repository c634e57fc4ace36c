"""References, ready to be searched: vectors, sets of k-mers, taxa, and how sure each rank is. One folder, which needs
neither the registry nor the files it was made of."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anelab.errors import AnelabError, DamagedFileError, UsageError
from anelab.files import file_digest, read_json, replacing_folder, write_json
from anelab.inference.edna.calibrate import Calibrator
from anelab.inference.edna.clusters import OUTSIDE, ClusterMap
from anelab.inference.edna.embed import Embedder, KmerVectors, Vectors, open_embedder
from anelab.inference.edna.neighbours import Neighbours, Points
from anelab.learning.arrays import load_array
from anelab.learning.base import Arrays
from anelab.sequences.kmers import canonical_ranks
from anelab.sequences.profiles import KmerSets
from anelab.sequences.taxonomy import RANKS, Taxonomy

if TYPE_CHECKING:
    from anelab.workspace import Workspace

SCHEMA = "anelab.edna_index/1"
FACTS, MODEL = "index.json", "model.onnx"
ARRAYS = {
    "vectors": (None, None),
    "kmers": (None,),
    "kmer_offsets": (None,),
    "taxa": (None, len(RANKS)),
    "near_rows": (None, None),
    "near_score": (None, None),
    "near_cosine": (None, None),
    "map_mean": (None,),
    "map_axes": (None, None),
    "map_explained": (None,),
    "map_members": (None, None),
    "map_labels": (None,),
    "map_reach": (None,),
}
"""Of `map_...` fields of ClusterMap."""


@dataclass(frozen=True)
class Judgement:
    """What was learned from references that were left out. `ranks`: by rank, the chance that its taxon is right;
    `novelty`: that the genus is none of the references'. `min_confidence`: which 0.95 of the left-out references reach
    at genus. `off_target`: a best score below it is no better than that of sequences read backwards. `figures`: for
    people."""

    ranks: tuple[Calibrator, ...]
    novelty: Calibrator
    min_confidence: float
    off_target: float
    figures: dict[str, Any]


@dataclass(frozen=True)
class Index:
    """`among`: the neighbours of each reference, itself left out."""

    names: tuple[str, ...]
    points: Points
    taxonomy: Taxonomy
    among: Neighbours
    judgement: Judgement
    clusters: ClusterMap
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.names)


def write_index(index: Index, folder: Path) -> None:
    """Whole or not at all; what was there before is replaced."""
    arrays = {
        "vectors": index.points.vectors,
        "kmers": index.points.sets.codes,
        "kmer_offsets": index.points.sets.offsets,
        "taxa": index.taxonomy.codes,
        "near_rows": index.among.rows,
        "near_score": index.among.score,
        "near_cosine": index.among.cosine,
        **{f"map_{one.name}": getattr(index.clusters, one.name) for one in fields(ClusterMap)},
    }
    with replacing_folder(folder) as out:
        for name, array in arrays.items():
            np.save(out / f"{name}.npy", array)
        if isinstance(index.vectors, Embedder):
            shutil.copyfile(index.vectors.model.path, out / MODEL)
        judged = index.judgement
        facts = {
            "schema": SCHEMA,
            "k": index.points.sets.k,
            "vectors": {"kmer_size": index.vectors.k} if isinstance(index.vectors, KmerVectors) else {"model": MODEL},
            "names": index.names,
            "taxa": dict(zip(RANKS, index.taxonomy.names, strict=True)),
            "ranks": [one.as_json() for one in judged.ranks],
            "novelty": judged.novelty.as_json(),
            "min_confidence": judged.min_confidence,
            "off_target": judged.off_target,
            "figures": judged.figures,
            "files": {path.name: file_digest(path) for path in sorted(out.iterdir())},
        }
        write_json(out / FACTS, facts)


@contextmanager
def open_index(workspace: "Callable[[], Workspace]", folder: Path) -> Iterator[Index]:
    """Raises AnelabError for a folder that is no index, or whose files are not those it was made with."""
    facts = _facts(folder)
    for name, digest in facts["files"].items():
        path = folder / Path(name).name
        if not path.is_file() or file_digest(path) != digest:
            raise DamagedFileError(f"{path}: is missing or changed; make the index again (`anelab edna index`)")
    arrays = {name: load_array(folder / f"{name}.npy", shape) for name, shape in ARRAYS.items()}
    _check(folder, facts, arrays)
    with _vectors(workspace, folder, facts) as vectors:
        sets = KmerSets(int(facts["k"]), arrays["kmers"], arrays["kmer_offsets"])
        taxonomy = Taxonomy(arrays["taxa"], tuple(tuple(facts["taxa"][rank]) for rank in RANKS))
        ranks = tuple(Calibrator.from_json(one) for one in facts["ranks"])
        novelty = Calibrator.from_json(facts["novelty"])
        judged = Judgement(ranks, novelty, facts["min_confidence"], facts["off_target"], facts["figures"])
        among = Neighbours(arrays["near_rows"], arrays["near_score"], arrays["near_cosine"])
        points = Points(arrays["vectors"], sets).searchable()
        clusters = ClusterMap(**{one.name: arrays[f"map_{one.name}"] for one in fields(ClusterMap)})
        yield Index(tuple(facts["names"]), points, taxonomy, among, judged, clusters, vectors)


def check_folder(folder: Path) -> None:
    """Raises UsageError for a folder that holds something else."""
    if folder.exists() and not (folder / FACTS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {folder}: is there, and is no index; name another folder")


def _facts(folder: Path) -> dict[str, Any]:
    try:
        found: Any = read_json(folder / FACTS)
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']}, not {SCHEMA}")
    except (FileNotFoundError, NotADirectoryError):
        raise AnelabError(f"{folder}: is no index; `anelab edna index REFERENCES -o {folder}` makes one") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{folder / FACTS}: is no index of this version ({error}); make it again") from None
    facts: dict[str, Any] = found
    return facts


def _check(folder: Path, facts: dict[str, Any], arrays: Arrays) -> None:
    """Raises DamagedFileError for numbers that lead out of the index: whoever made it chose them."""
    count, offsets = len(facts["names"]), arrays["kmer_offsets"]
    taxa = np.array([len(facts["taxa"][rank]) for rank in RANKS])
    near = arrays["near_rows"]
    is_whole = (
        len(arrays["vectors"]) == len(arrays["taxa"]) == len(near) == count == len(offsets) - 1
        and near.shape == arrays["near_score"].shape == arrays["near_cosine"].shape
        and bool((arrays["taxa"] >= -1).all() and (arrays["taxa"] < taxa).all())
        and bool((near >= -1).all() and (near < count).all())
        and offsets[0] == 0
        and offsets[-1] == len(arrays["kmers"])
        and bool((np.diff(offsets) >= 0).all())
        and bool((arrays["kmers"] < len(canonical_ranks(int(facts["k"]))[1])).all())
        and len(facts["ranks"]) == len(RANKS)
        and _fits(arrays)
    )
    if not is_whole:
        raise DamagedFileError(f"{folder}: its tables do not fit each other; make the index again")


def _fits(arrays: Arrays) -> bool:
    """Whether the map's tables fit each other and the vectors."""
    axes, members, labels = (arrays[f"map_{name}"] for name in ("axes", "members", "labels"))
    return (
        axes.shape[1] == arrays["vectors"].shape[1] == len(arrays["map_mean"])
        and members.shape == (len(labels), len(axes))
        and len(members) > 0
        and bool((labels >= OUTSIDE).all() and (labels < len(arrays["map_reach"])).all())
    )


@contextmanager
def _vectors(workspace: "Callable[[], Workspace]", folder: Path, facts: dict[str, Any]) -> Iterator[Vectors]:
    if "kmer_size" in facts["vectors"]:
        yield KmerVectors(int(facts["vectors"]["kmer_size"]))
        return
    with open_embedder(workspace, str(folder / MODEL)) as embedder:
        yield embedder
