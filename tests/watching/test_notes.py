"""The notes of the dashboard: what they say, and that hostile names are text in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.study import Run
from nas.watching.notes import BOX, LONGEST, study_note, trial_note, wants_stop, without_stop
from tests.helpers import analysis_trials, scripted


def row(**changes: object) -> dict[str, object]:
    return analysis_trials.trial(7, analysis_trials.WINNER) | {"state": "COMPLETE", "reason": None} | changes


def test_a_note_has_the_diagram_the_costs_and_the_command() -> None:
    note = trial_note(row(accuracy=0.9123), analysis_trials.GOALS, "mine", "baseline resnet")
    assert note.startswith("**finished** · baseline resnet\n")
    assert "╭" in note and note.count("````") == 2
    assert "91.23%" in note and " MiB" in note
    assert note.endswith("as code: `nas export mine --trial 7`")


def test_a_failed_trial_says_why_and_has_no_command() -> None:
    note = trial_note(
        row(state="FAIL", reason="diverged: loss is nan", accuracy=float("nan")), analysis_trials.GOALS, "m"
    )
    assert note.startswith("**failed**: diverged: loss is nan")
    assert "nas export" not in note


@pytest.mark.parametrize("topology", [None, 7, {}, {"blocks": "no"}])
def test_a_damaged_topology_has_no_diagram(topology: object) -> None:
    assert "````" not in trial_note(row(topology=topology, line=None), analysis_trials.GOALS, "m")


HOSTILE = ["<script>alert(1)</script>", "````\n# title", "[x](javascript:alert(1))", "\x1b[31m", "x" * 10_000, "|a|b|"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_text(text: str) -> None:
    note = trial_note(row(reason=text, line=text), analysis_trials.GOALS, "m", text)
    assert len(note) <= LONGEST
    outside = "".join(note.split("````")[::2]) if note.count("````") == 2 else note
    plain = "".join(outside.split("`")[::2])  # without what stands as code
    assert "<script" not in plain and "\n#" not in plain and "\x1b" not in note and "[x](" not in plain
    assert note.count("````") in (0, 2)


def test_the_box_of_a_study_stops_the_search(tmp_path: Path) -> None:
    note = study_note(Run.create(scripted.space(), "mine", tmp_path))
    assert f"- [ ] {BOX}" in note and "`nas search --resume mine`" in note
    assert not wants_stop(note)
    for mark in ("[x]", "[X]", "[ x ]"):
        ticked = note.replace("[ ]", mark)
        assert wants_stop(ticked)
        assert not wants_stop(without_stop(ticked))
    assert not wants_stop("")
