"""The state in which a trial ends, and the reason of a failure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.searching.session import Session
from nas.searching.trainable import reason_of
from nas.study.attributes import recorded
from tests.helpers import scripted
from tests.helpers.sessions import trained, trials_of

Make = Callable[..., Session]


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        ({}, "COMPLETE", None),
        ({"full_budget": False}, "PRUNED", None),
        ({"full_budget": False, "failure": "timed out: more than 2 s"}, "FAIL", "timed out: more than 2 s"),
        ({"full_budget": False, "failure": "out of memory", "curve": []}, "FAIL", "out of memory"),
        ({"curve": [{"epoch": 1, "accuracy": math.nan}]}, "FAIL", "diverged: accuracy is nan"),
        ({"curve": [{"epoch": 1, "accuracy": -math.inf}]}, "FAIL", "diverged: accuracy is -inf"),
        ({"curve": [{"epoch": 1, "accuracy": "high"}]}, "FAIL", "diverged: accuracy is 'high'"),
        ({"curve": [{"epoch": 1, "loss": 0.1}]}, "FAIL", "missing metric: no 'accuracy' was reported"),
        ({"curve": []}, "FAIL", "missing metric: no 'accuracy' was reported"),
        ({"full_budget": False, "curve": [{"epoch": 1, "accuracy": math.nan}]}, "FAIL", "diverged: accuracy is nan"),
    ],
)
def test_every_end_has_its_state_and_its_reason(
    session: Make, outcome: dict[str, Any], state: str, reason: str | None
) -> None:
    made = session(trials=1)
    candidate = made.ask()
    assert candidate is not None
    made.tell(candidate, trained(candidate, **outcome))
    [trial] = trials_of(made)
    assert trial.state.name == state
    assert recorded(trial).get("reason") == reason
    assert (trial.values is not None) == (state == "COMPLETE")
    assert made.finished == 1
    assert "curve" in recorded(trial)
    json.dumps(recorded(trial), allow_nan=False)


@pytest.mark.parametrize("objective", ["latency", "seconds"])
def test_an_objective_that_was_not_measured_is_a_failure(session: Make, objective: str) -> None:
    made = session(scripted.space(objectives=["accuracy", "params", objective]), trials=2)
    unmeasured, measured = made.ask(), made.ask()
    assert unmeasured is not None and measured is not None
    made.tell(unmeasured, trained(unmeasured, measured={"busy": 1.0}))
    made.tell(measured, trained(measured, measured={"busy": 1.0, objective: 0.25}))
    failed, complete = trials_of(made)
    assert failed.state == TrialState.FAIL
    assert recorded(failed)["reason"] == f"missing metric: no {objective!r} was measured"
    assert recorded(failed)["curve"] == trained(unmeasured).curve
    assert complete.state == TrialState.COMPLETE
    assert complete.values[2] == 0.25


def test_an_objective_is_not_needed_of_a_trial_that_was_stopped_early(session: Make) -> None:
    made = session(scripted.space(objectives=["accuracy", "latency"]), trials=1)
    candidate = made.ask()
    assert candidate is not None
    made.tell(candidate, trained(candidate, full_budget=False))
    [trial] = trials_of(made)
    assert (trial.state, recorded(trial).get("reason")) == (TrialState.PRUNED, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\n  lines"), "error: ValueError: two lines"),
        (KeyError(), "error: KeyError"),
        (MemoryError(), "out of memory"),
        (MemoryError("20 GiB"), "out of memory: 20 GiB"),
    ],
)
def test_an_error_is_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
