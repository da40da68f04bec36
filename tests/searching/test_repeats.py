"""Leaders that are evaluated again with other seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.analysis import leaderboard
from nas.searching.candidate import Candidate
from nas.searching.session import Session
from tests.helpers import scripted
from tests.helpers.sessions import trained, trials_of

Make = Callable[..., Session]


def noisy(session: Session, count: int = 10**6) -> list[Candidate]:
    """Train candidates whose accuracy depends on the seed as well."""
    done: list[Candidate] = []
    while len(done) < count and (candidate := session.ask()) is not None:
        noise = int(candidate.topology.key[-4:], 16) * (candidate.seed + 1) % 7 / 100
        outcome = trained(candidate, curve=[{"epoch": 2, "accuracy": scripted.accuracy(candidate.topology) - noise}])
        session.tell(candidate, outcome, lambda: b"weights")
        done.append(candidate)
    return done


def test_leaders_are_evaluated_again_with_other_seeds(session: Make) -> None:
    space = scripted.space(blocks=6, repeats=3, seed=5)
    first = noisy(session(space, trials=40), 27)
    again = session(resume=True, trials=40)
    done = first + noisy(again)
    trials = trials_of(again)
    assert len(done) == len(trials) == 40
    assert not any("repeat" in trial.user_attrs for trial in trials[:20])
    pairs = [(trial.user_attrs["key"], trial.user_attrs["seed"]) for trial in trials]
    assert len(set(pairs)) == 40  # never the same key with the same seed
    repeats = [trial for trial in trials if "repeat" in trial.user_attrs]
    assert 6 <= len(repeats) <= 11  # every second one of the second half
    for trial in repeats:
        assert trial.user_attrs["seed"] == 5 + trial.user_attrs["repeat"] <= 7
        assert trial.params == next(t for t in trials if t.user_attrs["key"] == trial.user_attrs["key"]).params
    results: dict[str, list[float]] = {}
    for trial in trials:
        results.setdefault(trial.user_attrs["key"], []).append(trial.user_attrs["metrics"]["accuracy"])
    means = {key: sum(values) / len(values) for key, values in results.items()}
    best = max(means, key=lambda key: means[key])
    assert trials[again.run.winner].user_attrs["key"] == best
    kept = {int(path.stem) for path in again.run.weights_folder.iterdir()}
    assert kept <= again.scores.numbers
    assert {trial.number for trial in trials if trial.user_attrs["key"] == best} & kept
    board = leaderboard(again.run)
    assert board["key"][0] == best
    assert list(board["accuracy"]) == pytest.approx([means[key] for key in board["key"]])
    assert list(board["seeds"]) == [len(results[key]) for key in board["key"]]
    assert board["sd"].notna().tolist() == [len(results[key]) > 1 for key in board["key"]]


def test_a_repeat_that_was_interrupted_is_resumed(session: Make) -> None:
    made = session(scripted.space(repeats=2), trials=20)
    noisy(made, 10)
    begun = [made.ask(), made.ask()]
    repeat = next(candidate for candidate in begun if candidate is not None and candidate.repeat)
    again = session(resume=True, trials=20)
    noisy(again)
    trials = trials_of(again)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 20
    assert trials[repeat.number].user_attrs["repeat"] == 1
    assert len({(trial.user_attrs["key"], trial.user_attrs["seed"]) for trial in trials}) == 20
