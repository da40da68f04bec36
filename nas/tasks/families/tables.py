"""The tasks of tables: rows of numbers and words, and a column to predict, the target.

breast_cancer, wine, diabetes                         come with scikit-learn
csv:PATH?target=COLUMN, parquet:PATH?target=COLUMN    files of the user

The target is a class if it is a word, a yes or no, or one of at most twenty integers; otherwise it is a number.
`&kind=classes` or `&kind=numbers` overrides that. The notes of the task say how the columns were converted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import TaskError, expected, message_of, quoted
from nas.tasks.columns import EncodedTable, encode, encode_target
from nas.tasks.data_files import check_fits, checked_file, unpacked
from nas.tasks.recipe import Recipe
from nas.tasks.scikit_learn import data_file
from nas.tasks.splits import Array, Splits
from nas.tasks.splitting import assign_shuffled, divide
from nas.tasks.standardise import standardised
from nas.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 10_000


def breast_cancer() -> Task:
    """Return the task: 30 measures of cell nuclei, benign or malignant (Wolberg et al. 1995); 569 rows."""
    load = functools.partial(_bundled, "breast_cancer", "breast_cancer.csv")
    return _task("breast_cancer", 30, 2, load, 569)


def wine() -> Task:
    """Return the task: 13 chemical measures of wines of three growers (Aeberhard & Forina 1991); 178 rows."""
    return _task("wine", 13, 3, functools.partial(_bundled, "wine", "wine_data.csv"), 178)


def diabetes() -> Task:
    """Return the task: predict the course of diabetes in a year from 10 measures (Efron et al. 2004); 442 rows."""
    return _task("diabetes", 10, 1, _diabetes, 442)


def csv(path: Path, target: str = "", kind: str = "") -> Task:
    """Return the task of a CSV file; `target` is the column to predict, `kind` is classes or numbers.

    Raises TaskError if the file or an option is not valid.
    """
    return _own("csv", path, target, kind)


def parquet(path: Path, target: str = "", kind: str = "") -> Task:
    """Return the task of a parquet file; `target` is the column to predict, `kind` is classes or numbers.

    Raises TaskError if the file or an option is not valid.
    """
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
    """Return the task of a table: with one output a number is predicted, with more outputs a class."""
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


def _read(family: str, path: Path, target: str, kind: str) -> EncodedTable:
    """Read the file and encode every column. Raises TaskError that names the column and the line."""
    frame = _frame(family, path)
    if target not in frame.columns:
        known = [str(name) for name in frame.columns[:30]]
        raise TaskError(f"{path}: {expected('?target=COLUMN', target, known)}")
    return encode(frame.drop(columns=target), encode_target(frame[target], kind, str(path)), str(path))


def _frame(family: str, path: Path) -> pd.DataFrame:
    """Read a csv or parquet file. Raises TaskError if it cannot be read or has no rows or fewer than two columns."""
    import pandas as pd

    checked_file(path)
    content = unpacked(path) if family == "csv" else path
    try:
        frame = pd.read_csv(content) if family == "csv" else _parquet(path)
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001  # a damaged file makes pandas and pyarrow raise anything
        raise TaskError(f"{path} cannot be read as {family}: {message_of(error, 200)}") from None
    rows, columns = frame.shape
    if not rows or columns < 2:
        raise TaskError(f"{path} must have rows and two columns at least, but has {rows} rows and {columns} columns")
    if columns > MOST_COLUMNS:
        raise TaskError(f"{path} must have at most {MOST_COLUMNS:,} columns, but has {columns:,}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise TaskError(f"{path} must have columns of different names, but {quoted(twice)} is there twice")
    return frame


def _parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file, if what its header promises fits into memory and is no list or mapping."""
    import pandas as pd
    from pyarrow import parquet, types

    head = parquet.ParquetFile(path)
    check_fits(sum(head.metadata.row_group(group).total_byte_size for group in range(head.num_row_groups)), path)
    for column in head.schema_arrow:
        if types.is_nested(column.type):
            rule = f"{path}: column {quoted(column.name)} must hold numbers or words"
            raise TaskError(f"{rule}, but holds {column.type}"[:300])
    return pd.read_parquet(path)


# ------------------------------------------------------------------------------------------------- scikit-learn's own


def _bundled(task: str, file: str) -> Splits:
    """Read a file of scikit-learn: the first line is not data, the last column is the class."""
    table = np.loadtxt(data_file(task, file), delimiter=",", skiprows=1)
    labels = table[:, -1].astype(np.int64)
    assignment = assign_shuffled(labels)
    return divide(_standardised_by_training(table[:, :-1], assignment), labels, assignment)


def _diabetes() -> Splits:
    inputs = np.loadtxt(data_file("diabetes", "diabetes_data_raw.csv.gz"))
    target = np.loadtxt(data_file("diabetes", "diabetes_target.csv.gz"))
    assignment = assign_shuffled(np.zeros(len(target)))
    targets = _standardised_by_training(target[:, None], assignment)[:, 0]
    return divide(_standardised_by_training(inputs, assignment), targets, assignment)


def _standardised_by_training(columns: Array, assignment: Array) -> Array:
    """Return the columns, each with mean 0 and deviation 1 in the training split."""
    train = columns[assignment == "train"]
    return standardised(columns, train.mean(0), train.std(0))
