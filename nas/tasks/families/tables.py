"""Tables: rows of numbers and words, one column of them to be predicted.

breast_cancer, wine and diabetes come with scikit-learn; csv:PATH?target=COLUMN and parquet:PATH?target=COLUMN are
one's own. The target is a class where it is a word, a yes or no, or one of at most twenty whole numbers, else a
number; `&kind=classes` or `&kind=numbers` says so. What was done to the columns stands in the task's notes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import TaskError, expected
from nas.tasks.columns import Table, encoded, target_of
from nas.tasks.recipe import Recipe
from nas.tasks.scikit_learn import data_file
from nas.tasks.splits import Array, Splits
from nas.tasks.splitting import divided, shuffled_turns
from nas.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd


def breast_cancer() -> Task:
    """30 measures of cell nuclei, benign or malignant (Wolberg et al. 1995); 569 rows."""
    load = functools.partial(_bundled, "breast_cancer", "breast_cancer.csv")
    return _task("breast_cancer", 30, 2, load, 569)


def wine() -> Task:
    """13 chemical measures of wines of three growers (Aeberhard & Forina 1991); 178 rows."""
    return _task("wine", 13, 3, functools.partial(_bundled, "wine", "wine_data.csv"), 178)


def diabetes() -> Task:
    """The course of diabetes in a year from 10 measures (Efron et al. 2004); 442 rows."""
    return _task("diabetes", 10, 1, _diabetes, 442)


def csv(path: Path, target: str = "", kind: str = "") -> Task:
    """A CSV file; `target` is the column to be predicted."""
    return _own("csv", path, target, kind)


def parquet(path: Path, target: str = "", kind: str = "") -> Task:
    """A parquet file; `target` is the column to be predicted."""
    return _own("parquet", path, target, kind)


TASKS = {"breast_cancer": breast_cancer, "wine": wine, "diabetes": diabetes, "csv": csv, "parquet": parquet}


def _own(family: str, path: Path, target: str, kind: str) -> Task:
    table = _read(family, path, target, kind)
    width, outputs = table.splits.train.inputs.shape[1], table.outputs  # type: ignore[union-attr]
    load = functools.partial(_splits, family, path, target, kind)
    return _task(f"{family}:{path}", width, outputs, load, len(table), notes=table.notes)


def _task(
    name: str, width: int, outputs: int, load: Callable[[], Splits], rows: int, notes: tuple[str, ...] = ()
) -> Task:
    """One output is a number to be predicted; of classes there are two at least."""
    recipe = Recipe(
        epochs=40,
        batch_size=max(1, min(128, rows // 16)),
        lr=0.05,
        weight_decay=1e-3,
        label_smoothing=0.0,
        grad_clip=1.0,
    )
    goal: dict[str, Any] = {"metric": "r2", "loss": "squared_error"} if outputs == 1 else {}
    return Task(name, (width,), outputs, load, recipe=recipe, notes=notes, **goal)


def _splits(family: str, path: Path, target: str, kind: str) -> Splits:
    return _read(family, path, target, kind).splits


def _read(family: str, path: Path, target: str, kind: str) -> Table:
    """The file, every column encoded. Raises TaskError that names the column and the line."""
    frame = _frame(family, path)
    if target not in frame.columns:
        known = [str(name) for name in frame.columns[:30]]
        raise TaskError(f"{path}: {expected('?target=COLUMN', target, known)}")
    return encoded(frame.drop(columns=target), target_of(frame[target], kind, str(path)), str(path))


def _frame(family: str, path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_csv(path) if family == "csv" else pd.read_parquet(path)
    except FileNotFoundError:
        raise TaskError(f"task {family}: there is no file {path}") from None
    except (OSError, ValueError, UnicodeError, ImportError) as error:  # pandas' and pyarrow's own are ValueErrors
        raise TaskError(f"{path} cannot be read as {family}: {' '.join(str(error).split())[:200]}") from None
    if not len(frame) or len(frame.columns) < 2:
        rows, columns = frame.shape
        raise TaskError(f"{path} must have rows and two columns at least, but has {rows} rows and {columns} columns")
    return frame


# ------------------------------------------------------------------------------------------------- scikit-learn's own


def _bundled(task: str, file: str) -> Splits:
    """A file whose first line counts, whose last column is the class."""
    table = np.loadtxt(data_file(task, file), delimiter=",", skiprows=1)
    labels = table[:, -1].astype(np.int64)
    parts = shuffled_turns(labels)
    return divided(_by_training(table[:, :-1], parts), labels, parts)


def _diabetes() -> Splits:
    inputs = np.loadtxt(data_file("diabetes", "diabetes_data_raw.csv.gz"))
    target = np.loadtxt(data_file("diabetes", "diabetes_target.csv.gz"))
    parts = shuffled_turns(np.zeros(len(target)))
    return divided(_by_training(inputs, parts), _by_training(target[:, None], parts)[:, 0], parts)


def _by_training(columns: Array, parts: Array) -> Array:
    """Each column with mean 0 and deviation 1 in the training split."""
    train = columns[parts == "train"]
    return np.asarray((columns - train.mean(0)) / train.std(0), np.float32)
