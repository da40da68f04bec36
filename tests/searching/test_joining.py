"""Several processes that search one run together, as programs of their own, each with a Ray of its own."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.searching.driver import search
from nas.searching.joining import check_joining, settings_of
from nas.study import Run
from nas.study.attributes import CURVE, KEY, SEED, counts, recorded
from nas.study.lease import LeasedStudy
from tests.helpers import scripted

PROGRAM = f"""
import functools, json, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nas.searching import environment
environment.prepare()  # before Ray is imported, as `search` does
from tests.helpers import scripted
from nas.searching.driver import search
import ray.cloudpickle
ray.cloudpickle.register_pickle_by_value(scripted)
root, storage, options = pathlib.Path(sys.argv[1]), sys.argv[2] or None, json.loads(sys.argv[3])
evaluate = functools.partial(scripted.Scripted, seconds=options.pop("seconds"), log=root / f"log-{{sys.argv[4]}}")
space = scripted.space(**options) if options else None
join = None if space else "mine"
run = search(space, name="mine" if space else None, join=join, root=root, storage=storage, evaluate=evaluate, slots=2)
print("interrupted" if run.interrupted else len(run.study.trials))
"""


class Searcher:
    """A program that begins a search, or joins it."""

    def __init__(self, root: Path, name: str, storage: str = "", **options: float) -> None:
        """options: the seconds of an epoch, and those of tests.helpers.scripted.space for a new run."""
        self.root, self.name = root, name
        self.log = root / f"log-{name}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), storage, json.dumps(options), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ended(self, what: str = "end") -> Counter[str]:
        """Return how often it trained each topology to its end."""
        text = self.log.read_text() if self.log.exists() else ""
        return Counter(line.split()[1] for line in text.splitlines() if line.startswith(what))

    def until(self, trainings: int, what: str = "end", seconds: float = 200) -> None:
        end = time.monotonic() + seconds
        while self.ended(what).total() < trainings:
            assert time.monotonic() < end, "it takes too long"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)

    def finish(self, seconds: float = 250) -> str:
        _, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, err
        return err


@pytest.fixture
def searchers() -> Iterator[list[Searcher]]:
    """The programs that the test starts; those that outlive it are killed, with their Ray."""
    made: list[Searcher] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def check(run: Run, searchers: list[Searcher], total: int) -> None:
    """Check that no topology was trained twice to its end, and that the record is true."""
    trials = run.study.get_trials()
    ended = [recorded(trial) for trial in trials if CURVE in recorded(trial)]
    assert max(Counter((known[KEY], known[SEED]) for known in ended).values()) == 1
    assert sum(map(counts, trials)) == total
    assert all(trial.state.is_finished() for trial in trials)
    trained = sum((one.ended() for one in searchers), Counter[str]())
    assert set(trained) == {known[KEY] for known in ended}
    assert not LeasedStudy(run).read()[1].members


def test_of_two_that_search_together_one_is_killed_and_the_other_ends_the_search(
    tmp_path: Path, searchers: list[Searcher]
) -> None:
    """The candidates of the first take for ever: the other one trains all others, waits, and then trains those too."""
    first = Searcher(tmp_path, "first", seconds=3600, blocks=4, trials=8)
    searchers.append(first)
    first.until(2, "begin")
    with pytest.raises(RunError, match=rf"searched by process {first.process.pid} on .+: nas search --join mine"):
        search(resume="mine", root=tmp_path)
    second = Searcher(tmp_path, "second", seconds=0.05)
    searchers.append(second)
    second.until(6)
    time.sleep(2)
    assert second.process.poll() is None
    assert first.ended("begin").total() == 2 and second.ended("begin").total() == 6
    first.process.kill()
    first.process.communicate()
    assert "mine: all trials are finished; " in second.finish()
    check(Run.open("mine", tmp_path), searchers, 8)
    assert second.ended("begin") == second.ended() and second.ended().total() == 8
    assert first.ended("begin").keys() <= second.ended().keys()


def test_settings_belong_to_the_whole_search() -> None:
    check_joining({"time": 60.0})
    with pytest.raises(RunError, match=r"^trials is a setting of the whole search"):
        check_joining({"time": 60.0, "trials": 3})
    with pytest.raises(RunError, match=r"^baselines is a setting"):
        check_joining({}, baselines={"a": 1}, only_pilot=False)
    with pytest.raises(RunError, match="one of them"):
        search(resume="a", join="b")
    space = scripted.space(trials=5)
    assert settings_of(space) == settings_of(scripted.space(trials=5, time="2h"))
    assert settings_of(space) != settings_of(scripted.space(trials=6))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_clusters_share_200_candidates_of_a_server_and_one_is_killed(
    tmp_path: Path, searchers: list[Searcher], postgresql: str, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a Ray and a copy of the folder of its own, as on two machines; the first, which is early, is slow."""
    monkeypatch.setenv("NAS_STORAGE", postgresql)  # it holds the password, which run.yaml does not
    there = tmp_path / "there"
    first = Searcher(tmp_path, "first", postgresql, seconds=1.0, blocks=6, trials=200)
    searchers.append(first)
    first.until(1)
    shutil.copytree(tmp_path / "mine", there / "mine")
    second = Searcher(there, "second", seconds=0.1)
    searchers.append(second)
    second.until(random.randrange(10, 40))
    searchers[victim].process.kill()
    searchers[victim].process.communicate()
    ended = {trial.number for trial in Run.open("mine", tmp_path).study.get_trials() if trial.state.is_finished()}
    assert "mine: all trials are finished; " in searchers[1 - victim].finish(500)
    check(Run.open("mine", tmp_path), searchers, 200)
    begun = first.ended("begin") + second.ended("begin")
    print(
        f"{len(ended)} of 200 trials when it was killed; {first.ended().total()} and {second.ended().total()} trained"
    )
    assert begun.total() <= 200 + 2  # what was being trained when it was killed
