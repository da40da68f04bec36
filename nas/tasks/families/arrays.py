"""The task npz:PATH: arrays in a file that numpy.savez wrote.

The file holds x and y, which are divided by a fixed rule, or x_train, y_train, x_test, y_test and perhaps x_val, y_val.

x    images (n, H, W), (n, H, W, C) or (n, C, H, W), or rows of numbers (n, D)
y    integers are classes: one for each sample (n,) or for each pixel (n, H, W); floats (n,) or (n, k) are numbers to
     predict

x and floats in y are standardised by the training rows.
"""

from __future__ import annotations

import functools
import math
import zipfile
from pathlib import Path

import numpy as np

from nas.errors import TaskError, message_of, quoted
from nas.tasks.checking import check_splits, first_row
from nas.tasks.data_files import check_fits, checked_file
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.splitting import assign_shuffled, divide
from nas.tasks.standardise import standardised
from nas.tasks.task import Task

# the ending of an array's name → its split
NAMES = {"train": "train", "val": "validation", "test": "test"}
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npz(path: Path) -> Task:
    """Return the task of the arrays in a file that numpy.savez wrote. Raises TaskError if they are not valid."""
    splits = _load(path)
    x, y = splits.train.inputs, splits.train.targets  # type: ignore[union-attr]
    load, recipe = functools.partial(_load, path), _recipe(len(y))
    if y.dtype.kind == "f":
        outputs = 1 if y.ndim == 1 else y.shape[1]
        made = Task(f"npz:{path}", x.shape[1:], outputs, load, metric="r2", loss="squared_error", recipe=recipe)
    else:
        classes = int(y.max()) + 1
        if len(np.unique(y)) < 2:
            raise TaskError(f"{path}: y must hold two classes at least, but all training rows are of class {y.flat[0]}")
        metric = "accuracy" if y.ndim == 1 else "mean_iou"
        made = Task(f"npz:{path}", x.shape[1:], classes, load, metric, recipe=recipe)
    check_splits(splits, made)
    return made


TASKS = {"npz": npz}


def _recipe(samples: int) -> Recipe:
    return Recipe(epochs=20, batch_size=max(1, min(128, samples // 8)))


def _load(path: Path) -> Splits:
    """Return the three splits, standardised. Raises TaskError that names the array, and the row if one is wrong."""
    arrays = _arrays(path)
    if {"x", "y"} <= arrays.keys():
        x, y = _pair(path, arrays, "x", "y")
        return _standardised(divide(x, y, _assign(y)))
    names = {name: full for name, full in NAMES.items() if f"x_{name}" in arrays}
    pairs = {full: _pair(path, arrays, f"x_{name}", f"y_{name}") for name, full in names.items()}
    if not {"train", "test"} <= pairs.keys():
        found = ", ".join(arrays)
        raise TaskError(f"{path} must hold x and y, or x_train, y_train, x_test and y_test, but has {found}"[:300])
    if "validation" not in pairs:
        x, y = pairs.pop("train")
        held = _assign(y) == "validation"
        pairs |= {"train": (x[~held], y[~held]), "validation": (x[held], y[held])}
    return _standardised(Splits(**{name: Split(*pair) for name, pair in pairs.items()}))


def _assign(y: Array) -> Array:
    """Assign every row to a split; stratify by class if y holds one class for each row."""
    return assign_shuffled(y if y.ndim == 1 and y.dtype.kind != "f" else np.zeros(len(y)))


def _arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of the file; objects in it, which would have to be unpickled, are refused.

    What the headers say is compared with the sizes of the members first: numpy would allocate what they promise.
    """
    checked_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            check_fits(sum(member.file_size for member in members), path)
            for member in members:
                _check_header(archive, member)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if f"{name}.npy" in {one.filename for one in members}}
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001  # a damaged file makes zipfile, zlib and numpy raise anything
        reason = message_of(error, 150) or type(error).__name__
        raise TaskError(f"{path} cannot be read as npz, the file that numpy.savez writes: {reason}") from None


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise ValueError unless an array has the size that its header says, and holds no objects."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{member.filename} has version {version} of numpy's format, but must have 1.0 or 2.0")
        shape, _, dtype = HEADERS[version](file)
        size = math.prod(shape) * dtype.itemsize + file.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds objects, which would have to be unpickled")
    if size != member.file_size:
        said = f"{quoted(shape)} of {dtype}: {quoted(size)} bytes"
        raise ValueError(f"{member.filename} must be as large as its header says, {said}, but has {member.file_size}")


def _pair(path: Path, arrays: dict[str, Array], x_name: str, y_name: str) -> tuple[Array, Array]:
    """Return x (n, *input), images with the channels first, and y; raise TaskError unless both are valid."""
    if y_name not in arrays:
        raise TaskError(f"{path} has {x_name} but no {y_name}")
    x, y = arrays[x_name], arrays[y_name]
    for name, array in ((x_name, x), (y_name, y)):
        if array.dtype.kind not in "fiub" or array.ndim == 0 or len(array) != len(x) or not len(x):
            rows = f"as many rows as {x_name}" if name == y_name else "rows"
            raise TaskError(f"{path}: {name} must be numbers with {rows}, but is {array.dtype} {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise TaskError(f"{path}: {name} must be finite, but row {first_row(~np.isfinite(array))} is not")
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim not in (2, 4):
        raise TaskError(f"{path}: {x_name} must be (n, D), (n, H, W), (n, H, W, C) or (n, C, H, W), but is {x.shape}")
    if y.dtype.kind != "f" and y.ndim > 1 and y.shape[1:] == (1,):
        y = y[:, 0]
    if y.dtype.kind != "f" and (wrong := y.astype(np.int64) < 0).any():
        got = f"row {first_row(wrong)} has {y[wrong].flat[0]}"
        raise TaskError(f"{path}: {y_name} must hold classes from 0 on, but {got}")
    return x, y if y.dtype.kind == "f" else y.astype(np.int64)


def _standardised(splits: Splits) -> Splits:
    """Standardise each channel, column and number to predict by its mean and deviation in the training split."""
    scales = _scale(splits.train.inputs)  # type: ignore[union-attr]
    y = splits.train.targets  # type: ignore[union-attr]
    y_scales = _scale(y) if y.dtype.kind == "f" else None
    return Splits(
        **{
            name: Split(
                standardised(split.inputs, *scales),
                split.targets if y_scales is None else standardised(split.targets, *y_scales),
            )
            for name, split in vars(splits).items()
        }
    )


def _scale(values: Array) -> tuple[Array, Array]:
    """Return the mean and the deviation of each channel or column, the deviation 1 where all values are equal."""
    axes = (0, *range(2, values.ndim))
    deviation = values.std(axes, keepdims=True, dtype=np.float64)
    return values.mean(axes, keepdims=True, dtype=np.float64), np.where(deviation == 0, 1, deviation)
