"""A session without Ray: the candidates that it returns, those that count, and the trials of its study."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from optuna.trial import TrialState

from nas.sampling.named import SAMPLERS
from nas.searching.candidate import Candidate
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.searching.proposals import Proposer
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.space.settings import Sampler
from nas.study import Run
from nas.study.attributes import recorded
from nas.study.pareto import dominates
from nas.study.worker import Worker
from nas.topology import Topology
from tests.helpers import scripted
from tests.helpers.sessions import drive, trained, trials_of

Make = Callable[..., Session]


# ------------------------------------------------------------------------------------------------ asking for candidates


def test_a_search_ends_after_as_many_trials_as_asked(session: Make) -> None:
    made = session(trials=12)
    done = drive(made)
    assert len(done) == len({candidate.topology.key for candidate in done}) == 12
    assert made.ask() is None
    trials = trials_of(made)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    for trial, candidate in zip(trials, done, strict=True):
        topology = candidate.topology
        assert made.space.sample(optuna.trial.FixedTrial(trial.params)) == topology
        assert trial.values == [scripted.accuracy(topology), scripted.price(topology)["params"]]
        assert recorded(trial) == {
            "topology": topology.to_dict(),
            "line": topology.describe(),
            "key": topology.key,
            "seed": 0,
            "predicted": scripted.price(topology),
            "curve": trained(candidate).curve,
            "metrics": {"accuracy": scripted.accuracy(topology)},
            "measured": {"seconds": 1.0, "busy": 1.1},
        }


def test_no_more_are_running_than_are_wanted(session: Make) -> None:
    made = session(trials=3)
    running = [made.ask() for _ in range(4)]
    assert running[3] is None
    assert [trial.state.name for trial in trials_of(made)] == ["RUNNING"] * 3


def test_objectives_are_told_in_their_order(session: Make) -> None:
    objectives = ["seconds", "memory", "accuracy", "flops", "params"]
    made = session(scripted.space(objectives=objectives), trials=1)
    [candidate] = drive(made)
    price = scripted.price(candidate.topology)
    accuracy = scripted.accuracy(candidate.topology)
    assert trials_of(made)[0].values == [1.0, price["memory"], accuracy, price["flops"], price["params"]]


def test_a_slow_proposal_is_not_waited_for(session: Make) -> None:
    def slow(topology: Topology) -> dict[str, int]:
        time.sleep(0.3)
        return scripted.price(topology)

    made = session(predict_cost=slow)
    before = time.monotonic()
    assert made.ask(patience=0.01) is None
    assert time.monotonic() - before < 0.2
    assert made.ask() is not None


def test_the_next_proposal_is_ready_while_the_last_one_trains(session: Make) -> None:
    made = session()
    made.ask()
    time.sleep(0.5)
    before = time.monotonic()
    assert made.ask() is not None
    assert time.monotonic() - before < 0.02


# ----------------------------------------------------------------------------------------- no topology is trained twice


def test_a_small_space_is_exhausted(session: Make) -> None:
    made = session(scripted.space(blocks=3), trials=100)
    done = drive(made)
    assert len({candidate.topology.key for candidate in done}) == len(done) == 3**3
    assert made.exhausted == "the space is exhausted: every topology was tried"
    assert len(trials_of(made)) == 27


def test_an_exhaustive_search_follows_the_enumeration(session: Make) -> None:
    made = session(scripted.space(blocks=3, sampler="exhaustive"), trials=100)
    done = [candidate.topology for candidate in drive(made, 10)]
    again = session(resume=True, trials=100)
    done += [candidate.topology for candidate in drive(again)]
    assert done == list(made.space.enumerate())
    assert again.exhausted == "the space is exhausted: every topology was tried"


def test_a_space_ends_where_the_sampler_finds_nothing_new(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uniform samples, the rest of the space is enumerated, over many proposals."""
    monkeypatch.setattr("nas.searching.proposals.SAMPLED", 1)
    monkeypatch.setattr("nas.searching.proposals.DRAWN", 0)
    made = session(scripted.space(blocks=3, sampler="random"), trials=100)
    assert len({candidate.topology.key for candidate in drive(made)}) == 3**3


@pytest.mark.parametrize(
    ("name", "count"), [("random", 1000), pytest.param("exhaustive", 10**6, marks=pytest.mark.slow)]
)
def test_no_key_of_nas_bench_macro_is_trained_twice(name: str, count: int) -> None:
    space = SearchSpace.load("nas_bench_macro")
    proposer = Proposer(space, SAMPLERS[name](space, 0), scripted.price, [], 0)
    keys = []
    while len(keys) < count and (candidate := proposer.propose()) is not None:
        proposer.tell(candidate, TrialState.COMPLETE, [scripted.accuracy(candidate.topology), 1.0])
        keys.append(candidate.topology.key)
    assert len(keys) == len(set(keys)) == min(count, 3969)


def test_equal_topologies_are_trained_once(session: Make) -> None:
    """Identity blocks vanish: 3 and 4 of them compute the same function."""
    space = scripted.space().to_dict()
    identities = {"blocks": [2, 3, 4], "op": "identity", "skips": {"kinds": ["none"]}}
    space["network"]["stages"] = [identities, {"blocks": 1, "op": "basic", "width": 4}]
    made = session(SearchSpace.from_dict(space), trials=100)
    keys = {topology.key for topology in made.space.enumerate()}
    assert len(keys) < made.space.size()
    assert sorted(candidate.topology.key for candidate in drive(made)) == sorted(keys)


def test_proposals_of_known_topologies_are_counted(session: Make) -> None:
    made = session(scripted.space(blocks=2, sampler="random"), trials=6)
    drive(made)
    before = made.run.saved
    assert sum(recorded(trial).get("saved", 0) for trial in trials_of(made)) == before
    again = session(resume=True, trials=9)
    drive(again)
    assert again.run.saved > before > 0  # nine topologies, drawn at random


# ------------------------------------------------------------------------------------------------ results of other runs


def test_a_topology_that_another_run_finished_is_not_trained(session: Make, tmp_path: Path) -> None:
    other = Run.create(scripted.space(blocks=3, sampler="exhaustive", seed=7), "other", tmp_path)
    first = Session(other, scripted.price, 12)
    while (candidate := first.ask()) is not None:
        ends = {"failure": "error: no"} if candidate.number == 1 else {"full_budget": candidate.number != 2}
        first.tell(candidate, trained(candidate, **ends), lambda: b"weights")
    first.close()
    made = session(scripted.space(blocks=3, sampler="exhaustive", baselines=["plain"]), trials=20, reuse=[other])
    done = drive(made)
    trials = trials_of(made)
    assert len(trials) == 27 and len(done) == 17  # all but the ten that the other run finished
    assert made.finished == 17 and made.exhausted is not None
    reused = {trial.number: trial for trial in trials if "reused" in recorded(trial)}
    assert [recorded(trial)["reused"] for trial in reused.values()] == [
        {"run": "other", "trial": number} for number in range(12) if number not in (1, 2)
    ]
    theirs = {recorded(trial)["key"]: trial for trial in other.study.trials}
    for trial in reused.values():
        known = theirs[recorded(trial)["key"]]
        assert trial.state == TrialState.COMPLETE
        assert trial.values == known.values
        assert {n: recorded(trial)[n] for n in ("curve", "metrics", "measured")} == {
            n: recorded(known)[n] for n in ("curve", "metrics", "measured")
        }
    assert recorded(trials[0])["baseline"] == "plain" and 0 in reused
    assert made.run.saved == 10
    assert list(made.run.frame()["reused"].dropna()) == [f"other/{n}" for n in range(12) if n not in (1, 2)]
    assert len([t for t in made.proposer.sampler_study.study.trials if t.state == TrialState.COMPLETE]) == 27
    kept = {int(path.stem) for path in made.run.weights_folder.iterdir()}
    assert kept == made.scores.numbers & reused.keys()
    again = session(resume=True, trials=20)
    assert (again.finished, again.run.saved) == (17, 10)


# --------------------------------------------------------------------------------------------------------------- limits


def limited(limits: dict[str, int], **search: Any) -> SearchSpace:
    return SearchSpace.from_dict(scripted.space(**search).to_dict() | {"limits": limits})


def test_a_candidate_over_the_limits_is_recorded_but_neither_trained_nor_counted(session: Make) -> None:
    class Refusals(SearchObserver):
        seen: list[Candidate] = []  # noqa: RUF012  # one test

        def refused(self, candidate: Candidate) -> None:
            self.seen.append(candidate)

    made = session(limited({"params": 1250}), trials=12, observers=[Refusals()])
    done = drive(made)
    assert len(done) == 12
    assert all(candidate.predicted["params"] <= 1250 for candidate in done)
    refused = [trial for trial in trials_of(made) if trial.state == TrialState.FAIL]
    assert refused
    assert len(refused) == len(Refusals.seen)
    for trial in refused:
        params = recorded(trial)["predicted"]["params"]
        assert recorded(trial)["reason"] == f"over the limits: {params:,} params, 1,250 allowed"
        assert "curve" not in recorded(trial)
    again = session(resume=True, trials=12)
    assert again.finished == 12
    assert again.ask() is None


def test_a_space_with_nothing_within_the_limits_ends(session: Make) -> None:
    made = session(limited({"params": 10, "memory": 10}), trials=12)
    assert drive(made) == []
    assert made.exhausted == "the space is exhausted: every topology was tried"
    assert len(trials_of(made)) == 81
    assert "; " in recorded(trials_of(made)[0])["reason"]


def test_too_many_refusals_end_a_search(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.searching.prefetch.REFUSED_IN_A_ROW", 7)
    made = session(limited({"params": 10}), trials=12)
    assert made.ask() is None
    assert made.exhausted == "7 proposals in a row were over the limits"


def test_a_sampler_learns_from_refusals(session: Make) -> None:
    made = session(limited({"params": 1250}, sampler="tpe"), trials=5)
    drive(made)
    refused = [t for t in made.proposer.sampler_study.study.trials if any(v > 0 for v in t.constraints.values())]
    assert refused
    assert {trial.state for trial in refused} == {TrialState.PRUNED}
    known = [recorded(trial).get("key") for trial in trials_of(made)]
    again = session(resume=True, trials=5)
    assert len(again.proposer.sampler_study.study.trials) == len(known)
    remembered = [t for t in again.proposer.sampler_study.study.trials if any(v > 0 for v in t.constraints.values())]
    assert len(remembered) == len(refused)


# ------------------------------------------------------------------------------------------------------------- samplers


def test_the_language_knows_the_samplers() -> None:
    assert set(get_args(Sampler)) == set(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_searches_and_resumes(session: Make, name: str) -> None:
    drive(session(scripted.space(blocks=6, sampler=name), trials=16), 14)
    again = session(resume=True, trials=18)
    assert len(drive(again)) == 4
    assert len({recorded(trial)["key"] for trial in trials_of(again)}) == 18


@pytest.mark.parametrize("name", ["tpe", "random", "nsga2"])
def test_a_seed_repeats_a_search(tmp_path: Path, name: str) -> None:
    def keys(folder: str, seed: int) -> list[str]:
        run = Run.create(scripted.space(blocks=6, sampler=name, seed=seed), "run", tmp_path / folder)
        made = Session(run, scripted.price, 14)
        found = [candidate.topology.key for candidate in drive(made)]
        made.close()
        return found

    assert keys("a", 3) == keys("b", 3) != keys("c", 4)


def test_tpe_finds_what_random_does_not(tmp_path: Path) -> None:
    """Fewer skips are better here, which a model finds out soon."""

    def skips(name: str) -> float:
        run = Run.create(scripted.space(blocks=10, sampler=name, objectives=["params"]), name, tmp_path)
        made = Session(run, scripted.price, 60)
        late = drive(made)[-20:]
        made.close()
        return sum(sum(bool(block.skips) for block in candidate.topology.blocks) for candidate in late) / 20

    assert skips("tpe") < skips("random") - 2


# --------------------------------------------------------------------------------------------------- weights of leaders


def test_only_the_weights_of_leaders_are_kept(session: Make) -> None:
    made = session(trials=30)
    asked = []
    while (candidate := made.ask()) is not None:
        made.tell(candidate, trained(candidate), lambda n=candidate.number: (asked.append(n), b"%d" % n)[1])
    trials = trials_of(made)
    values = {trial.number: (-trial.values[0], trial.values[1]) for trial in trials}
    front = {n for n, v in values.items() if not any(dominates(other, v) for other in values.values())}
    kept = {int(path.stem): path.read_bytes() for path in made.run.weights_folder.iterdir()}
    assert kept == {number: b"%d" % number for number in front | {made.run.winner}}
    assert len(asked) < 30
    again = session(resume=True, trials=30)
    assert again.scores.numbers == set(kept)


# ------------------------------------------------------------------------------------------------- errors and observers


def test_a_cost_prediction_that_fails_ends_the_search_with_its_error(session: Make) -> None:
    def broken(topology: Topology) -> dict[str, int]:
        raise ZeroDivisionError("no cost")

    made = session(predict_cost=broken)
    with pytest.raises(ZeroDivisionError, match="no cost"):
        made.ask()
    with pytest.raises(ZeroDivisionError):
        made.close()
    made._prefetcher._worker = Worker("again")


def test_a_session_without_observers_is_silent(session: Make, capfd: pytest.CaptureFixture[str]) -> None:
    drive(session(scripted.space(sampler="tpe"), trials=20))
    assert capfd.readouterr() == ("", "")


def test_observers_receive_every_event(session: Make) -> None:
    events: list[str] = []

    class Listener(SearchObserver):
        def started(self, candidate: Candidate) -> None:
            events.append("started")

        def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
            events.append(state)

    drive(session(trials=2, observers=[Listener()]))
    assert events == ["started", "COMPLETE"] * 2
