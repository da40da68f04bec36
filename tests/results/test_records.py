"""What an evaluator gives is checked where it enters: numbers of any library pass, all else is one plain line."""

from __future__ import annotations

import fractions
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import CandidateError, message_of, quoted
from nas.results.records import MOST_NUMBERS, checked_numbers, checked_record, checked_records
from tests.helpers.result_tasks import NETWORK


class Lies(dict[str, Any]):
    """A mapping that is another one whenever it is read."""

    def items(self) -> Any:
        return iter([("accuracy", 0.5), "no pair"])


class Endless(dict[str, Any]):
    def items(self) -> Any:
        return ((f"m{number}", 0.5) for number in itertools.count())


class Raises:
    def __float__(self) -> float:
        raise RuntimeError("no number\nfor you")

    def __repr__(self) -> str:
        raise RuntimeError("no text either")


class Word(str):
    """A text that claims to be another one."""

    def __str__(self) -> str:
        return "\ud800"


def nested(depth: int) -> Any:
    value: Any = 0.5
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (0.5, 0.5),
        (7, 7),
        (-(2**53), -(2**53)),
        (10**30, 1e30),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array(0.25), 0.25),
        (torch.tensor(0.25), 0.25),
        (torch.tensor([2]), 2.0),
        (fractions.Fraction(1, 4), 0.25),
        (math.inf, math.inf),
    ],
)
def test_numbers_of_any_library_become_plain_ones(given: Any, number: float) -> None:
    [(name, value)] = checked_numbers({Word("accuracy"): given}).items()
    assert (type(name), name) == (str, "accuracy")
    assert type(value) in (int, float)
    assert value == number


def test_a_number_that_is_none_stays_so_because_that_is_how_trainings_diverge() -> None:
    assert math.isnan(checked_numbers({"accuracy": math.nan})["accuracy"])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (0.5, "a result must be {metric: number}, but got 0.5"),
        ("x" * 10**8, "a result must be {metric: number}, but got 'xxx"),
        (nested(10_000), "a result must be {metric: number}, but got [[[["),
        ({"accuracy": 10**400}, "accuracy must be from -1e+50 to 1e+50, but got a whole number of 401 digits"),
        ({"accuracy": 10**5000}, "but got a whole number of 5001 digits"),
        ({"accuracy": -1.7e308}, "accuracy must be from -1e+50 to 1e+50, but got -1.7e+308"),
        ({"accuracy": True}, "accuracy must be a number, but got True"),
        ({"accuracy": 1j}, "accuracy must be a number, but got 1j"),
        ({"accuracy": np.complex64(1)}, "accuracy must be a number, but got np.complex64"),
        ({"accuracy": "0.5"}, "accuracy must be a number, but got '0.5'"),
        ({"accuracy": "y" * 10**8}, "accuracy must be a number, but got 'yyy"),
        ({"accuracy": None}, "accuracy must be a number, but got None"),
        ({"accuracy": {"top1": 0.5}}, "accuracy must be a number, but got {'top1': 0.5}"),
        ({"accuracy": nested(10_000)}, "accuracy must be a number, but got [[[["),
        ({"accuracy": np.zeros(3)}, "accuracy must be a number, but got array([0., 0., 0.])"),
        ({"accuracy": torch.zeros(2, 2)}, "accuracy must be a number, but got tensor"),
        ({"accuracy": Raises()}, "no number for you"),
        ({"accuracy": b"0.5"}, "accuracy must be a number, but got b'0.5'"),
        ({"a\nb": 0.5}, "printable characters, but got 'a\\nb'"),
        ({"\ud800": 0.5}, "printable characters, but got '\\ud800'"),
        ({"\x1b[2J": 0.5}, "printable characters, but got '\\x1b[2J'"),
        ({"": 0.5}, "the name of a metric must be a word"),
        ({"n" * 10**8: 0.5}, "at most 100 printable characters, but got 'nnn"),
        ({3: 0.5}, "printable characters, but got 3"),
        ({"done": 0.5}, "a metric must have another name than 'done', which the search uses itself"),
        ({"epoch": -1}, "epoch must be a whole number from 0 to 2147483647, but got -1"),
        ({"epoch": 1.5}, "epoch must be a whole number from 0 to 2147483647, but got 1.5"),
        ({"epoch": math.nan}, "epoch must be a whole number from 0 to 2147483647, but got nan"),
        ({"epoch": 2**31}, "epoch must be a whole number from 0 to 2147483647, but got 2147483648"),
        ({f"m{number}": 0.5 for number in range(10**6)}, f"at most {MOST_NUMBERS} numbers, but holds more"),
        (Endless(), f"at most {MOST_NUMBERS} numbers, but holds more"),
        (Lies(), "a result cannot be read: ValueError"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
)
def test_everything_else_is_one_line(record: Any, said: str) -> None:
    with pytest.raises(CandidateError) as caught:
        checked_record(record, 1)
    message = str(caught.value)
    assert said in message
    assert len(message) < 300
    assert message.isprintable()


class Scripted:
    """Yields what it was made with, and notes that it was closed."""

    def __init__(self, *records: Any) -> None:
        self.records, self.closed = records, False

    def start(self, topology: Any, *, seed: int) -> Iterator[Any]:
        try:
            yield from self.records
        finally:
            self.closed = True
            raise RuntimeError("it does not like to be closed")


def test_records_without_an_epoch_are_numbered_and_the_evaluator_is_closed() -> None:
    made = Scripted({"accuracy": 0.1}, {"accuracy": 0.2, "epoch": 5.0}, {"accuracy": 0.3})
    records = checked_records(made, NETWORK, 0)
    assert [next(records), next(records)] == [{"epoch": 1, "accuracy": 0.1}, {"epoch": 5, "accuracy": 0.2}]
    records.close()  # type: ignore[attr-defined]
    assert made.closed


def test_an_evaluator_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.results.records.MOST_RECORDS", 10)
    made = Scripted(*({"accuracy": 0.1} for _ in range(20)))
    with pytest.raises(CandidateError, match="at most 10 records"):
        list(checked_records(made, NETWORK, 0))


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no message")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines \x1b[31mred\ud800"), "two lines [31mred"),
        (ValueError("x" * 10**8), "x" * 300),
        (ValueError(Word("fine")), ""),
        (Silent(), ""),
        (KeyError(), ""),
    ],
    ids=["signs", "long", "surrogate", "silent", "empty"],
)
def test_the_message_of_any_exception_is_one_printable_line(error: BaseException, said: str) -> None:
    assert message_of(error) == said


def test_any_value_can_be_quoted() -> None:
    assert quoted(Raises()).startswith("<Raises instance at")
    assert quoted((1, 2)) == "[1, 2]"
    assert quoted("z" * 100) == "'" + "z" * 56 + "..."
    assert len(quoted({"a": ["b" * 10**6] * 1000}, 80)) == 80
