"""Leaders that are evaluated again with other seeds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import fmean

import pytest

from nas.analysis import leaderboard
from nas.searching.candidate import Candidate
from nas.searching.session import Session
from nas.study.attributes import recorded
from tests.helpers import scripted
from tests.helpers.sessions import trained, trials_of
from tests.helpers.topologies import kind_of

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
    assert not any("repeat" in recorded(trial) for trial in trials[:20])
    pairs = [(recorded(trial)["key"], recorded(trial)["seed"]) for trial in trials]
    assert len(set(pairs)) == 40  # never the same key with the same seed
    repeats = [trial for trial in trials if "repeat" in recorded(trial)]
    assert 6 <= len(repeats) <= 11  # every second one of the second half
    for trial in repeats:
        assert recorded(trial)["seed"] == 5 + recorded(trial)["repeat"] <= 7
        assert trial.params == next(t for t in trials if recorded(t)["key"] == recorded(trial)["key"]).params
    results: dict[str, list[float]] = {}
    for trial in trials:
        results.setdefault(recorded(trial)["key"], []).append(recorded(trial)["metrics"]["accuracy"])
    means = {key: sum(values) / len(values) for key, values in results.items()}
    best = max(means, key=lambda key: means[key])
    assert recorded(trials[again.run.winner])["key"] == best
    kept = {int(path.stem) for path in again.run.weights_folder.iterdir()}
    assert kept <= again.scores.numbers
    assert {trial.number for trial in trials if recorded(trial)["key"] == best} & kept
    board = leaderboard(again.run)
    assert board["key"][0] == best
    assert board["key"][0] == recorded(trials[again.run.winner])["key"]
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
    assert recorded(trials[repeat.number])["repeat"] == 1
    assert len({(recorded(trial)["key"], recorded(trial)["seed"]) for trial in trials}) == 20


# ------------------------------------------------------------------------------------------------------- repeats: auto


def adds(candidate: Candidate) -> int:
    return sum(kind_of(block) == "add" for block in candidate.topology.blocks)


def planted(session: Session, noise: float) -> list[Candidate]:
    """Train candidates whose accuracy grows with every `add`, with noise that follows from topology and seed."""
    done: list[Candidate] = []
    while (candidate := session.ask()) is not None:
        merit = adds(candidate) / 40
        chance = random.Random(f"{candidate.topology.key} {candidate.seed}").gauss(0, noise)
        session.tell(candidate, trained(candidate, curve=[{"epoch": 2, "accuracy": 0.5 + merit + chance}]))
        done.append(candidate)
    return done


@pytest.mark.parametrize("seed", range(3))
def test_auto_repeats_contenders_and_few_of_them_early(session: Make, seed: int) -> None:
    made = session(scripted.space(blocks=6, repeats="auto", seed=seed, objectives=["accuracy"]), trials=60)
    done = planted(made, noise=0.02)
    assert len(done) == 60
    repeated = [place for place, candidate in enumerate(done) if candidate.repeat]
    assert len(repeated) >= 5
    assert repeated[0] >= 8
    for place in range(42):  # before the last three tenths
        assert sum(one < place for one in repeated) <= 3 + 0.5 * math.sqrt(place / 60) * place
    of_all, of_repeats = (fmean(map(adds, some)) for some in (done, [done[place] for place in repeated]))
    assert of_repeats > of_all
    pairs = [(candidate.topology.key, candidate.seed) for candidate in done]
    assert len(set(pairs)) == 60
    assert all(candidate.seed == seed + candidate.repeat for candidate in done)


def test_auto_repeats_little_where_the_seed_does_not_matter(session: Make) -> None:
    made = session(scripted.space(blocks=6, repeats="auto", objectives=["accuracy"]), trials=60)
    assert 1 <= sum(candidate.repeat > 0 for candidate in planted(made, noise=0)) <= 3


def test_auto_repeats_nothing_where_there_is_one_result_for_every_seed(session: Make) -> None:
    made = session(scripted.space(blocks=6, repeats="auto", objectives=["accuracy"]), trials=40, seeded=False)
    assert not any(candidate.repeat for candidate in planted(made, noise=0.02))
