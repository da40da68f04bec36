"""The data frame of a run."""

from __future__ import annotations

import math

import pandas as pd
from optuna.trial import TrialState, create_trial

from nas.space.objectives import costs
from nas.study import Run
from nas.study import attributes as names
from nas.study.frame import COURSE, FACTS
from tests.helpers.runs import finished, topology


def test_a_frame_of_what_is_there(run: Run) -> None:
    finished(run, 0.75, 10, "add", "none", "concat", "none", baseline="mine", line="a line")
    run.study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={names.REASON: "diverged"}))
    run.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={names.CURVE: None, names.METRICS: 3}))
    run.study.enqueue_trial({"block01.skip": "add"})
    run.study.ask()
    frame = run.frame()
    assert list(frame["trial"]) == [0, 1, 2, 3]
    assert list(frame["state"]) == ["COMPLETE", "FAIL", "RUNNING", "WAITING"]
    row = frame.iloc[0].to_dict()
    ended = row.pop("ended")
    assert row.pop("started") <= ended
    assert pd.isna(row.pop("reason"))
    assert math.isnan(row.pop("latency"))
    made = topology("add", "none", "concat", "none")
    facts = {"trial": 0, "state": "COMPLETE", "baseline": "mine", "key": made.key, "line": "a line"}
    figures = {
        "accuracy": 0.75,
        "params": 10,
        "memory": 5,
        "flops": 3,
        "seconds": 1.5,
        "epochs": 2,
        "seed": 7,
        "reused": None,
    }
    curve = [{"epoch": 1, "accuracy": 0.375}, {"epoch": 2, "accuracy": 0.75}]
    assert row == facts | figures | {"curve": curve, "topology": made.to_dict(), "proxies": None}
    assert frame["reason"][1] == "diverged"
    assert frame["accuracy"][1:].isna().all()
    assert [list(curve) for curve in frame["curve"][1:]] == [[], [], []]
    assert math.isnan(frame["params"][2])


def test_the_frame_of_an_empty_run_has_its_columns(run: Run) -> None:
    frame = run.frame()
    assert len(frame) == 0
    assert [*frame.columns] == [*FACTS, "accuracy", *costs(), *COURSE]


def test_what_should_be_a_text_and_is_none_is_missing(run: Run) -> None:
    odd = {names.KEY: ["a"], names.LINE: {"b": 1}, names.BASELINE: 3, names.REASON: [None]}
    finished(run, 0.75, 10, "add", "none", "concat", "none", **odd)
    row = run.frame().iloc[0]
    assert all(pd.isna(row[name]) for name in ("key", "line", "baseline", "reason"))
