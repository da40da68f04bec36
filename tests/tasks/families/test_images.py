"""Images of one's own: folders, masks and arrays, whole and broken; pets in the authors' format."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas import tasks
from nas.errors import TaskError
from nas.tasks import UNLABELLED, Array
from nas.tasks.recipe import Recipe
from nas.topology.references import resnet
from nas.training.data import batches_of
from nas.training.evaluate import Evaluator

RANDOM = np.random.RandomState(0)


def picture(path: Path, wide: int = 24, high: int = 20, colour: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (high, wide, 3)
    pixels = RANDOM.randint(0, 256, shape) if colour is None else np.full(shape, colour)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def mask(path: Path, values: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


# -------------------------------------------------------------------------------------------------------- imagefolder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, colour in (("cats", 40), ("dogs", 200)):
        for number in range(10):
            picture(tmp_path / name / f"{number}.{'jpg' if number % 2 else 'png'}", colour=colour)
    return tmp_path


def test_a_folder_for_each_class(photos: Path) -> None:
    task = tasks.get(f"imagefolder:{photos}?size=16")
    assert (task.input, task.outputs, task.recipe.flip) == ((3, 16, 16), 2, True)
    splits = pickle.loads(pickle.dumps(task)).load()  # noqa: S301  # as it travels to a slot
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [12, 4, 4]
    for inputs, target in map(splits.test.read, range(4)):
        assert inputs.shape == (3, 16, 16) and inputs.dtype == np.uint8
        assert abs(int(inputs.mean()) - (40, 200)[int(target)]) < 3
    assert tasks.get(f"imagefolder:{photos}").input == (3, 224, 224)
    later = tasks.get("imagefolder:nowhere?classes=7")
    assert later.outputs == 7
    with pytest.raises(TaskError, match=r"there is no file or folder .*nowhere$"):
        later.load()
    with pytest.raises(TaskError, match=r" must hold 3 classes, but has 2$"):
        tasks.get(f"imagefolder:{photos}?classes=3").load()


@pytest.mark.parametrize("given", [("train", "val", "test"), ("train", "test"), ("train",)])
def test_splits_of_ones_own(photos: Path, given: tuple[str, ...]) -> None:
    for name in given:
        shutil.copytree(photos / "cats", photos / "own" / name / "cats")
        shutil.copytree(photos / "dogs", photos / "own" / name / "dogs")
    splits = tasks.get(f"imagefolder:{photos / 'own'}?size=8").load()
    sizes = {"train": 12 + 4 * (len(given) - 1), "validation": 4, "test": 4}
    sizes |= dict.fromkeys(("validation" if name == "val" else name for name in given[1:]), 20)
    assert {name: len(split) for name, split in vars(splits).items()} == sizes


def test_the_middle_of_an_image_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 15:25] = 255
    Image.fromarray(pixels).save(picture(tmp_path / "a" / "wide.png"))
    for number in range(5):
        picture(tmp_path / "a" / f"z{number}.png")
        picture(tmp_path / "b" / f"z{number}.png")
    parts = vars(tasks.get(f"imagefolder:{tmp_path}?size=10").load()).values()
    assert any((part.read(row)[0] == 255).all() for part in parts for row in range(len(part)))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("", r"there is no file or folder .*/none$"),
        ("empty", r"empty must hold a folder for each of two classes, but has none$"),
        ("one", r"one must hold a folder for each of two classes, but has only 'cats'$"),
        ("hollow", r"hollow/dogs holds no image$"),
        ("strange", r"strange/val/birds is a class without training images$"),
        ("few", r"every class needs five images at least"),
    ],
)
def test_a_folder_that_is_none(photos: Path, broken: str, said: str) -> None:
    place = photos / (broken or "none")
    if broken:
        place.mkdir()
    if broken in ("one", "hollow"):
        shutil.copytree(photos / "cats", place / "cats")
    if broken == "hollow":
        (place / "dogs").mkdir()
    if broken == "strange":
        for name in ("train/cats", "train/dogs", "val/birds"):
            shutil.copytree(photos / "cats", place / name)
    if broken == "few":
        for name in ("cats", "dogs"):
            shutil.copytree(photos / "cats", place / name, ignore=shutil.ignore_patterns("[3-9]*"))
    with pytest.raises(TaskError, match=said) as caught:
        tasks.get(f"imagefolder:{place}").load()
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_named(photos: Path) -> None:
    whole = (photos / "dogs" / "3.jpg").read_bytes()
    for file in (photos / "dogs").iterdir():
        file.write_bytes(whole[: len(whole) // 2])
    (photos / "cats" / "1.jpg").write_bytes(b"no image at all")
    task = tasks.get(f"imagefolder:{photos}?size=8")
    with pytest.raises(TaskError, match=r"/(dogs/\d\.(png|jpg)|cats/1\.jpg) cannot be read as an image: ") as caught:
        Evaluator(task, Recipe(epochs=1, batch_size=4)).evaluate(resnet(8, input=(3, 8, 8), outputs=2), seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", ["0", "-3", "big", "99999"])
def test_a_size_is_a_number(photos: Path, size: str) -> None:
    with pytest.raises(TaskError, match=r"size must be a whole number from 4 to 4096, but got"):
        tasks.get(f"imagefolder:{photos}?size={size}")


def _generated(folder: Path, count: int) -> Path:
    """JPEGs of 64×64 pixels in ten classes."""
    pool = [RANDOM.randint(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(50)]
    for number in range(count):
        path = folder / str(number % 10) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pool[number % 50]).save(path)
    return folder


def _resident_bytes() -> int:
    """Of this process and its loader workers; what several share is counted once."""
    pids = ("self", *(child.pid for child in multiprocessing.active_children()))
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids)
    return sum(1024 * int(line.split()[1]) for lines in rollups for line in lines if line.startswith("Pss:"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files_and_the_loop_is_busy(tmp_path: Path) -> None:
    resident, busy = {}, {}
    for count in (500, 5000):  # with as many steps, after which torch and PIL hold what they need
        task = tasks.get(f"imagefolder:{_generated(tmp_path / str(count), count)}?size=64")
        trainer = Evaluator(task, Recipe(epochs=5000 // count, batch_size=30, flip=True, translate=4))
        measured = trainer.evaluate(resnet(8, input=(3, 64, 64), outputs=10), seed=0).measured
        resident[count], busy[count] = _resident_bytes(), 1 - measured["waited"] / measured["seconds"]
        print(f"{count} files: {resident[count] / 2**20:.0f} MiB, the loop {busy[count]:.0%} busy, {measured}")
        del trainer
    assert busy[5000] > 0.8
    assert resident[5000] - resident[500] < 24 * 2**20 < 4500 * 64 * 64 * 3  # what they would take in memory


# ------------------------------------------------------------------------------------------------------ masks and pets


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    for number in range(10):
        picture(tmp_path / "images" / f"{number}.jpg")
        values = RANDOM.randint(0, 3, (20, 24))
        values[:5] = 255
        mask(tmp_path / "masks" / f"{number}.png", values)
    return tmp_path


def test_images_beside_masks(fields: Path) -> None:
    task = tasks.get(f"masks:{fields}?size=16")
    assert (task.input, task.outputs, task.metric) == ((3, 16, 16), 3, "mean_iou")
    splits = task.load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [6, 2, 2]
    inputs, places = splits.train.read(0)
    assert inputs.shape == (3, 16, 16) and places.shape == (16, 16)
    assert set(np.unique(places)) == {UNLABELLED, 0, 1, 2}
    batches = list(batches_of(splits.train, "cpu", 0).ordered(4))
    assert batches[0][1].shape == (4, 16, 16) and batches[0][1].dtype == torch.int64


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: shutil.rmtree(f / "masks"), r"must hold the folders images and masks, but has no masks$"),
        (lambda f: (f / "masks" / "3.png").unlink(), r"images/3\.jpg has no mask .*masks/3\.png$"),
        (
            lambda f: mask(f / "masks" / "3.png", np.zeros((24, 20))),
            r"masks/3\.png must be of its image's size 24×20, but is 20×24$",
        ),
        (
            lambda f: [mask(path, np.ones((20, 24))) for path in (f / "masks").iterdir()],
            r"masks must hold two classes, but all are of \[1\]$",
        ),
        (lambda f: picture(f / "masks" / "3.png"), r"masks/3\.png must have one whole number a pixel"),
        (lambda f: (f / "masks" / "3.png").write_bytes(b"?"), r"masks/3\.png cannot be read as an image"),
        (lambda f: [path.unlink() for path in (f / "images").glob("[3-9].*")], r"five images at least, but has 3$"),
    ],
)
def test_masks_that_are_none(fields: Path, break_it: object, said: str) -> None:
    break_it(fields)  # type: ignore[operator]
    with pytest.raises(TaskError, match=said):
        tasks.get(f"masks:{fields}")


def test_a_label_out_of_range_is_named(fields: Path) -> None:
    values = np.zeros((20, 24))
    values[7, 3] = 9
    for path in (fields / "masks").iterdir():
        mask(path, values)
    with pytest.raises(
        TaskError, match=r"masks/\d\.png must have labels 0 … 2, or 255 for none, but has 9 in row 7, col"
    ):
        list(batches_of(tasks.get(f"masks:{fields}?size=16&classes=3").load().train, "cpu", 1).ordered(2))


def test_pets_are_read_from_the_authors_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "oxford-iiit-pet"
    for part in ("trainval", "test"):
        names = [f"{part}_breed{number % 2}_{number}" for number in range(20)]
        lines = [f"{name} {number % 2 + 1} 1 1\n" for number, name in enumerate(names)]
        for name in names:
            picture(root / "images" / f"{name}.jpg")
            mask(root / "annotations" / "trimaps" / f"{name}.png", RANDOM.randint(1, 4, (20, 24)))
        (root / "annotations" / f"{part}.txt").write_text("".join(lines))
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    splits = tasks.get("pets").load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [16, 4, 20]
    inputs, places = splits.test.read(0)
    assert inputs.shape == (3, 128, 128) and set(np.unique(places)) == {0, 1, 2}


def test_without_pets_one_line_says_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "oxford-iiit-pet").mkdir()
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    with pytest.raises(TaskError, match=r"oxford-iiit-pet is not there or not whole.*set NAS_DATA"):
        tasks.get("pets").load()


# ----------------------------------------------------------------------------------------------------------------- npz


def saved(folder: Path, **arrays: Array) -> str:
    np.savez(folder / "arrays.npz", **arrays)
    return f"npz:{folder}/arrays.npz"


X, Y = RANDOM.randint(0, 256, (50, 6, 5)).astype(np.uint8), np.arange(50) % 3


@pytest.mark.parametrize(
    ("x", "input"),
    [(X, (1, 6, 5)), (X[..., None].repeat(3, 3), (3, 6, 5)), (X[:, None].repeat(3, 1), (3, 6, 5)), (X[:, 0], (5,))],
)
def test_arrays_of_every_layout(tmp_path: Path, x: Array, input: tuple[int, ...]) -> None:
    task = tasks.get(saved(tmp_path, x=x, y=Y))
    assert (task.input, task.outputs, task.metric) == (input, 3, "accuracy")
    splits = task.load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [32, 9, 9]
    assert abs(splits.train.inputs.mean()) < 1e-6 and splits.train.inputs.dtype == np.float32


def test_arrays_with_splits_of_their_own(tmp_path: Path) -> None:
    parts = {"x_train": X, "y_train": Y, "x_test": X[:7], "y_test": Y[:7]}
    splits = tasks.get(saved(tmp_path, **parts)).load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [41, 9, 7]
    splits = tasks.get(saved(tmp_path, **parts, x_val=X[:5], y_val=Y[:5])).load()
    assert [len(split) for split in (splits.train, splits.validation, splits.test)] == [50, 5, 7]


def test_fractions_and_places_as_targets(tmp_path: Path) -> None:
    task = tasks.get(saved(tmp_path, x=X[:, 0], y=RANDOM.normal(1000, 50, (50, 2))))
    assert (task.metric, task.loss, task.outputs) == ("r2", "squared_error", 2)
    assert abs(task.load().train.targets.std() - 1) < 1e-5
    task = tasks.get(saved(tmp_path, x=X, y=(X > 127).astype(np.uint8)))
    assert (task.metric, task.outputs) == ("mean_iou", 2)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X}, r"must hold x and y, or x_train, y_train, x_test and y_test, but has x$"),
        ({"x_train": X, "x_test": X, "y_test": Y}, r"has x_train but no y_train$"),
        ({"x": X, "y": Y[:9]}, r"y must be numbers with as many rows as x, but is int64 \(9,\)$"),
        ({"x": X, "y": np.array(["a"] * 50)}, r"y must be numbers with as many rows as x, but is <U1"),
        ({"x": np.where(np.arange(50)[:, None] == 7, np.nan, X[:, 0]), "y": Y}, r"x must be finite, but row 7 is not$"),
        ({"x": X, "y": Y - 1}, r"y must hold classes from 0 on, but row 0 has -1$"),
        ({"x": X, "y": Y * 0 + 1}, r"y must hold two classes at least, but all training rows are of class 1$"),
        ({"x": X[..., None, None], "y": Y}, r"x must be \(n, D\), .* but is \(50, 6, 5, 1, 1\)$"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            r"the test split must have class numbers 0 … 2 as targets, but row 2 has 3$",
        ),
    ],
)
def test_arrays_that_are_none(tmp_path: Path, arrays: dict[str, Array], said: str) -> None:
    with pytest.raises(TaskError, match=said) as caught:
        tasks.get(saved(tmp_path, **arrays))
    assert "arrays.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"arrays\.npz cannot be read as npz.*: x.npy holds objects"):
        tasks.get(saved(tmp_path, x=np.array([{}], dtype=object), y=Y[:1]))
    (tmp_path / "arrays.npz").write_bytes(pickle.dumps(3))
    with pytest.raises(TaskError, match=r"arrays\.npz cannot be read as npz"):
        tasks.get(f"npz:{tmp_path}/arrays.npz")
