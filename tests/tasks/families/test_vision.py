"""torchvision's data sets from files in their own formats, generated here."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from nas import tasks
from nas.errors import TaskError

RANDOM = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pickled(path: Path, content: dict[str, object]) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, md5(path)]


def write_cifar10(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Five training batches, a test batch and the names of the classes, with the checksums that torchvision expects."""
    folder = folder / CIFAR10.base_folder

    def batch(name: str) -> list[str]:
        return pickled(folder / name, {"data": pixels(200, 3072), "labels": [place % 10 for place in range(200)]})

    patch.setattr(CIFAR10, "train_list", [batch(f"data_batch_{number}") for number in range(1, 6)])
    patch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    name, checksum = pickled(folder / "batches.meta", {"label_names": [str(label) for label in range(10)]})
    patch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": checksum})


def write_cifar100(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder = folder / CIFAR100.base_folder

    def part(name: str, count: int) -> list[str]:
        labels = {"fine_labels": [place % 100 for place in range(count)], "coarse_labels": [0] * count}
        return pickled(folder / name, {"data": pixels(count, 3072)} | labels)

    patch.setattr(CIFAR100, "train_list", [part("train", 1000)])
    patch.setattr(CIFAR100, "test_list", [part("test", 200)])
    name, checksum = pickled(folder / "meta", {"fine_label_names": [str(label) for label in range(100)]})
    patch.setattr(CIFAR100, "meta", {"filename": name, "key": "fine_label_names", "md5": checksum})


def write_svhn(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Matlab files in which the digit 0 has the label 10."""
    (folder / "svhn").mkdir(parents=True)
    listed = {}
    for name, count in (("train", 1000), ("test", 200)):
        path = folder / "svhn" / f"{name}_32x32.mat"
        savemat(path, {"X": pixels(32, 32, 3, count), "y": (np.arange(count) % 10 + 1)[:, None].astype(np.uint8)})
        listed[name] = ["", path.name, md5(path)]
    patch.setattr(SVHN, "split_list", listed)


def write_fashion_mnist(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The IDX format: magic number, sizes, bytes."""
    folder = folder / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count in (("train", 1000), ("t10k", 200)):
        images = b"\0\0\x08\x03" + np.array([count, 28, 28], ">i4").tobytes() + pixels(count, 28, 28).tobytes()
        labels = (
            b"\0\0\x08\x01" + np.array([count], ">i4").tobytes() + (np.arange(count) % 10).astype(np.uint8).tobytes()
        )
        (folder / f"{name}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(labels)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "svhn": write_svhn,
    "fashion_mnist": write_fashion_mnist,
}


@pytest.mark.parametrize("name", WRITERS)
def test_splits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS[name](tmp_path, monkeypatch)
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    task = tasks.get(name)
    splits = task.load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [900, 100, 200]
    for split in (splits.train, splits.validation, splits.test):
        assert split.inputs.shape[1:] == task.input and split.inputs.dtype == np.float32
        assert np.bincount(split.targets).tolist() == [len(split) // task.outputs] * task.outputs  # stratified
        assert abs(float(split.inputs.mean())) < 0.8  # uniform noise, standardised
    images = {image.tobytes() for image in splits.train.inputs}
    assert not any(image.tobytes() in images for image in splits.validation.inputs)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cifar10", "cifar-10-batches-py"),
        ("cifar100", "cifar-100-python"),
        ("svhn", "svhn"),
        ("fashion_mnist", "FashionMNIST/raw"),
    ],
)
def test_without_the_files_one_line_says_where_to_put_them(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place).mkdir(parents=True)  # there, but not whole
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    with pytest.raises(
        TaskError, match=rf"^task {name}: .*/{place} is not there or not whole.*set NAS_DATA$"
    ) as caught:
        tasks.get(name).load()
    assert "\n" not in str(caught.value)


def test_what_is_mirrored_must_mean_the_same() -> None:
    assert tasks.get("cifar10").recipe.flip and not tasks.get("svhn").recipe.flip
