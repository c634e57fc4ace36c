import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anelab import workloads
from anelab.errors import AnelabError
from anelab.learning.idx import read_idx, write_idx
from anelab.sequences.streams import read_bytes
from tests.conftest import ROOT, tiny

MD5 = {
    "train-images": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels": "a25bea736e30d166cdddb491f175f624",
    "t10k-images": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels": "27ae3e4e09519cfbb04c329615203637",
}


def test_the_whole_workload_stays_small() -> None:
    files = (ROOT / "src/anelab/workloads/mnist").glob("*.py")
    assert sum(len(path.read_text().splitlines()) for path in files) <= 200


@pytest.mark.parametrize(("architecture", "parameters"), [("mlp", 109_386), ("cnn", 9_234)])
def test_normalisation_is_inside_both_graphs(architecture: str, parameters: int) -> None:
    workload = workloads.get("mnist")
    config = tiny(f"mnist.model.architecture={architecture}").section("mnist")
    torch.manual_seed(0)
    module = workload.build(config, Path())
    for layer in module:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    pixels = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8)
    expected = torch.softmax(module.eval()((pixels / 255 - 0.1307) / 0.3081), dim=1)
    floats, raw = (workload.deployed(module, graph) for graph in workload.graphs(config))
    torch.testing.assert_close(floats(pixels / 255), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(raw(pixels), expected, rtol=1e-4, atol=1e-6)


def test_training_images_are_moved_but_never_changed(tmp_path: Path) -> None:
    workload, config = workloads.get("mnist"), tiny("mnist.model.shift_pixels=2").section("mnist")
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    out.mkdir()
    workload.simulate(config, raw)
    card = workload.prepare(config, sorted(raw.iterdir()), out)
    assert "NOT MNIST" in card.origin
    assert card.warnings
    train = workload.load(config, out, "train")
    seen = [batch["label"] for batch in workload.batches(config, train, 0)]
    assert sorted(torch.cat(seen).tolist()) == sorted(train.targets["label"].tolist())
    first, again, other = (next(workload.batches(config, train, epoch))["input"] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def read(path: Path, rank: int) -> Any:
    return read_idx(path, read_bytes(path), rank)


def test_idx_round_trip_and_damage(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "x.gz"
    write_idx(path, values)
    assert (read(path, 3) == values).all()
    with pytest.raises(AnelabError, match="not an IDX file of unsigned bytes with 1 dimensions"):
        read(path, 1)
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(whole[:-1])
    with pytest.raises(AnelabError, match=r"has 23 values, not the shape \(2, 3, 4\) it states"):
        read(path, 3)
    path.write_bytes(whole + b"x")
    with pytest.raises(AnelabError, match="has 25 values"):
        read(path, 3)
    path.write_bytes(gzip.compress(whole)[:-12])
    with pytest.raises(AnelabError, match="cut short"):
        read(path, 3)


@pytest.mark.parametrize("shape", [(2**31, 2**31, 4), (2**32 - 1, 1, 1), (5478275, 28, 28), (2**15, 2**14, 1)])
@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_states_more_than_is_taken_is_refused_by_itself(
    shape: tuple[int, ...], packed: bool, tmp_path: Path
) -> None:
    """The first shape's product is 0 in 64 bits."""
    data = bytes([0, 0, 8, 3]) + np.array(shape, ">u4").tobytes() + bytes(1000)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(AnelabError, match=r"at most 209,715,200 values are taken"):
        read(tmp_path / "x", 3)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    workload, config = workloads.get("mnist"), tiny().section("mnist")
    with pytest.raises(AnelabError, match=r"needs one file named train-images\*.*holds nothing"):
        workload.prepare(config, [], tmp_path)
    for images, labels in ((90, 100), (100, 90)):
        for prefix in ("train", "t10k"):
            write_idx(tmp_path / f"{prefix}-images.gz", np.zeros((images, 28, 28), np.uint8))
            write_idx(tmp_path / f"{prefix}-labels.gz", np.zeros(labels, np.uint8))
        with pytest.raises(AnelabError, match="images must be 28 x 28, one a label"):
            workload.prepare(config, sorted(tmp_path.glob("*.gz")), tmp_path)
    for prefix, label in (("train", 3), ("t10k", 11)):
        write_idx(tmp_path / f"{prefix}-images.gz", np.zeros((40, 28, 28), np.uint8))
        write_idx(tmp_path / f"{prefix}-labels.gz", np.full(40, label, np.uint8))
    with pytest.raises(AnelabError, match="labels must be 0 to 9 but got 11"):
        workload.prepare(config, sorted(tmp_path.glob("*.gz")), tmp_path)


def test_real_mnist_is_read(real_data: Path) -> None:
    import hashlib

    for path in sorted((real_data / "mnist").iterdir()):
        part = path.name.removesuffix(".gz").rpartition("-idx")[0]
        values = read(path, 3 if part.endswith("images") else 1)
        assert values.shape[0] == (60_000 if part.startswith("train") else 10_000)
        assert hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest() == MD5[part]
