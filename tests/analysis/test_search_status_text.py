"""The status of a search in a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from nas.analysis.search_status import DEAD, OVER, SEARCHING, STARTING, STOPPED, SearchStatus, Standing, TrainingStatus
from nas.analysis.search_status_text import last_words, status_dict, status_view
from nas.space.quantities import unit
from nas.study.pulse import Pulse

PULSE = Pulse(host="node-17", pid=4711, alive=datetime(2026, 1, 5, 9, 30, tzinfo=UTC), slots=8, gpu=True)
BEST, BASELINE = Standing(14, "", 0.9722), Standing(2, "resnet", 0.9597)
RUNNING = tuple(
    TrainingStatus(
        trial=20 + place,
        name="plain" if place == 1 else "",
        skips="++·&³ +~·· ++++ ++++ ++++",
        params=34570,
        node=f"gpu-{place}",
        slots=1 + place,
        epoch=4,
        epochs=8,
        value=0.8123,
        seconds=62.0,
        seconds_left=62.0,
    )
    for place in range(3)
)
STATUS = SearchStatus(
    run="digits-20260105-093000",
    task="digits",
    metric="accuracy",
    unit=unit("share"),
    state=SEARCHING,
    started="2026-01-05T09:30:00",
    asked=60,
    ended=24,
    counts={"COMPLETE": 20, "PRUNED": 3, "FAIL": 5, "REFUSED": 2, "RUNNING": 3, "WAITING": 4},
    reused=0,
    saved=6,
    causes={"out of memory": 3, "diverged": 2},
    best=BEST,
    challenger=BEST,
    baseline=BASELINE,
    ahead=0.0125,
    running=RUNNING,
    spent=3.4,
    left=5.1,
    seconds_left=750.0,
    pulse=PULSE.model_copy(update={"utilisation": 0.93}),
    silence=3.0,
)


def drawn(width: int, most: int | None = None, **changes: Any) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(status_view(dataclasses.replace(STATUS, **changes), width, most))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_view_at_three_widths() -> None:
    for width in (60, 80, 120):
        text = drawn(width)
        assert max(map(len, text.splitlines())) <= width
        words = " ".join(text.replace("·", " ").split())
        for told in (
            "digits-20260105-093000",
            "24/60 12m 30s left",
            "20 finished 3 stopped early 5 failed 3 running 4 waiting 2 refused (over the limits) 6 saved",
            "3 out of memory 2 diverged",
            "97.22% accuracy trial 14; 1.25 points better than resnet (95.97%)",
            "3.4 GPU-hours spent about 5.1 left 8 slots 93% busy",
            "4711 on node-17 last sign of life 3s ago",
            "81.23%",
        ):
            assert told in words, (width, told)
    assert "21 plain gpu-1 ×2 4/8 81.23% 1m 02s 1m 02s 34.6k ++·&³ +~·· ++++ ++++ ++++" in " ".join(drawn(120).split())
    assert "params" not in drawn(60)


def test_a_baseline_may_be_the_best() -> None:
    words = " ".join(drawn(120, best=BASELINE, ahead=-0.0125, challenger=Standing(14, "", 0.9472)).split())
    assert "95.97% accuracy trial 2, the baseline resnet; the best candidate, trial 14, is 1.25 points worse" in words
    assert ";" not in drawn(120, best=BASELINE, challenger=None, ahead=None)
    assert "better" not in drawn(120, baseline=None, ahead=None)


def test_a_table_longer_than_the_screen_is_cut() -> None:
    assert "and 2 more" in " ".join(drawn(80, most=1).split())


def test_a_search_of_which_nothing_is_known() -> None:
    nothing: dict[str, Any] = {"best": None, "challenger": None, "baseline": None, "ahead": None, "left": None}
    nothing |= {"running": (), "counts": {}, "causes": {}, "pulse": None, "silence": None, "seconds_left": None}
    text = drawn(80, state=STARTING, ended=0, spent=0.0, saved=0, **nothing)
    assert "0/60  starting" in text and "0 finished" in text and "nothing was trained yet" in text
    for told in ("best", "time", "process", "failed"):
        assert told not in text


def test_a_short_search_counts_minutes() -> None:
    assert "6.0 GPU-minutes spent  ·  about 12.0 left" in drawn(100, spent=0.1, left=0.2)


def test_a_dead_search_is_called_so() -> None:
    sentence = (
        "no sign of life for 4m 00s: the search has ended without a word; "
        "nas search --resume digits-20260105-093000 goes on"
    )
    dead = dataclasses.replace(STATUS, state=DEAD, silence=240.0)
    assert last_words(dead) == sentence
    text = drawn(130, state=DEAD, silence=240.0)
    assert sentence in text and "dead" in text and "busy" not in text


@pytest.mark.parametrize(
    ("state", "ended", "sentence"),
    [
        (SEARCHING, None, None),
        (STOPPED, None, "the search has stopped; nas search --resume digits-20260105-093000 goes on"),
        (STOPPED, "interrupted", "interrupted; nas search --resume digits-20260105-093000 goes on"),
        (STOPPED, "interrupted; nas search --resume it goes on", "interrupted; nas search --resume it goes on"),
        (OVER, "every topology of the space was tried", "every topology of the space was tried"),
        (OVER, None, "all trials are finished"),
    ],
)
def test_how_a_search_ended(state: str, ended: str | None, sentence: str | None) -> None:
    pulse = PULSE.model_copy(update={"ended": ended})
    assert last_words(dataclasses.replace(STATUS, state=state, pulse=pulse)) == sentence


def test_json_holds_all_of_it() -> None:
    data = json.loads(json.dumps(status_dict(STATUS), allow_nan=False))
    assert data["state"] == "searching"
    assert (data["asked"], data["ended"], data["finished"], data["refused"]) == (60, 24, 20, 2)
    assert data["running"][1]["name"] == "plain" and data["running"][1]["seconds_left"] == 62.0
    assert data["best"] == {"trial": 14, "name": "", "expected": 0.9722}
    assert (data["best_baseline"]["name"], data["ahead"]) == ("resnet", 0.0125)
    assert (data["resource"], data["hours_spent"], data["hours_left"]) == ("GPU", 3.4, 5.1)
    assert (data["last_sign"], data["silence"], data["host"], data["slots"]) == (
        "2026-01-05T09:30:00Z",
        3,
        "node-17",
        8,
    )
    assert status_dict(dataclasses.replace(STATUS, pulse=None, silence=None))["host"] is None
    for key in data:
        assert key in (status_dict.__doc__ or ""), f"{key} is not documented"
