"""Several sessions of one search, driven in turns by chance. No Ray; real processes are in test_joining."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import RunError
from nas.searching.candidate import Candidate
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from nas.study.attributes import BASELINE, CURVE, KEY, REASON, SEED, counts, recorded
from nas.study.lease import Member
from nas.study.membership import Membership, become_member
from nas.study.states import KNOWN
from tests.helpers import scripted
from tests.helpers.sessions import trained


class Process:
    """A stand-in for a process that searches a run: all that it does happens when a test says so."""

    def __init__(self, run: Run, others: list[Process], **options: Any) -> None:
        self.run = run
        self.membership: Membership = become_member(run, run.name, together=True)
        for other in others:
            other.membership.beat()
        self.membership.beat()
        self.membership.greet()
        self.session = Session(run, scripted.price, run.space.search.trials, membership=self.membership, **options)
        self.trained: list[tuple[str, int]] = []

    def look(self) -> None:
        """Do what the threads of a process do every few seconds."""
        self.membership.beat()
        self.session.writer.rescue(self.session.writer.trials(TrialState.RUNNING))
        if self.session.others.present:
            self.session.others.read()

    def ask(self, slots: int = 3) -> Candidate | None:
        running = len(self.session.running)
        candidate = self.session.ask(0.05 if running else None) if running < slots else None
        if candidate is not None:
            self.trained.append((candidate.topology.key, candidate.seed))
        return candidate

    def tell(self, rng: random.Random) -> None:
        if self.session.running:
            candidate = rng.choice(self.session.running)
            self.session.tell(candidate, trained(candidate))

    @property
    def is_over(self) -> bool:
        """Whether it has nothing more to do, as the searcher of Ray Tune decides it."""
        return not self.session.running and self.ask() is None and not self.session.waits

    def end(self) -> None:
        self.session.close()
        self.membership.leave()

    def die(self) -> None:
        """Stop in the middle of everything; what was queued for the study is written."""
        self.session.writer.flush()


def step(one: Process, rng: random.Random) -> None:
    """Let a process do one thing."""
    rng.choice([one.look, one.ask, one.ask, lambda: one.tell(rng)])()


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tokens of members whose process is gone."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tokens: set[str] = set()
    monkeypatch.setattr(Member, "is_gone", lambda member: member.token in tokens)
    return tokens


@pytest.fixture
def start(tmp_path: Path, dead: set[str]) -> Iterator[Callable[..., Process]]:
    """start(space) makes the first process of a new run; start() makes another one that joins it."""
    made: list[Process] = []

    def make(space: SearchSpace | None = None, storage: str | None = None, **options: Any) -> Process:
        run = Run.open("run", tmp_path) if space is None else Run.create(space, "run", tmp_path, storage)
        alive = [one for one in made if one.membership.token not in dead]
        made.append(Process(run, alive, **options))
        return made[-1]

    yield make
    for one in made:
        one.session.close()


def evaluated(run: Run) -> Counter[tuple[str, int]]:
    """Return how many trials have the curve of each topology and seed."""
    known = [recorded(trial) for trial in run.study.get_trials()]
    return Counter((one[KEY], one[SEED]) for one in known if CURVE in one)


def finish(processes: list[Process], rng: random.Random) -> None:
    """Drive processes until all of them are over."""
    left = list(processes)
    for _ in range(5000):
        for one in [one for one in left if rng.random() < 0.1 and one.is_over]:
            one.end()
            left.remove(one)
        if not left:
            return
        step(rng.choice(left), rng)
    pytest.fail("the search does not end")


SPACES = {
    "small": lambda: scripted.space(4, trials=24),
    "whole": lambda: scripted.space(3, trials=40, sampler="exhaustive"),  # it has 27 topologies
    "controls": lambda: scripted.space(4, trials=16, baselines=["plain", "resnet"]),
    "repeats": lambda: scripted.space(4, trials=24, repeats=3),
    "pairs": lambda: scripted.space(5, trials=30, pairs=0.3),
    "pilot": lambda: scripted.space(5, trials=24, pilot={"topologies": 4, "seeds": 2}),
}


@pytest.mark.parametrize("name", SPACES)
def test_processes_share_a_search(start: Callable[..., Process], name: str) -> None:
    """No topology is evaluated twice with one seed, and exactly as many trials count as were asked for."""
    rng = random.Random(name)
    first = start(SPACES[name]())
    for _ in range(rng.randrange(8)):
        step(first, rng)
    processes = [first, start(), start()]
    finish(processes, rng)
    trials = first.run.study.get_trials()
    assert max(evaluated(first.run).values()) == 1
    assert sum(map(counts, trials)) == (27 if name == "whole" else first.run.space.search.trials)
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    failed = [recorded(trial)[REASON] for trial in trials if trial.state == TrialState.FAIL]
    assert all(reason.startswith(KNOWN) for reason in failed)
    shares = [len(one.trained) for one in processes]
    assert sum(shares) == len(evaluated(first.run))
    assert sorted(shares)[1] > 0  # of three, at least two did some
    assert len([one for one in trials if BASELINE in recorded(one) and CURVE in recorded(one)]) >= (
        2 if name == "controls" else 0
    )
    assert not first.membership.leased.read()[1].members


@pytest.mark.parametrize("seed", range(2))
def test_the_others_train_what_a_dead_process_was_training(
    start: Callable[..., Process], dead: set[str], seed: int
) -> None:
    rng = random.Random(seed)
    first = start(scripted.space(4, trials=24))
    second = start()
    for _ in range(30):
        step(rng.choice([first, second]), rng)
    while not second.session.running:
        second.ask()
    second.die()
    dead.add(second.membership.token)
    lost = {(one.topology.key, one.seed) for one in second.session.running}
    ended = {
        trial.number: trial.datetime_complete for trial in first.run.study.get_trials() if trial.state.is_finished()
    }
    finish([first, start()] if seed % 2 else [first], rng)
    trials = first.run.study.get_trials()
    assert sum(map(counts, trials)) == 24
    assert max(evaluated(first.run).values()) == 1 and lost <= set(evaluated(first.run))
    assert all(trials[number].datetime_complete == at for number, at in ended.items())
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert second.membership.token not in first.membership.leased.read()[1].tokens


def test_a_process_that_was_taken_for_dead_writes_nothing_more(start: Callable[..., Process], dead: set[str]) -> None:
    first = start(scripted.space(4, trials=6))
    second = start()
    mine = second.ask()
    assert mine is not None
    second.session.writer.flush()
    dead.add(second.membership.token)
    first.look()
    assert first.run.trial(mine.number).state == TrialState.WAITING
    second.membership.beat()
    assert second.membership.lost is not None and "no sign of life" in second.membership.lost
    finish([first], random.Random(0))
    with pytest.raises(RunError, match="no sign of life for too long"):
        second.session.tell(mine, trained(mine, curve=[{"epoch": 1, "accuracy": 0.123}]))
        second.session.writer.flush()
    with pytest.raises(RunError, match=r"1 result is in .+journal/"):
        second.session.close()
    assert recorded(first.run.trial(mine.number))[CURVE][-1]["accuracy"] != 0.123


def test_a_process_that_joins_last_sees_what_was_there(start: Callable[..., Process]) -> None:
    first = start(scripted.space(4, trials=8))
    rng = random.Random(0)
    while first.ask(3) is not None or len(first.session.running) < 3:
        pass
    first.session.writer.flush()
    second = start()
    assert second.session.others.elsewhere == {one.number: True for one in first.session.running}
    assert not second.session.is_over and second.session.waits
    finish([first, second], rng)
    assert len(first.trained) + len(second.trained) == 8


def test_alone_nothing_is_read(start: Callable[..., Process], monkeypatch: pytest.MonkeyPatch) -> None:
    first = start(scripted.space(4, trials=8))
    monkeypatch.setattr(first.session.others, "read", lambda: pytest.fail("it reads"))
    while (candidate := first.ask()) is not None:
        first.session.tell(candidate, trained(candidate))
    first.end()
    assert len(first.trained) == 8
