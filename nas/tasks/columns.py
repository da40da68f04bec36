"""Encode the columns of a table as numbers, by statistics of the training rows only. pandas is imported late.

A number is standardised; a missing number is replaced by the median, and one more column marks the rows where it was
missing. A word is one-hot encoded over the most frequent words; a missing word counts as a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import TaskError, expected
from nas.tasks.splits import Array, Splits
from nas.tasks.splitting import assign_shuffled, divide
from nas.tasks.standardise import standardised

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("classes", "numbers")
MOST_CLASSES = 20  # a target with more different integers is a number to predict
MOST_WORDS = 50  # the most one-hot columns that a column of words becomes
FIRST_LINE = 2  # the line of row 0 in a file with a header


@dataclass(frozen=True)
class EncodedTarget:
    """The column to predict: class numbers 0 … outputs−1, or floats if outputs is 1."""

    values: Array
    outputs: int


@dataclass(frozen=True)
class EncodedTable:
    """A whole table as numbers, and notes that say how it was converted."""

    splits: Splits
    outputs: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(map(len, vars(self.splits).values()))


def encode_target(column: pd.Series, kind: str, path: str) -> EncodedTarget:
    """Encode the target column; `kind` is one of KINDS or "" (by its values).

    Raises TaskError if `kind` does not fit the column, if a value is missing or if all values are equal.
    """
    from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

    if kind and kind not in KINDS:
        raise TaskError(f"{path}: {expected('kind', kind, KINDS)}")
    what = f"{path}: the target column {column.name!r}"
    missing = column.isna().to_numpy()
    if missing.any():
        raise TaskError(f"{what} must have a value in every row, but line {missing.argmax() + FIRST_LINE} has none")
    few = column.nunique() <= MOST_CLASSES
    if column.nunique() < 2:
        raise TaskError(f"{what} must have two values at least, but is {column.iloc[0]!r} in every row")
    number = is_numeric_dtype(column) and not is_bool_dtype(column)
    if kind == "numbers" and not number:
        raise TaskError(f"{what} must hold numbers, but line {FIRST_LINE} has {column.iloc[0]!r}")
    if kind == "classes" or not (number and (kind or not is_integer_dtype(column) or not few)):
        return EncodedTarget(_classes(column, what), column.nunique())
    values = column.to_numpy(np.float64)
    _check_finite(values, what)
    return EncodedTarget(values, 1)


def _classes(column: pd.Series, what: str) -> Array:
    """Return the number of each value in the sorted list of all values, from 0."""
    if column.nunique() > len(column) // 2:
        raise TaskError(f"{what} must hold classes, but has {column.nunique()} of them in {len(column)} rows")
    _, codes = np.unique(column.to_numpy() if column.dtype.kind in "iufb" else column.astype(str), return_inverse=True)
    return np.asarray(codes, np.int64)


def encode(frame: pd.DataFrame, target: EncodedTarget, path: str) -> EncodedTable:
    """Encode the columns as float32 (n, D) and divide the rows, stratified by class.

    Raises TaskError if a number is infinite or if no column remains.
    """
    regression = target.outputs == 1
    assignment = assign_shuffled(np.zeros(len(frame)) if regression else target.values)
    train = assignment == "train"
    columns: list[Array] = []
    notes: list[str] = []
    for name in frame.columns:
        for encodings, note in _encodings(frame[name], train, f"{path}: column {name!r}"):
            columns += encodings
            notes += [note] if note else []
    if not columns:
        raise TaskError(f"{path} must have a column besides the target whose values differ, but has none")
    values = target.values
    if regression:
        mean, deviation = values[train].mean(), values[train].std() or 1
        values = standardised(values, mean, deviation)
        notes.append(f"{path}: the target is standardised; it is {mean:g} + {deviation:g} × the network's output")
    return EncodedTable(
        divide(np.stack(columns, 1).astype(np.float32), values, assignment), target.outputs, tuple(notes)
    )


def _encodings(column: pd.Series, train: Array, what: str) -> Iterator[tuple[list[Array], str]]:
    """Yield the columns of numbers that a column becomes, each with a note for the owner of the data ("" for none)."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if column[train].nunique(dropna=False) < 2:
        yield [], f"{what} is left out: its training rows are all the same"
    elif is_numeric_dtype(column) and not is_bool_dtype(column):
        yield from _numbers(column.to_numpy(np.float64, na_value=np.nan), train, what)
    else:
        yield from _words(column, train, what)


def _numbers(values: Array, train: Array, what: str) -> Iterator[tuple[list[Array], str]]:
    """Encode a column of numbers: standardised, NaN replaced by the training median and marked in another column."""
    missing = np.isnan(values)
    _check_finite(np.where(missing, 0, values), what)
    if missing[train].all():
        yield [], f"{what} is left out: its training rows have no value"
        return
    if missing.any():
        median = float(np.median(values[train & ~missing]))
        yield (
            [missing.astype(np.float64)],
            f"{what}: {missing.sum()} missing values are {median:g}, the training median; another column says where",
        )
        values = np.where(missing, median, values)
    spread = values[train].std()
    yield [(values - values[train].mean()) / (spread or 1)], ""


def _words(column: pd.Series, train: Array, what: str) -> Iterator[tuple[list[Array], str]]:
    """Encode a column of words: one column of 0 and 1 for each of the most frequent training words."""
    missing = column.isna().to_numpy()
    words = np.where(missing, "(missing)", column.astype(str).to_numpy(dtype=object)).astype(str)
    known, counts = np.unique(words[train], return_counts=True)
    kept = known[np.argsort(-counts, kind="stable")][:MOST_WORDS]
    note = f"{what}: {missing.sum()} missing values are a word of their own" if missing.any() else ""
    if len(known) > len(kept):
        note = f"{what}: the {len(kept)} most frequent of {len(known)} words are kept" + (f"; {note}" if note else "")
    yield [(words == word).astype(np.float64) for word in sorted(kept)], note


def _check_finite(values: Array, what: str) -> None:
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise TaskError(f"{what} must hold finite numbers, but line {row + FIRST_LINE} has {values[row]}")
