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
from anelab.files import file_digest, read_json, replacing_folder, write_json, write_text
from anelab.inference.edna.calibrator import Calibrator
from anelab.inference.edna.clusters import OUTSIDE, ClusterMap
from anelab.inference.edna.embed import Embedder, KmerVectors, Vectors, open_embedder
from anelab.inference.edna.features import FEATURES, NOVELTY_FEATURES, TARGET_FEATURES
from anelab.inference.edna.neighbours import K, Neighbours, Points
from anelab.learning.arrays import load_array
from anelab.learning.base import Arrays
from anelab.sequences.kmers import canonical_ranks
from anelab.sequences.profiles import KmerSets
from anelab.sequences.taxonomy import RANKS, Taxonomy

if TYPE_CHECKING:
    from anelab.workspace import Workspace

SCHEMA = "anelab.edna_index/1"
FACTS, MODEL, NAMES, TAXA = "index.json", "model.onnx", "names.txt", "taxa.tsv"
ARRAYS: dict[str, tuple[type[np.generic], tuple[int | None, ...]]] = {
    "vectors": (np.float32, (None, None)),
    "kmers": (np.uint16, (None,)),
    "kmer_offsets": (np.int64, (None,)),
    "taxa": (np.int32, (None, len(RANKS))),
    "near_rows": (np.int64, (None, None)),
    "near_score": (np.float32, (None, None)),
    "near_cosine": (np.float32, (None, None)),
    "near_containment": (np.float32, (None, None)),
    "map_mean": (np.float32, (None,)),
    "map_axes": (np.float32, (None, None)),
    "map_explained": (np.float32, (None,)),
    "map_members": (np.float32, (None, None)),
    "map_labels": (np.int64, (None,)),
    "map_reach": (np.float32, (None,)),
}
"""What an index holds: `near_...` are fields of Neighbours, `map_...` of ClusterMap."""


@dataclass(frozen=True)
class Calibration:
    """What was learned from references that were left out. `ranks`: by rank, the chance that its taxon is right;
    `novelty`: that the genus is none of the references'. `min_confidence`: which 0.95 of the left-out references reach
    at genus. `on_target`: the chance that a sequence is of this marker, and not like sequences
    that are read backwards. `figures`: for people."""

    ranks: tuple[Calibrator, ...]
    novelty: Calibrator
    on_target: Calibrator
    min_confidence: float
    figures: dict[str, Any]


@dataclass(frozen=True)
class Index:
    """`reference_neighbours`: the neighbours of each reference, itself left out."""

    names: tuple[str, ...]
    points: Points
    taxonomy: Taxonomy
    reference_neighbours: Neighbours
    calibration: Calibration
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
        **{f"near_{one.name}": getattr(index.reference_neighbours, one.name) for one in fields(Neighbours)},
        **{f"map_{one.name}": getattr(index.clusters, one.name) for one in fields(ClusterMap)},
    }
    with replacing_folder(folder) as out:
        for name, array in arrays.items():
            np.save(out / f"{name}.npy", array.astype(ARRAYS[name][0], copy=False))
        write_text(out / NAMES, "".join(f"{name}\n" for name in index.names))
        taxa = ((rank, name) for rank, names in zip(RANKS, index.taxonomy.names, strict=True) for name in names)
        write_text(out / TAXA, "".join(f"{rank}\t{name}\n" for rank, name in taxa))
        if isinstance(index.vectors, Embedder):
            shutil.copyfile(index.vectors.model.path, out / MODEL)
        calibration = index.calibration
        facts = {
            "schema": SCHEMA,
            "k": K,
            "vectors": {"kmer_size": index.vectors.k} if isinstance(index.vectors, KmerVectors) else {"model": MODEL},
            "ranks": [one.as_json() for one in calibration.ranks],
            "novelty": calibration.novelty.as_json(),
            "on_target": calibration.on_target.as_json(),
            "min_confidence": calibration.min_confidence,
            "figures": calibration.figures,
            "files": {path.name: file_digest(path) for path in sorted(out.iterdir())},
        }
        write_json(out / FACTS, facts)


@contextmanager
def open_index(workspace: "Callable[[], Workspace]", folder: Path) -> Iterator[Index]:
    """Raises AnelabError for a folder that is no index, or whose files are not those it was made with."""
    facts = _facts(folder)
    for name in (NAMES, TAXA, *(f"{name}.npy" for name in ARRAYS), *([MODEL] if facts.model else [])):
        path = folder / name
        if not path.is_file() or file_digest(path) != facts.files.get(name):
            raise DamagedFileError(f"{path}: is missing or changed; make the index again (`anelab edna index`)")
    arrays = {name: load_array(folder / f"{name}.npy", shape) for name, (_, shape) in ARRAYS.items()}
    names, taxa = _lines(folder / NAMES), _taxa(folder / TAXA)
    if not _is_whole(arrays, names, taxa):
        raise DamagedFileError(f"{folder}: its tables do not fit each other; make the index again")
    with _vectors(workspace, folder, facts.model) as vectors:
        if vectors.dimension != arrays["vectors"].shape[1]:
            raise DamagedFileError(f"{folder}: its vectors are not its model's; make the index again")
        sets = KmerSets(K, arrays["kmers"], arrays["kmer_offsets"])
        reference_neighbours = Neighbours(*(arrays[f"near_{one.name}"] for one in fields(Neighbours)))
        points = Points(arrays["vectors"], sets).searchable()
        clusters = ClusterMap(**{one.name: arrays[f"map_{one.name}"] for one in fields(ClusterMap)})
        yield Index(
            tuple(names),
            points,
            Taxonomy(arrays["taxa"], taxa),
            reference_neighbours,
            facts.calibration,
            clusters,
            vectors,
        )


def check_folder(folder: Path) -> None:
    """Raises UsageError for a folder that holds anything but an index: it is replaced as a whole."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    known = {FACTS, NAMES, TAXA, MODEL, *(f"{name}.npy" for name in ARRAYS)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []
    try:
        if others or folder.is_symlink() or read_json(folder / FACTS)["schema"] != SCHEMA:
            raise KeyError
    except (OSError, KeyError, TypeError, DamagedFileError):
        holds = f" holds {others[0]!r:.80}, and" if others else ""
        raise UsageError(
            f"--out {folder}: is there,{holds} is no index that may be replaced; name another folder"
        ) from None


@dataclass(frozen=True)
class _Facts:
    """Of index.json. `files`: sha256 by name; `model`: whether vectors are a model's, or counts of k-mers."""

    files: dict[str, str]
    model: bool
    calibration: Calibration


def _facts(folder: Path) -> _Facts:
    """Raises AnelabError."""
    try:
        found: Any = read_json(folder / FACTS)
        if found["schema"] != SCHEMA or found["k"] != K:
            raise ValueError(f"its schema is {found['schema']!r:.80}, not {SCHEMA}")
        vectors = found["vectors"]
        if vectors not in ({"model": MODEL}, {"kmer_size": KmerVectors.k}):
            raise ValueError(f"its vectors are {vectors!r:.80}")
        if len(found["ranks"]) != len(RANKS):
            raise ValueError(f"it has {len(found['ranks'])} ranks")
        calibration = Calibration(
            tuple(Calibrator.from_json(one, len(FEATURES)) for one in found["ranks"]),
            Calibrator.from_json(found["novelty"], NOVELTY_FEATURES),
            Calibrator.from_json(found["on_target"], len(TARGET_FEATURES)),
            float(found["min_confidence"]),
            dict(found["figures"]),
        )
        return _Facts(dict(found["files"]), "model" in vectors, calibration)
    except (FileNotFoundError, NotADirectoryError):
        raise AnelabError(f"{folder}: is no index; `anelab edna index REFERENCES -o {folder}` makes one") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(f"{folder / FACTS}: is no index of this version ({error}); make it again") from None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _taxa(path: Path) -> tuple[tuple[str, ...], ...]:
    found: dict[str, list[str]] = {rank: [] for rank in RANKS}
    for line in _lines(path):
        rank, _, name = line.partition("\t")
        found.get(rank, []).append(name)
    return tuple(tuple(found[rank]) for rank in RANKS)


def _is_whole(arrays: Arrays, names: list[str], taxa: tuple[tuple[str, ...], ...]) -> bool:
    """Whether numbers lead out of the index, and tables fit each other: whoever made it chose them."""
    count, offsets, near = len(names), arrays["kmer_offsets"], arrays["near_rows"]
    texts = [*names, *(name for each in taxa for name in each)]
    return (
        all(arrays[name].dtype == dtype for name, (dtype, _) in ARRAYS.items())
        and all(np.isfinite(array).all() for array in arrays.values() if array.dtype == np.float32)
        and not any("\t" in text or "\r" in text for text in texts)
        and len(arrays["vectors"]) == len(arrays["taxa"]) == len(near) == count == len(offsets) - 1
        and all(near.shape == arrays[f"near_{one.name}"].shape for one in fields(Neighbours))
        and near.shape[1] > 0
        and bool((arrays["taxa"] >= -1).all() and (arrays["taxa"] < [len(each) for each in taxa]).all())
        and bool((near >= -1).all() and (near < count).all())
        and offsets[0] == 0
        and offsets[-1] == len(arrays["kmers"])
        and bool((np.diff(offsets) >= 0).all())
        and bool((arrays["kmers"] < len(canonical_ranks(K)[1])).all())
        and _fits(arrays)
    )


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
def _vectors(workspace: "Callable[[], Workspace]", folder: Path, model: bool) -> Iterator[Vectors]:
    if not model:
        yield KmerVectors()
        return
    with open_embedder(workspace, str(folder / MODEL)) as embedder:
        yield embedder
