"""Every fault of `make bench-faults`, once; and that its audit sees what it is to see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.faults import candidates
from benchmarks.faults.__main__ import measured
from benchmarks.faults.audit import audit
from benchmarks.faults.table import FAULTS
from benchmarks.faults.victim import Finished, Strike, Victim

QUICK = [name for name in FAULTS if name not in ("locked-long", "postgresql-long")]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_search_survives(name: str) -> None:
    fault = FAULTS[name]
    if name == "postgresql":
        from tests.helpers.postgresql import start_server

        start_server().remove()  # skips where there is none
    count, found = measured(fault, 1, 3, float("inf"))
    assert count >= 1
    assert not found.faulty, "\n".join(found.lines)


class Story(Victim):
    """A search that never was: its log and its record are what a test says."""

    def __init__(self, notes: list[tuple[str, str, float]], trials: dict[int, Finished], sick: str = "") -> None:
        super().__init__(0, trials=len(trials), sick=sick)
        lines = [{"what": what, "key": key, "seed": 0, "pid": 1, "time": time} for what, key, time in notes]
        self.log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        self.trials_told = trials

    def finished(self) -> dict[int, Finished]:
        return self.trials_told

    def trials_of_study(self) -> list[Any]:
        from optuna.trial import TrialState, create_trial

        return [create_trial(state=TrialState[one.state], value=one.value) for one in self.trials_told.values()]


HEALTHY, SICK = "0000010000000001", "0000020000000004"
COMPLETE = Finished("COMPLETE", HEALTHY, candidates.accuracy(HEALTHY), None)
NONE: frozenset[str] = frozenset()
WHOLE = [("began", HEALTHY, 1.0), ("ended", HEALTHY, 2.0)]


@pytest.mark.parametrize(
    ("notes", "trials", "strikes", "wrong"),
    [
        (WHOLE, {0: COMPLETE}, [], []),
        (WHOLE[:1] * 2 + WHOLE[1:], {0: COMPLETE}, [Strike(1.5, NONE, {})], []),  # it ran when it was struck
        (WHOLE[:1] * 2 + WHOLE[1:], {0: COMPLETE}, [Strike(2.5, NONE, {0: COMPLETE})], []),  # and ended in the strike
        (WHOLE[:1] * 2 + WHOLE[1:], {0: COMPLETE}, [Strike(2.5, frozenset({HEALTHY}), {0: COMPLETE})], ["twice"]),
        (WHOLE, {}, [Strike(2.5, NONE, {0: COMPLETE})], ["lost"]),
        (WHOLE[:1], {0: COMPLETE}, [], ["untrue"]),  # its training did not end
        (WHOLE, {0: COMPLETE._replace(value=0.5)}, [], ["untrue"]),
        (WHOLE, {0: COMPLETE._replace(state="FAIL", value=None, reason="lost")}, [], ["blamed"]),
    ],
)
def test_the_audit_sees_it(
    notes: list[tuple[str, str, float]], trials: dict[int, Finished], strikes: list[Strike], wrong: list[str]
) -> None:
    with Story(notes, trials) as story:
        story.strikes = strikes
        assert [line.partition(":")[0] for line in audit(story, frozenset(), 3).lines] == wrong


def test_a_sick_candidate_must_fail_for_its_reason() -> None:
    notes = [("began", SICK, 1.0)]
    for reason, wrong in (("error: ValueError: no", []), ("timed out: no", ["untrue"])):
        with Story(notes, {0: Finished("FAIL", SICK, None, reason)}, sick="exception") as story:
            assert [line.partition(":")[0] for line in audit(story, frozenset(), 3).lines] == wrong


def test_what_a_session_says_and_leaves_is_audited() -> None:
    with Story(WHOLE, {0: COMPLETE}) as story:
        (story.temporary / "nas-abc").mkdir()
        (story.temporary / "ray").mkdir()
        story.ends = [(0, "Traceback (most recent call last):\nValueError"), (-9, ""), (0, "all trials are finished")]
        found = audit(story, frozenset({2}), 3)
        assert (found.untrue, found.left, found.faulty) == (2, 1, 3)
