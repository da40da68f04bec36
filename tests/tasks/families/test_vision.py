"""torchvision's data sets from files in their own formats, generated here."""

from __future__ import annotations

import gzip
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
from nas.space import SearchSpace
from nas.tasks import Split, Splits
from nas.tasks.families import vision

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
    write_idx(folder / "FashionMNIST" / "raw")


def write_idx(folder: Path, ending: str = "") -> None:
    """Fashion-MNIST's four files in the IDX format: magic number, sizes, bytes."""
    folder.mkdir(parents=True)
    for name, count in (("train", 1000), ("t10k", 200)):
        images = b"\0\0\x08\x03" + np.array([count, 28, 28], ">i4").tobytes() + pixels(count, 28, 28).tobytes()
        labels = (
            b"\0\0\x08\x01" + np.array([count], ">i4").tobytes() + (np.arange(count) % 10).astype(np.uint8).tobytes()
        )
        for what, content in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{name}-{what}-ubyte{ending}"
            path.write_bytes(gzip.compress(content) if ending else content)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "svhn": write_svhn,
    "fashion_mnist": write_fashion_mnist,
}


@pytest.fixture(autouse=True)
def without_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the package of Debian, which a machine may have installed or not."""
    monkeypatch.setattr(vision, "DEBIAN", tmp_path / "debian")


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


# ------------------------------------------------------------------------------------------ Fashion-MNIST from Debian


def same(left: Splits, right: Splits) -> bool:
    pairs = [(getattr(left, name), getattr(right, name)) for name in ("train", "validation", "test")]
    return all(np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets) for a, b in pairs)


def test_gzipped_files_are_read_as_the_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    raw = tmp_path / "FashionMNIST" / "raw"
    write_idx(raw)
    plain = tasks.get("fashion_mnist").load()
    for path in list(raw.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(tasks.get("fashion_mnist").load(), plain)


@pytest.mark.parametrize("there", [[], ["train-images-idx3-ubyte"]], ids=["no folder", "a file"])
def test_debians_files_are_read_where_the_data_folder_has_not_all(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written: neither in the data folder nor in the system's."""
    write_idx(vision.DEBIAN, ".gz")
    data = tmp_path / "data"
    for name in there:
        (data / "FashionMNIST/raw").mkdir(parents=True)
        (data / "FashionMNIST/raw" / name).touch()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("NAS_DATA", str(data))
    assert len(tasks.get("fashion_mnist").load().train) == 900
    assert sorted(tmp_path.rglob("*")) == before


def test_the_data_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    write_fashion_mnist(tmp_path, monkeypatch)
    ours = tasks.get("fashion_mnist").load()
    write_idx(vision.DEBIAN, ".gz")
    assert same(tasks.get("fashion_mnist").load(), ours)


def test_without_the_files_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "FashionMNIST/raw").mkdir(parents=True)
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    with pytest.raises(
        TaskError, match=r"or their \.gz there, apt-get install dataset-fashion-mnist, or set NAS_DATA$"
    ):
        tasks.get("fashion_mnist").load()


def test_a_file_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    write_fashion_mnist(tmp_path, monkeypatch)
    path = tmp_path / "FashionMNIST/raw/t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(TaskError, match=rf"^{path} must hold labels 0 … 9, but row 199 has 10$"):
        tasks.get("fashion_mnist").load()


DEBIAN = vision.DEBIAN  # read here, before the fixture hides it


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_debians_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task has their mean and deviation, by which it standardises, and their counts, by which it tells bounds."""
    monkeypatch.setattr(vision, "DEBIAN", DEBIAN)
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    splits = tasks.get("fashion_mnist").load()
    assert isinstance(splits.train, Split) and isinstance(splits.test, Split)
    assert (len(splits.train), len(splits.validation)) == vision.DATA_SETS["fashion_mnist"].counts
    assert np.bincount(splits.train.targets).tolist() == [5400] * 10
    assert np.bincount(splits.test.targets).tolist() == [1000] * 10
    assert abs(splits.train.inputs.mean(dtype=float)) < 0.01 and abs(splits.train.inputs.std(dtype=float) - 1) < 0.01
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------------- subsets


def rows(split: object) -> list[bytes]:
    assert isinstance(split, Split)
    return [image.tobytes() for image in split.inputs]


@pytest.mark.parametrize("name", WRITERS)
def test_a_subset(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes, the share of each class, the same twice, nested, without overlap; the test split is whole."""
    WRITERS[name](tmp_path, monkeypatch)
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    whole, classes = tasks.get(name).load(), tasks.get(name).outputs
    options = {"train=400": (400, 100), "train=200": (200, 100), "train=200&validation=300": (200, 300)}
    if classes == 10:
        options |= {"validation=50": (900, 50), "validation=200": (800, 200)}
    found = {}
    for option, sizes in options.items():
        task = tasks.get(f"{name}?{option}")
        assert task.name == f"{name}?{option}" and task.recipe.batch_size == min(512, sizes[0])
        splits = found[option] = task.load()
        assert (len(splits.train), len(splits.validation)) == sizes
        for split in (splits.train, splits.validation):
            assert isinstance(split, Split)
            assert np.bincount(split.targets).tolist() == [len(split) // classes] * classes
        assert rows(splits.test) == rows(whole.test)
        assert set(rows(splits.train)).isdisjoint(rows(splits.validation))
        assert set(rows(splits.train)) <= set(rows(whole.train))
        assert same(tasks.get(f"{name}?{option}").load(), splits)
    assert set(rows(found["train=200"].train)) < set(rows(found["train=400"].train))
    assert rows(found["train=200&validation=300"].train) == rows(found["train=200"].train)
    assert set(rows(found["train=200&validation=300"].validation)) > set(rows(whole.validation))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fashion_mnist?train=70000", r"fashion_mnist: train must be a whole number from 10 to 54000, but got '70000'"),
        ("fashion_mnist?train=9", r"from 10 to 54000, but got '9'"),
        ("fashion_mnist?train=0.5", r"from 10 to 54000, but got '0\.5'"),
        ("fashion_mnist?train=-40", r"from 10 to 54000, but got '-40'"),
        ("fashion_mnist?train=", r"from 10 to 54000, but got ''"),
        ("cifar100?train=99", r"cifar100: train must be a whole number from 100 to 45000, but got '99'"),
        ("svhn?validation=80000", r"svhn: validation must be a whole number from 10 to 73247, but got '80000'"),
        (
            "fashion_mnist?train=50000&validation=10001",
            r"fashion_mnist\?train=50000: validation must be a whole number from 10 to 10000, but got '10001'",
        ),
    ],
)
def test_a_subset_within_bounds(name: str, said: str) -> None:
    with pytest.raises(TaskError, match=rf"^task .*{said}$"):
        tasks.get(name)


def test_a_subset_of_files_that_hold_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    write_fashion_mnist(tmp_path, monkeypatch)
    with pytest.raises(TaskError, match=r"^task fashion_mnist: train must be .* from 10 to 900, but got '901'$"):
        tasks.get("fashion_mnist?train=901").load()


def test_a_space_records_the_subset() -> None:
    network = {
        "stem": {"op": "conv3x3", "width": 8},
        "stages": [{"blocks": 2, "op": "basic", "width": 8}],
        "head": "classify",
    }
    name = "fashion_mnist?train=4000"
    space = SearchSpace.from_dict({"task": name, "network": network, "skips": {"kinds": ["none", "add"]}})
    assert space.task.name == name
    assert SearchSpace.from_dict(space.to_dict()).task.name == name
