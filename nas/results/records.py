"""Check what an evaluator gives, where it enters the search: its code may be anybody's.

A record is {"epoch": the number of an epoch, metric: number, …}, and so is what is measured, without the epoch. What is
no such record makes the candidate fail; numbers that are not finite pass, because that is how a training diverges.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import numbers
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nas.errors import CandidateError, message_of, quoted

if TYPE_CHECKING:
    from nas.topology import Topology

Record = dict[str, int | float]

MOST_NUMBERS = 100  # in a record
MOST_RECORDS = 100_000  # of one candidate
LONGEST_NAME = 100
LAST_EPOCH = 2**31 - 1  # the largest whole number that every storage of Optuna holds
LARGEST = 1e50  # of a number: the variance of squares of it can still be computed
EXACT = 2**53  # from here on a float has no place for every whole number, nor has JSON
# names by which a step of Ray Tune or the search itself says something about a training
RESERVED = frozenset(
    {
        *("record", "end", "reason", "gpu_memory", "busy", "device", "place", "measured"),
        *("done", "should_checkpoint", "checkpoint_dir_name", "config", "trial_id", "date", "timestamp", "pid"),
        *("hostname", "node_ip", "training_iteration", "timesteps_this_iter", "timesteps_total", "time_this_iter_s"),
        *("time_total_s", "time_since_restore", "timesteps_since_restore", "iterations_since_restore"),
        *("episodes_this_iter", "episodes_total", "__duplicate__", "__trial_info__", "experiment_tag"),
    }
)


class Evaluates(Protocol):
    """Whatever evaluates a topology, epoch by epoch."""

    def start(self, topology: Topology, *, seed: int) -> Iterator[Any]:
        """Yield a record of every epoch."""


def checked_records(
    evaluator: Evaluates, topology: Topology, seed: int, checkpoint: bytes | None = None
) -> Iterator[Record]:
    """Evaluate the topology and yield its records, checked; one without an epoch is numbered, from 1.

    checkpoint  what the evaluator goes on from, if it can

    Closing this iterator closes that of the evaluator. Raises CandidateError at the first record that is none, and
    whatever the evaluator raises.
    """
    begin = {} if checkpoint is None else {"checkpoint": checkpoint}
    records = evaluator.start(topology, seed=seed, **begin)
    try:
        for number, record in enumerate(records, 1):
            if number > MOST_RECORDS:
                raise CandidateError(f"a candidate has at most {MOST_RECORDS:,} records, but more were given")
            yield checked_record(record, number)
    finally:
        with contextlib.suppress(Exception):  # what the end of a candidate raises must not meet the next one
            getattr(records, "close", lambda: None)()


def checked_record(record: object, number: int) -> Record:
    """Return the record of an epoch as plain Python numbers; its epoch is `number` unless it says another one.

    Raises CandidateError that names the metric.
    """
    known = {"epoch": number} | checked_numbers(record)
    epoch = known["epoch"]
    if not 0 <= epoch <= LAST_EPOCH or epoch != int(epoch):
        raise CandidateError(f"epoch must be a whole number from 0 to {LAST_EPOCH}, but got {quoted(epoch)}")
    for name in RESERVED.intersection(known):
        raise CandidateError(f"a metric must have another name than {name!r}, which the search uses itself")
    return known | {"epoch": int(epoch)}


def checked_numbers(given: object) -> Record:
    """Return {name: number} with plain Python numbers. Raises CandidateError that names the first that is none."""
    if not isinstance(given, Mapping):
        raise CandidateError(f"a result must be {{metric: number}}, but got {quoted(given)}")
    try:
        pairs = [(name, value) for name, value in itertools.islice(given.items(), MOST_NUMBERS + 1)]
    except Exception as error:  # noqa: BLE001  # the mapping may be of anybody's class
        raise CandidateError(f"a result cannot be read: {type(error).__name__}: {message_of(error)}") from None
    if len(pairs) > MOST_NUMBERS:
        raise CandidateError(f"a result must hold at most {MOST_NUMBERS} numbers, but holds more")
    return {_name(name): _number(name, value) for name, value in pairs}


def _name(name: object) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        rule = f"must be a word of at most {LONGEST_NAME} printable characters"
        raise CandidateError(f"the name of a metric {rule}, but got {quoted(name)}")
    return str.__str__(name)


def _number(name: str, value: object) -> int | float:
    """Return a number of any library as Python's. Raises CandidateError if it is none or too large."""
    try:
        number = _plain(value)
    except OverflowError:  # a whole number beyond all floats
        number = sys.float_info.max
    except Exception as error:  # noqa: BLE001  # the object may be of anybody's class
        raise CandidateError(f"{name} must be a number, but got {quoted(value)}: {message_of(error, 100)}") from None
    if number is None:
        raise CandidateError(f"{name} must be a number, but got {quoted(value)}")
    if LARGEST < abs(number) < math.inf:
        raise CandidateError(f"{name} must be from {-LARGEST:g} to {LARGEST:g}, but got {quoted(value)}")
    return number


def _plain(value: Any) -> int | float | None:
    """Return the number that a value is, also an array or a tensor of one number; None for everything else."""
    if isinstance(value, int):
        whole = int.__int__(value)
        return None if isinstance(value, bool) else whole if abs(whole) <= EXACT else float(whole)
    is_complex = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
    return None if is_complex or not hasattr(type(value), "__float__") else float.__float__(float(value))
