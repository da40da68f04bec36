"""CIFAR-10 from files in its own format, generated here."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from nas import tasks
from nas.errors import TaskError


def write_batches(folder: Path, monkeypatch: pytest.MonkeyPatch, images: int = 200) -> None:
    """Five training batches, a test batch and the names of the classes, with the checksums that torchvision expects."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(name: str, content: dict[str, object]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    def batch(name: str) -> list[str]:
        pixels = rng.integers(0, 256, (images, 3072), dtype=np.uint8)
        return write(name, {"data": pixels, "labels": [place % 10 for place in range(images)]})

    monkeypatch.setattr(CIFAR10, "train_list", [batch(f"data_batch_{number}") for number in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    name, md5 = write("batches.meta", {"label_names": [str(label) for label in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})


def test_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_batches(tmp_path / CIFAR10.base_folder, monkeypatch)
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    splits = tasks.get("cifar10").load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [900, 100, 200]
    for split in (splits.train, splits.validation, splits.test):
        assert split.inputs.shape[1:] == (3, 32, 32)
        assert split.inputs.dtype == np.float32
        assert np.bincount(split.targets).tolist() == [len(split) // 10] * 10  # stratified
        assert abs(float(split.inputs.mean())) < 0.5  # uniform noise, standardised
    images = {image.tobytes() for image in splits.train.inputs}
    assert not any(image.tobytes() in images for image in splits.validation.inputs)


def test_without_the_files_one_line_says_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CIFAR10.base_folder).mkdir()  # there, but not whole
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    with pytest.raises(TaskError, match=r"cifar-10-batches-py is not there or not whole.*set NAS_DATA") as caught:
        tasks.get("cifar10").load()
    assert "\n" not in str(caught.value)
