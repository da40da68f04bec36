"""The tables of a study, read directly: Optuna itself needs a quarter of a minute for 10,000 trials.

They are private to Optuna, which numbers their schema; tests/study/test_tables.py compares every trial with what Optuna
reads. The tables can be written by anybody, and a disk can fail: what is damaged is found trial by trial.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from nas.errors import message_of
from nas.study.attributes import CANDIDATE, OUTCOME
from nas.study.database import Rows, Select

SCHEMAS = ("v3.2.0.a",)  # of Optuna 3.2 to 5.0: those that the queries fit
OWN = f"a.key IN ('{CANDIDATE}', '{OUTCOME}')"
# a trial of another program, or of a version that recorded as user attributes
FOREIGN = f"""NOT EXISTS (SELECT 1 FROM trial_system_attributes o
              WHERE o.trial_id = t.trial_id AND o.key = '{CANDIDATE}')"""
ENDED = "t.state IN ('COMPLETE', 'PRUNED', 'FAIL')"
INFINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class TrialRows(NamedTuple):
    """The rows of the trials of a study; those of all tables but the first begin with the identifier of the trial.

    trials    identifier, number, state, when it began, when it ended
    values    number of the objective, value, kind of the value
    noted     system attributes: name, JSON
    shown     user attributes: name, JSON
    params    name, value, distribution as JSON
    reported  intermediate values: step, value, kind of the value
    """

    trials: Rows
    values: Rows
    noted: Rows
    shown: Rows
    params: Rows
    reported: Rows


class DamagedTrial(NamedTuple):
    """A trial that cannot be read: its identifier, its name ("trial 12"), and what is wrong with it."""

    identity: int
    name: str
    reason: str


def schema_of(select: Select) -> str:
    """Return the version of the tables."""
    return ", ".join(str(version) for (version,) in select("SELECT version_num FROM alembic_version"))


def study_of(select: Select, name: str) -> tuple[int, int] | None:
    """Return the identifier of the study of that name, and the number of its objectives; None if there is none."""
    found = select("SELECT s.study_id FROM studies s WHERE s.study_name = :name", name=name)
    if not found:
        return None
    [(objectives,)] = select("SELECT count(*) FROM study_directions d WHERE d.study_id = :study", study=found[0][0])
    return found[0][0], objectives


def attribute_of(select: Select, study: int, name: str, table: str) -> object:
    """Return an attribute of a study, None if it has none; `table` is "system" or "user". Raises ValueError."""
    sql = f"SELECT a.value_json FROM study_{table}_attributes a WHERE a.study_id = :study AND a.key = :name"
    found = select(sql, study=study, name=name)
    return json.loads(found[0][0]) if found else None


def rows_of(select: Select, study: int, first: int, whole: bool) -> TrialRows:
    """Return the rows of the trials of a study whose identifier is `first` or larger.

    whole  whether all rows are wanted, and not only those of records: the attributes of nas.study.attributes, no
           parameters, and intermediate values only of trials that have not ended
    """

    def of(columns: str, table: str, condition: str = "") -> Rows:
        sql = f"SELECT a.trial_id, {columns} FROM trial_{table} a JOIN trials t ON t.trial_id = a.trial_id"
        return select(f"{sql} WHERE {within}{condition}", study=study, first=first)

    within = "t.study_id = :study AND t.trial_id >= :first"
    about = "t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete"
    params = "a.param_name, a.param_value, a.distribution_json"
    return TrialRows(
        select(f"SELECT {about} FROM trials t WHERE {within} ORDER BY t.trial_id", study=study, first=first),
        of("a.objective, a.value, a.value_type", "values"),
        of("a.key, a.value_json", "system_attributes", "" if whole else f" AND {OWN}"),
        of("a.key, a.value_json", "user_attributes", "" if whole else f" AND {FOREIGN}"),
        of(params, "params", " ORDER BY a.param_id") if whole else (),
        of(
            "a.step, a.intermediate_value, a.intermediate_value_type",
            "intermediate_values",
            "" if whole else f" AND NOT {ENDED}",
        ),
    )


def trials_of(rows: TrialRows, objectives: int) -> tuple[list[FrozenTrial], list[DamagedTrial]]:
    """Return the trials in the order of their identifiers, and those that are damaged."""
    trials: list[FrozenTrial] = []
    damaged: list[DamagedTrial] = []
    with _without_garbage_collection():
        parts = [_by_trial(table) for table in rows[1:]]
        for row in rows.trials:
            try:
                trials.append(_trial(row, objectives, *(part.get(row[0], ()) for part in parts)))
            except ERRORS as error:
                name = f"trial {row[1]}" if isinstance(row[1], int) else f"the trial with the identifier {row[0]}"
                reason = message_of(error, 200) or type(error).__name__
                damaged.append(DamagedTrial(row[0], name, reason))
    return trials, damaged


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Put off the search for unused cycles: there are none, and among a million new objects it takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _by_trial(rows: Rows) -> dict[int, list[Any]]:
    """Return identifier → the rows of that trial."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found


def _trial(
    row: Any, objectives: int, values: Rows, noted: Rows, shown: Rows, params: Rows, reported: Rows
) -> FrozenTrial:
    """Return the trial with these rows. Raises one of ERRORS if they are damaged."""
    identity, number, state, started, ended = row
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"its number is {number!r}")
    if state not in TrialState.__members__:
        raise ValueError(f"its state {str(state)[:40]!r} is unknown")
    known = {int(objective): _number(value, kind) for _, objective, value, kind in values}
    if known.keys() != set(range(len(known))) or (state == "COMPLETE" and len(known) != objectives):
        raise ValueError(f"it has values of the objectives {[*known]}, but there are {objectives}")
    distributions = {name: _distribution(text) for _, name, _, text in params}
    return FrozenTrial(
        number=number,
        state=TrialState[state],
        value=None,
        values=[known[place] for place in range(len(known))] or None,
        datetime_start=_local_time(started),
        datetime_complete=_local_time(ended),
        params={name: distributions[name].to_external_repr(value) for _, name, value, _ in params},
        distributions=distributions,
        user_attrs={name: _json(name, text) for _, name, text in shown},
        system_attrs={name: _json(name, text) for _, name, text in noted},
        intermediate_values={int(step): _number(value, kind) for _, step, value, kind in reported},
        trial_id=identity,
    )


def _number(value: object, kind: object) -> float:
    """Return a value as Optuna stores it: what is not finite is a kind and no value."""
    if kind in INFINITE:
        return INFINITE[str(kind)]
    if kind != "FINITE" or not isinstance(value, int | float):
        raise ValueError(f"a value of it is {value!r}, {kind}")
    return float(value)


@functools.lru_cache(maxsize=10_000)
def _distribution(text: str) -> BaseDistribution:
    """Return a distribution; trials share it."""
    return json_to_distribution(text)


def _json(name: str, text: str) -> Any:
    try:
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # half of a character, which no text in UTF-8 can hold, is replaced
            content = json.loads(json.dumps(content, ensure_ascii=False).encode(errors="replace"))
        return content
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"its attribute {str(name)[:40]} is no JSON") from None


def _local_time(stored: str | datetime | None) -> datetime | None:
    """Return the local time, without a zone, of a time that Optuna stores in UTC, without a zone as well."""
    if stored is None:
        return None
    known = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return known.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
