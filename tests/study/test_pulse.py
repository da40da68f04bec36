"""The pulse of a search: written and read back, and what it says of a search that is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from nas.study import Run
from nas.study.pulse import NAME, Pulse, RunningTrial, attribute, read, together, write

NOW = datetime(2026, 1, 5, 9, 30, 7, tzinfo=UTC)
PULSE = Pulse(
    host="node-17",
    pid=4711,
    alive=NOW,
    every=5,
    slots=8,
    gpu=True,
    utilisation=0.93,
    seconds_left=750.5,
    running=(RunningTrial(trial=14, node="node-17"), RunningTrial(trial=15, node="node-18", slots=2)),
)


def study_of(run: Run) -> int:
    return run.storage.get_study_id_from_name(run.study_name)


def test_a_pulse_is_read_as_it_was_written(run: Run) -> None:
    assert read(run.storage, study_of(run)) is None
    write(run.storage, study_of(run), PULSE)
    assert read(run.storage, study_of(run)) == PULSE
    assert read(Run(run.path).storage, study_of(run)) == PULSE
    assert "nas:pulse" not in run.study.user_attrs


def test_its_time_is_written_in_utc_to_the_second(run: Run) -> None:
    there = NOW.replace(microsecond=900_000).astimezone(timezone(timedelta(hours=2)))
    write(run.storage, study_of(run), PULSE.model_copy(update={"alive": there}))
    assert run.storage.get_study_system_attrs(study_of(run))[NAME]["alive"] == "2026-01-05T09:30:07Z"


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        "alive",
        [],
        {},
        {"host": "h", "pid": 1, "alive": "yesterday"},
        {"host": "h", "pid": 1, "alive": "2026-01-05T09:30:07"},  # of no time zone
        {"host": ["h"], "pid": 1, "alive": "2026-01-05T09:30:07Z"},
        {"host": "h", "pid": -1, "alive": "2026-01-05T09:30:07Z"},
        {"host": "h", "pid": 1, "alive": "2026-01-05T09:30:07Z", "utilisation": 7},
        {"host": "h", "pid": 1, "alive": "2026-01-05T09:30:07Z", "seconds_left": "soon"},
        {"host": "h", "pid": 1, "alive": "2026-01-05T09:30:07Z", "running": [{"node": "h"}]},
        {"host": "h", "pid": 1, "alive": "2026-01-05T09:30:07Z", "slots_per_gpu": 0},
    ],
)
def test_what_is_no_pulse_is_none(run: Run, content: Any) -> None:
    run.storage.set_study_system_attr(study_of(run), NAME, content)
    assert read(run.storage, study_of(run)) is None


def test_what_is_no_json_is_none(run: Run) -> None:
    write(run.storage, study_of(run), PULSE)
    with run.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE study_system_attributes SET value_json = '{' WHERE key = 'nas:pulse'")
    assert read(run.storage, study_of(run)) is None


def test_text_is_printable_and_short() -> None:
    pulse = PULSE.model_copy(update={"host": "n"})
    again = Pulse.model_validate(pulse.model_dump() | {"host": "a\x1b[2Jb\nc", "ended": "x" * 1000})
    assert again.host == "a [2Jb c"
    assert len(again.ended or "") == 200


def test_a_search_is_dead_after_three_signs_or_a_minute() -> None:
    after = lambda seconds: NOW + timedelta(seconds=seconds)  # noqa: E731
    assert PULSE.is_alive(after(60))
    assert not PULSE.is_alive(after(61))
    slow = PULSE.model_copy(update={"every": 100.0})
    assert slow.is_alive(after(300))
    assert not slow.is_alive(after(301))
    assert PULSE.silence(after(240)) == 240
    assert PULSE.silence(after(-5)) == 0  # the clock of its machine is ahead
    assert not Pulse(host="h", pid=1, alive=datetime(2020, 1, 1, tzinfo=UTC)).is_alive()


def test_a_search_that_has_said_that_it_ended_is_not_alive() -> None:
    assert not PULSE.model_copy(update={"ended": "all trials are finished"}).is_alive(NOW)


def test_every_seat_has_a_pulse_of_its_own(run: Run) -> None:
    """The first has the name that the searches of older versions read and write."""
    assert attribute(0) == NAME
    for seat in range(3):
        write(run.storage, study_of(run), PULSE.model_copy(update={"pid": seat}), seat)
    assert [(found := read(run.storage, study_of(run), seat)) and found.pid for seat in range(4)] == [0, 1, 2, None]


def test_the_pulses_of_those_who_are_alive_are_one() -> None:
    other = PULSE.model_copy(
        update={
            "pid": 4712,
            "alive": NOW + timedelta(seconds=2),
            "slots": 2,
            "utilisation": 0.43,
            "seconds_left": 700.0,
            "running": (RunningTrial(trial=16, node="node-19"),),
        }
    )
    dead = PULSE.model_copy(update={"alive": NOW - timedelta(hours=1), "slots": 100})
    left = other.model_copy(update={"ended": "interrupted", "slots": 100})
    both = together([dead, PULSE, left, other], NOW)
    assert both is not None
    assert (both.pid, both.slots, both.seconds_left) == (4712, 10, 700.0)
    assert both.utilisation == pytest.approx(0.83)
    assert [one.trial for one in both.running] == [14, 15, 16]
    assert together([dead, PULSE], NOW) == PULSE
    assert together([dead, left], NOW) == left
    assert together([]) is None
