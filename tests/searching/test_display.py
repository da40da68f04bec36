"""The progress of a search in figures, and its display."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nas.searching import display as displays
from nas.searching.candidate import Candidate
from nas.searching.outcome import TrialOutcome
from nas.searching.progress import Progress
from nas.space import SearchSpace
from nas.study.writer import TrialHandle, resolved
from tests.helpers import scripted


def candidates(space: SearchSpace, count: int) -> list[Candidate]:
    made = []
    for number, (_, topology) in zip(range(count), space.points(), strict=False):
        predicted = scripted.price(topology)
        made.append(Candidate(topology, 0, predicted, handle=resolved(TrialHandle(number + 1, number))))
    return made


def outcome(accuracy: float, busy: float = 2.0) -> TrialOutcome:
    return TrialOutcome([{"epoch": 2, "accuracy": accuracy}], True, None, {"busy": busy})


def test_a_line_for_every_candidate() -> None:
    space, stream = scripted.space(), io.StringIO()
    first, second, third = candidates(space, 3)
    first.baseline = "plain"
    progress = Progress(space, 3, 0, 2)
    with displays.make_display(progress, "mine", stream) as display:
        for observer in (progress, display):
            observer.ended(first, "COMPLETE", None, outcome(0.9))
        for observer in (progress, display):
            observer.ended(second, "FAIL", "diverged: no", TrialOutcome())
        progress.refused(third)
        display.ending = "interrupted"
    assert stream.getvalue().splitlines() == [
        "mine: 3 candidates, up to 2 at a time",
        f"[0/3] trial 0  finished: accuracy 0.9000  1,000 params  2.0s  plain: {first.topology.describe()}",
        f"[1/3] trial 1  failed: diverged: no  1,100 params  0.0s  {second.topology.describe()}",
        "mine: interrupted; 1 finished, 1 failed, 1 not trained (over the limits)",
    ]


def test_utilisation_is_time_in_training_over_time_on_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("nas.searching.progress.time.monotonic", lambda: now)
    space = scripted.space()
    progress = Progress(space, 4, 0, 2)
    first, second = candidates(space, 2)
    assert progress.utilisation() == 0
    progress.epoch_ended(first, {"epoch": 1, "accuracy": 0.1}, 10.0)  # from 90 to 100
    progress.epoch_ended(second, {"epoch": 1, "accuracy": 0.1}, 5.0)  # from 95 to 100
    assert progress.utilisation() == pytest.approx(15 / 20)
    now = 110.0
    assert progress.utilisation(now) == pytest.approx(35 / 40)  # both are being trained
    progress.epoch_ended(first, {"epoch": 2, "accuracy": 0.2}, 8.0)
    progress.ended(first, "COMPLETE", None, outcome(0.2))
    assert progress.utilisation() == pytest.approx(23 / 40)
    assert progress.seconds_left(now) == pytest.approx(20 / 1.5 * 2.5)


def test_a_candidate_of_two_slots_keeps_both_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.searching.progress.time.monotonic", lambda: 100.0)
    space, stream = scripted.space(), io.StringIO()
    progress = Progress(space, 4, 0, 4)
    first, second = candidates(space, 2)
    first.slots = 2
    progress.epoch_ended(first, {"epoch": 1, "accuracy": 0.1}, 10.0)
    progress.epoch_ended(second, {"epoch": 1, "accuracy": 0.1}, 5.0)
    assert progress.utilisation() == pytest.approx(25 / 40)
    assert progress.utilisation(110.0) == pytest.approx(55 / 80)
    for observer in (progress, displays.LineDisplay(progress, "mine", stream)):
        observer.retried(first, "out of memory, alone now: no more")
    assert stream.getvalue() == "trial 0  once more: out of memory, alone now: no more\n"
    assert list(progress.running) == [second]
    assert progress.utilisation(110.0) == pytest.approx(35 / 80)


def test_the_live_view_at_three_widths() -> None:
    space = scripted.space()
    progress = Progress(space, 20, 0, 2)
    made = candidates(space, 14)
    made[0].baseline = "plain"
    progress.epoch_ended(made[0], {"epoch": 2, "accuracy": 0.9}, 1.0)
    progress.ended(made[0], "COMPLETE", None, outcome(0.9))
    progress.ended(made[1], "PRUNED", None, outcome(0.95))
    progress.ended(made[2], "FAIL", "diverged", TrialOutcome())
    for candidate in made[3:]:
        progress.epoch_ended(candidate, {"epoch": 1, "accuracy": 0.5}, 1.0)
    progress.refused(made[3])
    for width in (40, 80, 200):
        stream = io.StringIO()
        console = Console(file=stream, width=width, force_terminal=True, color_system=None)
        console.print(displays.LiveDisplay(progress, "mine", stream))
        lines = stream.getvalue().splitlines()
        assert len(lines) == 13
        assert max(map(len, lines)) <= width
    text = stream.getvalue()
    counts = "1 finished  ·  1 stopped early  ·  1 failed  ·  11 running  ·  1 over the limits"
    for words in ("mine", "2/20", "left", counts):
        assert words in text
    for words in ("1/2  0.5000", "and 3 more", "plain 0.9000", "best  0.9000  1,000 params  plain: "):
        assert words in text


def test_a_file_gets_lines() -> None:
    progress = Progress(scripted.space(), 1, 0, 1)
    assert type(displays.make_display(progress, "mine", io.StringIO())) is displays.LineDisplay
    assert type(displays.make_display(progress, "mine", None)) is displays.LineDisplay


def test_lines_about_candidates_in_training_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("nas.searching.display.time.monotonic", lambda: now)
    space, stream = scripted.space(), io.StringIO()
    progress = Progress(space, 60, 3, 4)
    display = displays.LineDisplay(progress, "mine", stream)
    made = candidates(space, 5)

    def epoch(candidate: Candidate, number: int, value: float) -> None:
        for observer in (progress, display):
            observer.epoch_ended(candidate, {"epoch": number, "accuracy": value}, 10.0)

    epoch(made[0], 1, 0.8123)
    now = 131.0
    epoch(made[1], 1, 0.5)
    now = 140.0
    epoch(made[1], 2, 0.6)
    progress.ended(made[1], "COMPLETE", None, outcome(0.6))
    assert stream.getvalue().splitlines() == [
        "3 of 60 finished, 2 running (epoch 1 of 2 · 0.8123, epoch 1 of 2 · 0.5000)"
    ]
    now = 161.0
    for candidate in made[2:]:
        epoch(candidate, 1, 0.7)
    last = stream.getvalue().splitlines()[-1]
    assert last.startswith("4 of 60 finished, 2 running (epoch 1 of 2 · 0.8123, epoch 1 of 2 · 0.7000), about ")
    now = 192.0
    epoch(made[2], 2, 0.75)
    assert ", …), about " in stream.getvalue().splitlines()[-1]
    assert len(stream.getvalue().splitlines()) == 3


@pytest.mark.parametrize(
    ("address", "words"),
    [(None, "mine: starting Ray …"), ("h:1", "mine: connecting to Ray at h:1 …")],
)
def test_the_first_line_is_there_at_once(address: str | None, words: str) -> None:
    stream = io.StringIO()
    with displays.starting("mine", address, stream):
        assert stream.getvalue() == f"{words}\n"
    with displays.starting("mine", address, None):
        pass
