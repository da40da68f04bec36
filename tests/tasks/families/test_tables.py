"""Tables: scikit-learn's own, and files of one's own with all that is wrong in them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from nas import tasks
from nas.errors import TaskError
from nas.tasks import Splits


def whole(splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    parts = [splits.train, splits.validation, splits.test]
    return np.concatenate([part.inputs for part in parts]), np.concatenate([part.targets for part in parts])


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_they_are_scikit_learns(name: str) -> None:
    task = tasks.get(name)
    theirs = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    inputs, targets = whole(task.load())
    assert inputs.shape == theirs.data.shape == (len(targets), *task.input)
    for ours, column in zip(inputs.T, theirs.data.T, strict=True):  # every column, standardised, whatever the order
        assert np.corrcoef(np.sort(ours), np.sort(column))[0, 1] > 1 - 1e-6
    assert len(np.unique(targets)) == len(np.unique(theirs.target))
    assert (task.metric, task.outputs) == (("r2", 1) if name == "diabetes" else ("accuracy", len(theirs.target_names)))


def test_the_training_rows_are_standard() -> None:
    for name in ("wine", "diabetes"):
        train = tasks.get(name).load().train
        assert np.allclose(train.inputs.mean(0), 0, atol=1e-5) and np.allclose(train.inputs.std(0), 1, atol=1e-5)
        assert train.inputs.dtype == np.float32 and train.targets.dtype == (np.int64 if name == "wine" else np.float32)


def frame(rows: int = 60) -> pd.DataFrame:
    random = np.random.RandomState(0)
    return pd.DataFrame(
        {
            "age": random.randint(20, 80, rows),
            "weight": random.normal(70, 10, rows),
            "town": random.choice(["Bonn", "Cologne", "Aachen"], rows),
            "smokes": random.choice([True, False], rows),
            "same": 3,
            "outcome": random.choice(["ill", "well"], rows),
            "days": random.normal(10, 3, rows),
        }
    )


def written(folder: Path, data: pd.DataFrame | None = None) -> Path:
    path = folder / "patients.csv"
    (frame() if data is None else data).to_csv(path, index=False)
    return path


def test_every_column_becomes_numbers(tmp_path: Path) -> None:
    path = written(tmp_path)
    task = tasks.get(f"csv:{path}?target=outcome")
    assert task.input == (1 + 1 + 3 + 2 + 1,) and task.outputs == 2 and task.metric == "accuracy"
    inputs, targets = whole(task.load())
    assert set(np.unique(inputs[:, 2:7])) == {0, 1} and (inputs[:, 2:5].sum(1) == 1).all() and set(targets) == {0, 1}
    assert [note for note in task.notes if "same" in note] == [
        f"{path}: column 'same' is left out: its training rows are all the same"
    ]


def test_a_number_to_predict(tmp_path: Path) -> None:
    path = written(tmp_path)
    task = tasks.get(f"csv:{path}?target=days")
    assert (task.metric, task.loss, task.outputs, task.direction) == ("r2", "squared_error", 1, "maximize")
    assert abs(task.load().train.targets.mean()) < 1e-6
    assert "the target is standardised; it is 9." in task.notes[-1]
    assert tasks.get(f"csv:{path}?target=age").metric == "r2"  # many whole numbers
    classes = frame().assign(outcome=np.arange(60) % 3)
    assert tasks.get(f"csv:{written(tmp_path, classes)}?target=outcome").outputs == 3
    assert tasks.get(f"csv:{path}?target=outcome&kind=numbers").metric == "r2"


def test_missing_values_are_handled_and_reported(tmp_path: Path) -> None:
    data = frame()
    data.loc[::4, "weight"] = np.nan
    data.loc[::5, "town"] = None
    path = written(tmp_path, data)
    task = tasks.get(f"csv:{path}?target=outcome")
    assert task.input == (1 + 2 + 4 + 2 + 1,)
    assert any("'weight': 15 missing values are" in note and "median" in note for note in task.notes)
    assert f"{path}: column 'town': 12 missing values are a word of their own" in task.notes
    assert np.isfinite(whole(task.load())[0]).all()


def test_what_is_learnt_of_a_column_is_learnt_from_training_rows(tmp_path: Path) -> None:
    """Other values in the test rows change no training row."""
    first = tasks.get(f"csv:{written(tmp_path)}?target=outcome").load()
    data, weights = frame(), whole(first)
    assert weights is not None
    test_ages = sorted(set(range(60)) - _rows_of(tmp_path, "train"))
    data.loc[test_ages, "weight"] *= 100
    again = tasks.get(f"csv:{written(tmp_path, data)}?target=outcome").load()
    assert np.array_equal(first.train.inputs, again.train.inputs)
    assert not np.array_equal(first.test.inputs, again.test.inputs)


def _rows_of(folder: Path, split: str) -> set[int]:
    """Which rows are in a split: the file again with the row's number as the only column."""
    path = folder / "numbered.csv"
    frame().assign(row=np.arange(60))[["row", "outcome"]].to_csv(path, index=False)
    train = tasks.get(f"csv:{path}?target=outcome").load()
    values = np.sort(whole(train)[0][:, 0])
    return {int(np.searchsorted(values, value)) for value in getattr(train, split).inputs[:, 0]}


def test_very_many_words_are_cut(tmp_path: Path) -> None:
    data = frame(600).assign(town=[f"town {row % 150}" for row in range(600)])
    task = tasks.get(f"csv:{written(tmp_path, data)}?target=outcome")
    assert task.input == (1 + 1 + 50 + 2 + 1,)
    assert any(re.search(r"the 50 most frequent of 1\d\d words are kept", note) for note in task.notes)


def test_parquet_says_the_same(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "patients.parquet")
    ours = tasks.get(f"parquet:{tmp_path}/patients.parquet?target=outcome").load()
    theirs = tasks.get(f"csv:{written(tmp_path)}?target=outcome").load()
    assert np.allclose(ours.train.inputs, theirs.train.inputs)


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    path = written(tmp_path, frame().rename(columns={"outcome": "a & b?"}))
    assert tasks.get(f"csv:{path}?target=a %26 b?").outputs == 2


@pytest.mark.parametrize(
    ("change", "query", "said"),
    [
        ({}, "", r"patients\.csv: \?target=COLUMN must be one of age, weight, town.*but got ''"),
        ({}, "?target=outcom", r"patients\.csv: \?target=COLUMN must be one of .*\(did you mean 'outcome'\?\)"),
        ({}, "?goal=outcome", r"^task csv must be written csv:PATH\?target=…&kind=…, but got"),
        ({}, "?target=outcome&kind=class", r"kind must be one of classes, numbers, but got 'class'"),
        ({"outcome": "ill"}, "?target=outcome", r"'outcome' must have two values at least, but is 'ill' in every row"),
        ({"outcome": {7: None}}, "?target=outcome", r"'outcome' must have a value in every row, but line 9 has none"),
        ({"days": {7: np.nan}}, "?target=days", r"'days' must have a value in every row, but line 9 has none"),
        ({"days": {7: np.inf}}, "?target=days", r"'days' must hold finite numbers, but line 9 has inf"),
        ({"weight": {3: -np.inf}}, "?target=days", r"'weight' must hold finite numbers, but line 5 has -inf"),
        ({}, "?target=outcome&kind=numbers", r"'outcome' must hold numbers, but line 2 has '(ill|well)'"),
        ({"outcome": [str(n) for n in range(60)]}, "?target=outcome&kind=classes", r"has 60 of them in 60 rows"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, change: dict[str, object], query: str, said: str) -> None:
    data = frame()
    for column, value in change.items():
        if isinstance(value, dict):
            for row, cell in value.items():
                data.loc[row, column] = cell
        else:
            data[column] = value
    if "kind=numbers" in query and not change:
        data["outcome"] = frame()["outcome"]
    path = written(tmp_path, data)
    with pytest.raises(TaskError, match=said) as caught, warnings.catch_warnings():
        tasks.get(f"csv:{path}{query}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"there is no file .*patients\.csv"),
        (b"", r"patients\.csv is empty"),
        (b"age,outcome\n", r"must have rows and two columns at least, but has 0 rows and 2 columns"),
        (b"a,b\n1,2\n1,2,3,4\n", r"cannot be read as csv: .*line 3"),
        (b"a,b\n\xff\xfe,2\n", r"patients\.csv cannot be read as csv"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "patients.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TaskError, match=said) as caught:
        tasks.get(f"csv:{path}?target=outcome")
    assert "\n" not in str(caught.value)
