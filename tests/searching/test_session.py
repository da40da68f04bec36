"""A search as asking and telling, without Ray: what is proposed, what counts, and what the record says in the end."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from nas.analysis import leaderboard
from nas.errors import RunError
from nas.sampling.samplers import SAMPLERS
from nas.searching.proposals import Candidate, Proposer
from nas.searching.session import Outcome, Session, Watcher
from nas.searching.trainable import reason_of
from nas.space import SearchSpace
from nas.space.settings import Sampler
from nas.study import Run
from nas.study import attributes as names
from nas.study.leaders import Leaders, dominates
from nas.study.record import plain
from nas.study.reuse import check
from nas.study.worker import Worker
from nas.topology import Topology, references
from tests.helpers import scripted

optuna.logging.set_verbosity(optuna.logging.WARNING)
Make = Callable[..., Session]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Make]:
    """session(space, …): a new run, or with resume=True another session of the same."""
    made: list[Session] = []

    def make(space: SearchSpace | None = None, *, trials: int = 10, resume: bool = False, **options: Any) -> Session:
        for before in made:
            before.close()
        run = Run.open("run", tmp_path) if resume else Run.create(space or scripted.space(), "run", tmp_path)
        made[:] = [Session(run, options.pop("price", scripted.price), trials, **options)]
        return made[0]

    yield make
    for last in made:
        last.close()


def trained(candidate: Candidate, **changes: Any) -> Outcome:
    """What a training of the candidate gives."""
    accuracy = scripted.accuracy(candidate.topology)
    curve = [{"epoch": epoch, "accuracy": accuracy * epoch / 2, "seconds": 0.5} for epoch in (1, 2)]
    return Outcome(**({"curve": curve, "whole": True, "measured": {"seconds": 1.0, "busy": 1.1}} | changes))


def drive(session: Session, count: int = 10**6) -> list[Candidate]:
    """Train up to `count` candidates, one after the other."""
    done: list[Candidate] = []
    while len(done) < count and (candidate := session.ask()) is not None:
        session.tell(candidate, trained(candidate))
        done.append(candidate)
    session.record.flush()
    return done


def record(session: Session) -> list[optuna.trial.FrozenTrial]:
    session.record.flush()
    return session.run.study.get_trials()


# ------------------------------------------------------------------------------------------- what is asked for


def test_a_search_ends_after_as_many_trials_as_asked(session: Make) -> None:
    made = session(trials=12)
    done = drive(made)
    assert len(done) == len({candidate.topology.key for candidate in done}) == 12
    assert made.ask() is None
    trials = record(made)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    for trial, candidate in zip(trials, done, strict=True):
        topology = candidate.topology
        assert made.space.sample(optuna.trial.FixedTrial(trial.params)) == topology
        assert trial.values == [scripted.accuracy(topology), scripted.price(topology)["params"]]
        assert trial.user_attrs == {
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
    assert [trial.state.name for trial in record(made)] == ["RUNNING"] * 3


def test_objectives_are_told_in_their_order(session: Make) -> None:
    objectives = ["seconds", "memory", "accuracy", "flops", "params"]
    made = session(scripted.space(objectives=objectives), trials=1)
    [candidate] = drive(made)
    price = scripted.price(candidate.topology)
    accuracy = scripted.accuracy(candidate.topology)
    assert record(made)[0].values == [1.0, price["memory"], accuracy, price["flops"], price["params"]]


def test_a_slow_proposal_is_not_waited_for(session: Make) -> None:
    def slow(topology: Topology) -> dict[str, int]:
        time.sleep(0.3)
        return scripted.price(topology)

    made = session(price=slow)
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


# --------------------------------------------------------------------------------------------------- never twice


def test_a_small_space_is_exhausted(session: Make) -> None:
    made = session(scripted.space(blocks=3), trials=100)
    done = drive(made)
    assert len({candidate.topology.key for candidate in done}) == len(done) == 3**3
    assert made.over == "the space is exhausted: every topology was tried"
    assert len(record(made)) == 27


def test_an_exhaustive_search_goes_in_turn(session: Make) -> None:
    made = session(scripted.space(blocks=3, sampler="exhaustive"), trials=100)
    done = [candidate.topology for candidate in drive(made, 10)]
    again = session(resume=True, trials=100)
    done += [candidate.topology for candidate in drive(again)]
    assert done == list(made.space.enumerate())
    assert again.over == "the space is exhausted: every topology was tried"


def test_a_space_ends_where_the_sampler_finds_nothing_new(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without drawing, what is left is proposed in turn, over many proposals."""
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
    while len(keys) < count and (candidate := proposer.next()) is not None:
        proposer.tell(candidate, TrialState.COMPLETE, [scripted.accuracy(candidate.topology), 1.0])
        keys.append(candidate.topology.key)
    assert len(keys) == len(set(keys)) == min(count, 3969)


def test_equal_topologies_are_trained_once(session: Make) -> None:
    """Identity blocks vanish: 3 and 4 of them are one function."""
    space = scripted.space().to_dict()
    identities = {"blocks": [2, 3, 4], "op": "identity", "skips": {"kinds": ["none"]}}
    space["network"]["stages"] = [identities, {"blocks": 1, "op": "basic", "width": 4}]
    made = session(SearchSpace.from_dict(space), trials=100)
    keys = {topology.key for topology in made.space.enumerate()}
    assert len(keys) < made.space.size()
    assert sorted(candidate.topology.key for candidate in drive(made)) == sorted(keys)


def test_proposals_of_what_is_known_are_counted(session: Make) -> None:
    made = session(scripted.space(blocks=2, sampler="random"), trials=6)
    drive(made)
    before = made.run.saved
    assert sum(trial.user_attrs.get("saved", 0) for trial in record(made)) == before
    again = session(resume=True, trials=9)
    drive(again)
    assert again.run.saved > before > 0  # nine topologies, drawn at random


# ------------------------------------------------------------------------------------------------------- repeats


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
    trials = record(again)
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
    assert kept <= again.results.numbers
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
    trials = record(again)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 20
    assert trials[repeat.number].user_attrs["repeat"] == 1
    assert len({(trial.user_attrs["key"], trial.user_attrs["seed"]) for trial in trials}) == 20


# --------------------------------------------------------------------------------------------------------- reuse


def test_what_another_run_finished_is_not_trained(session: Make, tmp_path: Path) -> None:
    other = Run.create(scripted.space(blocks=3, sampler="exhaustive", seed=7), "other", tmp_path)
    first = Session(other, scripted.price, 12)
    while (candidate := first.ask()) is not None:
        ends = {"failed": "error: no"} if candidate.number == 1 else {"whole": candidate.number != 2}
        first.tell(candidate, trained(candidate, **ends), lambda: b"weights")
    first.close()
    made = session(scripted.space(blocks=3, sampler="exhaustive", baselines=["plain"]), trials=20, reuse=[other])
    done = drive(made)
    trials = record(made)
    assert len(trials) == 27 and len(done) == 17  # all but the ten that the other run finished
    assert made.finished == 17 and made.over is not None
    reused = {trial.number: trial for trial in trials if "reused" in trial.user_attrs}
    assert [trial.user_attrs["reused"] for trial in reused.values()] == [
        {"run": "other", "trial": number} for number in range(12) if number not in (1, 2)
    ]
    theirs = {trial.user_attrs["key"]: trial for trial in other.study.trials}
    for trial in reused.values():
        known = theirs[trial.user_attrs["key"]]
        assert trial.state == TrialState.COMPLETE
        assert trial.values == known.values
        assert {n: trial.user_attrs[n] for n in ("curve", "metrics", "measured")} == {
            n: known.user_attrs[n] for n in ("curve", "metrics", "measured")
        }
    assert trials[0].user_attrs["baseline"] == "plain" and 0 in reused
    assert made.run.saved == 10
    assert list(made.run.frame()["reused"].dropna()) == [f"other/{n}" for n in range(12) if n not in (1, 2)]
    assert len([t for t in made.proposer.memory.study.trials if t.state == TrialState.COMPLETE]) == 27
    kept = {int(path.stem) for path in made.run.weights_folder.iterdir()}
    assert kept == made.results.numbers & reused.keys()
    again = session(resume=True, trials=20)
    assert (again.finished, again.run.saved) == (17, 10)


def test_only_a_run_of_the_same_task_and_recipe_is_reused(session: Make, tmp_path: Path) -> None:
    data = scripted.space().to_dict()
    longer = SearchSpace.from_dict(data | {"train": data["train"] | {"epochs": 3}})
    other = Run.create(longer, "longer", tmp_path)
    with pytest.raises(RunError, match=r"run 'longer' cannot be reused: its train.epochs is 3, but here it is 2"):
        session(reuse=[other])
    looked_up = SearchSpace.from_dict(data | {"task": {"of": "digits", "table": "t.json"}})
    with pytest.raises(RunError, match=r"run 'table' cannot be reused: its task is \{"):
        check(Run.create(looked_up, "table", tmp_path), scripted.space())


# -------------------------------------------------------------------------------------------------------- limits


def limited(limits: dict[str, int], **search: Any) -> SearchSpace:
    return SearchSpace.from_dict(scripted.space(**search).to_dict() | {"limits": limits})


def test_what_is_over_the_limits_is_recorded_but_neither_trained_nor_counted(session: Make) -> None:
    class Refusals(Watcher):
        seen: list[Candidate] = []  # noqa: RUF012  # one test

        def refused(self, candidate: Candidate) -> None:
            self.seen.append(candidate)

    made = session(limited({"params": 1250}), trials=12, watchers=[Refusals()])
    done = drive(made)
    assert len(done) == 12
    assert all(candidate.predicted["params"] <= 1250 for candidate in done)
    refused = [trial for trial in record(made) if trial.state == TrialState.FAIL]
    assert refused
    assert len(refused) == len(Refusals.seen)
    for trial in refused:
        params = trial.user_attrs["predicted"]["params"]
        assert trial.user_attrs["reason"] == f"over the limits: {params:,} params, 1,250 allowed"
        assert "curve" not in trial.user_attrs
    again = session(resume=True, trials=12)
    assert again.finished == 12
    assert again.ask() is None


def test_a_space_with_nothing_within_the_limits_ends(session: Make) -> None:
    made = session(limited({"params": 10, "memory": 10}), trials=12)
    assert drive(made) == []
    assert made.over == "the space is exhausted: every topology was tried"
    assert len(record(made)) == 81
    assert "; " in record(made)[0].user_attrs["reason"]


def test_too_many_refusals_end_a_search(session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.searching.session.REFUSED_IN_A_ROW", 7)
    made = session(limited({"params": 10}), trials=12)
    assert made.ask() is None
    assert made.over == "7 proposals in a row were over the limits"


def test_a_sampler_learns_from_what_was_refused(session: Make) -> None:
    made = session(limited({"params": 1250}, sampler="tpe"), trials=5)
    drive(made)
    refused = [t for t in made.proposer.memory.study.trials if any(v > 0 for v in t.constraints.values())]
    assert refused
    assert {trial.state for trial in refused} == {TrialState.PRUNED}
    known = [trial.user_attrs.get("key") for trial in record(made)]
    again = session(resume=True, trials=5)
    assert len(again.proposer.memory.study.trials) == len(known)
    remembered = [t for t in again.proposer.memory.study.trials if any(v > 0 for v in t.constraints.values())]
    assert len(remembered) == len(refused)


# ----------------------------------------------------------------------------------------------------- baselines


def test_baselines_are_tried_first_and_named(session: Make) -> None:
    made = session(scripted.space(baselines=["plain", "resnet", "resnet20"]), trials=5)
    done = drive(made)
    assert [candidate.baseline for candidate in done] == ["plain", "resnet", "resnet20", None, None]
    trials = record(made)
    assert [trial.user_attrs.get("baseline") for trial in trials] == ["plain", "resnet", "resnet20", None, None]
    assert trials[1].params == {f"block{number:02}.skip": "add" for number in range(1, 5)}
    assert trials[2].params == {}  # not a point of the space
    assert Topology.from_dict(trials[2].user_attrs["topology"]) == made.space.baselines()["resnet20"]


def test_baselines_are_queued_once(session: Make) -> None:
    space = scripted.space(baselines=["plain", "resnet"])
    drive(session(space), 1)
    again = session(resume=True)
    assert [candidate.baseline for candidate in drive(again, 2)] == ["resnet", None]


def test_two_names_of_one_topology_are_one_trial(session: Make) -> None:
    space = scripted.space(baselines=["densenet", "resnet"]).to_dict()
    space["skips"] = {"kinds": ["none", "add"]}
    space["network"]["stages"][0]["skips"] = {"kinds": ["add"]}
    made = session(SearchSpace.from_dict(space))
    assert [candidate.baseline for candidate in drive(made, 1)] == ["densenet = resnet"]


def test_baselines_from_elsewhere(session: Make) -> None:
    """They come after the space's own, and what the record holds is not queued again under another name."""
    space = scripted.space(baselines=["plain"])
    wide = references.resnet(20, input=space.task.input, outputs=space.task.outputs)
    first = session(space, baselines={"mine": wide})
    assert [candidate.baseline for candidate in drive(first, 1)] == ["plain"]
    again = session(resume=True, baselines={"again": wide, "also plain": space.baselines()["plain"]})
    assert [candidate.baseline for candidate in drive(again, 2)] == ["mine", None]


# -------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        ({}, "COMPLETE", None),
        ({"whole": False}, "PRUNED", None),
        ({"whole": False, "failed": "timed out: more than 2 s"}, "FAIL", "timed out: more than 2 s"),
        ({"whole": False, "failed": "out of memory", "curve": []}, "FAIL", "out of memory"),
        ({"curve": [{"epoch": 1, "accuracy": math.nan}]}, "FAIL", "diverged: accuracy is nan"),
        ({"curve": [{"epoch": 1, "accuracy": -math.inf}]}, "FAIL", "diverged: accuracy is -inf"),
        ({"curve": [{"epoch": 1, "accuracy": "high"}]}, "FAIL", "diverged: accuracy is 'high'"),
        ({"curve": [{"epoch": 1, "loss": 0.1}]}, "FAIL", "missing metric: no 'accuracy' was reported"),
        ({"curve": []}, "FAIL", "missing metric: no 'accuracy' was reported"),
        ({"whole": False, "curve": [{"epoch": 1, "accuracy": math.nan}]}, "FAIL", "diverged: accuracy is nan"),
    ],
)
def test_every_end_has_its_state_and_its_reason(
    session: Make, outcome: dict[str, Any], state: str, reason: str | None
) -> None:
    made = session(trials=1)
    candidate = made.ask()
    assert candidate is not None
    made.tell(candidate, trained(candidate, **outcome))
    [trial] = record(made)
    assert trial.state.name == state
    assert trial.user_attrs.get("reason") == reason
    assert (trial.values is not None) == (state == "COMPLETE")
    assert made.finished == 1
    assert "curve" in trial.user_attrs
    json.dumps(trial.user_attrs, allow_nan=False)


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


def test_attributes_are_plain_json() -> None:
    numpy = pytest.importorskip("numpy")
    given = {"a": numpy.float32(0.5), "b": [numpy.int64(3), math.nan, (True, None)], 3: {"x": Path("y")}}
    assert plain(given) == {"a": 0.5, "b": [3, None, [True, None]], "3": {"x": "y"}}


# ------------------------------------------------------------------------------------------------------- resume


def test_what_was_running_is_asked_again_with_the_same_parameters(session: Make) -> None:
    first = session(scripted.space(baselines=["plain"]), trials=9)
    drive(first, 3)
    lost = [first.ask(), first.ask()]
    first.close()
    assert Counter(trial.state.name for trial in record(first)) == {"COMPLETE": 3, "WAITING": 2}
    again = session(resume=True, trials=9)
    assert again.finished == 3
    found = [again.ask(), again.ask()]
    for before, after in zip(lost, found, strict=True):
        assert before is not None and after is not None
        assert (after.number, after.topology, after.seed) == (before.number, before.topology, before.seed)
        again.tell(after, trained(after))
    drive(again)
    trials = record(again)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 9
    assert len({trial.user_attrs["key"] for trial in trials}) == 9
    assert all(trial.params for trial in trials)


def test_a_killed_search_leaves_running_trials_that_wait_again(session: Make) -> None:
    """What SIGKILL leaves: trials that are RUNNING and that nobody runs."""
    first = session(trials=6)
    drive(first, 2)
    lost = first.ask()
    assert lost is not None
    states = {trial.number: trial.state.name for trial in record(first)}
    assert states == {0: "COMPLETE", 1: "COMPLETE", 2: "RUNNING"}
    again = Session(Run.open("run", first.run.path.parent), scripted.price, 6)
    candidate = again.ask()
    assert candidate is not None
    assert (candidate.number, candidate.topology) == (2, lost.topology)
    again.tell(candidate, trained(candidate))
    again.close()
    first.running.clear()


def test_a_resumed_search_may_be_longer(session: Make) -> None:
    drive(session(trials=4))
    assert len(drive(session(resume=True, trials=4))) == 0
    assert len(drive(session(resume=True, trials=7))) == 3


def test_a_person_may_enqueue(session: Make) -> None:
    made = session(trials=6)
    drive(made, 1)
    other = Run.open("run", made.run.path.parent).study  # a notebook, a dashboard
    known = record(made)[0].params
    wanted = {f"block{number:02}.skip": "concat" for number in range(1, 5)}
    other.enqueue_trial(wanted)
    other.enqueue_trial(known)
    other.enqueue_trial({"block01.skip": "sideways"})
    other.add_trial(create_trial(state=TrialState.WAITING))
    other.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"topology": {"blocks": "no"}}))
    made._looked = -math.inf
    drive(made)
    trials = {trial.number: trial for trial in record(made)}
    [mine] = [trial for trial in trials.values() if trial.params == wanted]
    assert mine.state == TrialState.COMPLETE
    assert mine.user_attrs["topology"]["blocks"][0]["skip"]["kind"] == "concat"
    reasons = sorted(t.user_attrs["reason"].split(":")[0] for t in trials.values() if t.state == TrialState.FAIL)
    assert reasons == ["error", "error", "error", "known"]
    assert made.finished == 6
    assert not [trial for trial in trials.values() if not trial.state.is_finished()]


# ------------------------------------------------------------------------------------------------------ samplers


def test_the_language_knows_the_samplers() -> None:
    assert set(get_args(Sampler)) == set(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_searches_and_resumes(session: Make, name: str) -> None:
    drive(session(scripted.space(blocks=6, sampler=name), trials=16), 14)
    again = session(resume=True, trials=18)
    assert len(drive(again)) == 4
    assert len({trial.user_attrs["key"] for trial in record(again)}) == 18


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
    """Fewer skips are better here: a model must see that soon."""

    def skips(name: str) -> float:
        run = Run.create(scripted.space(blocks=10, sampler=name, objectives=["params"]), name, tmp_path)
        made = Session(run, scripted.price, 60)
        late = drive(made)[-20:]
        made.close()
        return sum(sum(block.skip is not None for block in candidate.topology.blocks) for candidate in late) / 20

    assert skips("tpe") < skips("random") - 2


# ------------------------------------------------------------------------------------------------------- leaders


def test_leaders_against_brute_force() -> None:
    rng = __import__("random").Random(0)
    points = [(rng.randrange(6), rng.randrange(6), rng.randrange(6)) for _ in range(200)]
    leaders = Leaders()
    for number, point in enumerate(points):
        leaders.add(number, point, (point[0], 0.0))
        seen = points[: number + 1]
        front = {n for n, p in enumerate(seen) if not any(dominates(q, p) for q in seen)}
        best = min(range(number + 1), key=lambda n: (seen[n][0], n))
        assert leaders.numbers == front | {best}


def test_weights_of_leaders_are_kept_and_of_nobody_else(session: Make) -> None:
    made = session(trials=30)
    asked = []
    while (candidate := made.ask()) is not None:
        made.tell(candidate, trained(candidate), lambda n=candidate.number: (asked.append(n), b"%d" % n)[1])
    trials = record(made)
    values = {trial.number: (-trial.values[0], trial.values[1]) for trial in trials}
    front = {n for n, v in values.items() if not any(dominates(other, v) for other in values.values())}
    kept = {int(path.stem): path.read_bytes() for path in made.run.weights_folder.iterdir()}
    assert kept == {number: b"%d" % number for number in front | {made.run.winner}}
    assert len(asked) < 30
    again = session(resume=True, trials=30)
    assert again.results.numbers == set(kept)


# -------------------------------------------------------------------------------------------------------- trouble


def test_a_storage_that_fails_is_one_clear_error(session: Make) -> None:
    made = session(trials=10)
    candidate = made.ask()
    made.record.flush()
    with made.run.storage.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trial_user_attributes")
    made.tell(candidate, trained(candidate))
    with pytest.raises(RunError, match=r"the record cannot be written: .*no such table"):
        made.record.flush()


def test_a_price_that_fails_ends_the_search_with_its_error(session: Make) -> None:
    def broken(topology: Topology) -> dict[str, int]:
        raise ZeroDivisionError("no price")

    made = session(price=broken)
    with pytest.raises(ZeroDivisionError, match="no price"):
        made.ask()
    with pytest.raises(ZeroDivisionError):
        made.close()
    made._thinker = Worker("again")


def test_a_worker_raises_what_went_wrong_before() -> None:
    worker = Worker("test")
    assert worker.do(int, "3").result() == 3
    worker.do(int, "three")
    with pytest.raises(ValueError, match="three"):
        worker.flush()
    worker.do(int, "four").exception()
    with pytest.raises(ValueError, match="four"):
        worker.do(int, "5")
    worker.close()


def test_a_session_without_watchers_is_silent(session: Make, capfd: pytest.CaptureFixture[str]) -> None:
    drive(session(scripted.space(sampler="tpe"), trials=20))
    assert capfd.readouterr() == ("", "")


def test_watchers_hear_of_everything(session: Make) -> None:
    heard: list[str] = []

    class Ear(Watcher):
        def started(self, candidate: Candidate) -> None:
            heard.append("started")

        def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: Outcome) -> None:
            heard.append(state)

    drive(session(trials=2, watchers=[Ear()]))
    assert heard == ["started", "COMPLETE"] * 2


def test_names_are_those_of_the_design() -> None:
    assert (names.TOPOLOGY, names.KEY, names.BASELINE, names.SEED) == ("topology", "key", "baseline", "seed")
    assert (names.PREDICTED, names.MEASURED, names.CURVE, names.REASON) == ("predicted", "measured", "curve", "reason")
