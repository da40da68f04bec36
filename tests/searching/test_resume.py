"""A search that is interrupted or killed and then resumed, as a program of its own."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load

from nas.errors import Lost, RunError
from nas.study import Run
from nas.study.checkpoints import CheckpointFolder
from nas.training.evaluate import Evaluator

TRIALS = 10
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
PROGRAM = f"""
import functools, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nas.searching import environment
environment.prepare()  # before Ray is imported, as `search` does
from tests.helpers import scripted
from nas.searching.driver import search
import ray.cloudpickle
ray.cloudpickle.register_pickle_by_value(scripted)
root = pathlib.Path(sys.argv[1])
evaluate = functools.partial(scripted.Scripted, seconds=0.4, log=root / "log", faults={{"fine": 36, "crash": 1}})
space, resume = (None, "mine") if (root / "mine").exists() else (scripted.space(6, trials={TRIALS}), None)
run = search(space, name=None if resume else "mine", resume=resume, root=root, evaluate=evaluate, slots=2)
if run.interrupted:
    print("interrupted")
"""


def start(root: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    """Start the program in a process group of its own, so that a signal reaches it as Ctrl-C does in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def states(root: Path) -> Counter[str]:
    try:
        return Counter(Run.open("mine", root).frame()["state"])
    except RunError:
        return Counter()


def until(condition: Callable[[], bool], seconds: float = 150, pause: float = 0.1) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(pause)


def ended(root: Path) -> int:
    return sum(count for state, count in states(root).items() if state in ("COMPLETE", "FAIL"))


def trainings(root: Path, what: str) -> Counter[str]:
    """Return how often the training of each topology began, or ended; reading it costs less than the record."""
    text = (root / "log").read_text() if (root / "log").exists() else ""
    lines = [line.split() for line in text.splitlines()]
    return Counter(key for said, key, _ in lines if said == what)


class Process(NamedTuple):
    """A process; `began` distinguishes it from another one with the same number."""

    pid: int
    began: str
    parent: int
    command: str


def processes() -> dict[tuple[int, str], Process]:
    """Return all processes that are alive."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,lstart=,args="]
    found = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, parent, state, *began, arguments = line.split(maxsplit=8)
        if not state.startswith("Z"):
            process = Process(int(pid), " ".join(began), int(parent), arguments)
            found[process.pid, process.began] = process
    return found


def descendants(pid: int) -> set[tuple[int, str]]:
    """Return the children of a process, their children, … without Ray's agents, which end a minute later."""
    known, found, parents = processes(), set[tuple[int, str]](), {pid}
    while parents:
        children = {key: process for key, process in known.items() if process.parent in parents}
        found |= {key for key, process in children.items() if not process.command.startswith(AGENTS)}
        parents = {process.pid for process in children.values()}
    return found


def alive(family: set[tuple[int, str]]) -> list[str]:
    known = processes()
    return [known[key].command for key in family if key in known]


@pytest.fixture
def family() -> Iterator[set[tuple[int, str]]]:
    """A set for the processes that the test starts; those that outlive it are killed."""
    met: set[tuple[int, str]] = set()
    yield met
    for pid, _ in met & processes().keys():
        os.kill(pid, signal.SIGKILL)


def test_sigterm_stops_as_ctrl_c_does(tmp_path: Path, family: set[tuple[int, str]]) -> None:
    """Ray takes the signal for itself when it starts."""
    first = start(tmp_path)
    until(lambda: trainings(tmp_path, "end").total() >= 2)
    family |= descendants(first.pid)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=60)
    assert (first.returncode, out) == (0, "interrupted\n")
    assert "SIGTERM received" not in err and "Traceback" not in err
    assert err.splitlines()[-1].startswith("mine: interrupted; nas search --resume mine goes on; ")
    assert not states(tmp_path)["RUNNING"]


def test_interrupted_killed_and_resumed(tmp_path: Path, family: set[tuple[int, str]]) -> None:
    """There are as many trials as asked for, no finished one is trained again, and no process is left."""
    first = start(tmp_path)
    until(lambda: trainings(tmp_path, "end").total() >= 4)
    os.killpg(first.pid, signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0
    assert out == "interrupted\n"
    assert err.splitlines()[-1].startswith("mine: interrupted; nas search --resume mine goes on; ")
    began, *others = err.splitlines()
    assert began == "mine: starting Ray …"
    assert not [word for word in ("Traceback", "raylet", "Ray ", "Warning", "ray::") if word in "\n".join(others)]
    stopped = states(tmp_path)
    assert set(stopped) <= {"COMPLETE", "FAIL", "WAITING"}
    assert 3 <= ended(tmp_path) < TRIALS

    second = start(tmp_path)
    until(lambda: trainings(tmp_path, "end").total() >= 7)
    family |= descendants(second.pid)
    assert len(family) >= 4
    second.send_signal(signal.SIGKILL)
    second.communicate()
    assert states(tmp_path)["RUNNING"] >= 1
    killed = Run.open("mine", tmp_path).frame()
    before = killed[killed["state"].isin(["COMPLETE", "FAIL"])].set_index("trial")["key"]
    until(lambda: not alive(family), 30, pause=1.0)
    begun_before = trainings(tmp_path, "begin")

    third = start(tmp_path)
    _, err = third.communicate(timeout=200)
    assert third.returncode == 0, err
    assert f"mine: {TRIALS} candidates, {len(before)} of them before, up to 2 at a time" in err
    assert "mine: all trials are finished; " in err
    frame = Run.open("mine", tmp_path).frame()
    assert len(frame) == TRIALS
    assert set(frame["state"]) == {"COMPLETE", "FAIL"}
    assert len(set(frame["key"])) == TRIALS
    assert (frame.set_index("trial")["key"][before.index] == before).all()
    begun, done = trainings(tmp_path, "begin"), trainings(tmp_path, "end")
    assert [begun[key] for key in before] == [begun_before[key] for key in before]  # never again
    assert set(done) == set(frame[frame["state"] == "COMPLETE"]["key"])
    lost = set(frame[frame["reason"].fillna("").str.startswith(Lost.reason)]["key"])
    assert all(begun[key] <= 3 * 3 for key in lost)  # three processes in each session
    # what was running when it was interrupted, and when it was killed
    assert sum(count - 1 for key, count in begun.items() if key not in lost) <= 4
    assert list(frame[frame["state"] == "FAIL"]["trial"]) == [0]
    assert frame[frame["state"] == "FAIL"]["reason"].str.startswith("lost its process 3 times: Worker").all()

    command = [Path(sys.executable).with_name("optuna"), "--quiet"]
    storage = ["--storage", Run.open("mine", tmp_path).storage_url]
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=True)
    [study] = json.loads(run([*command, "studies", *storage, "--format", "json"]).stdout)
    assert (study["name"], study["n_trials"]) == ("mine", TRIALS)
    listed = json.loads(run([*command, "trials", *storage, "--study-name", "mine", "--format", "json"]).stdout)
    assert Counter(trial["state"] for trial in listed) == Counter(frame["state"])
    for trial in listed:
        assert {"topology", "key", "seed", "params", "memory"} <= set(trial["user_attrs"])
        assert ("reason" in trial["user_attrs"]) == (trial["state"] == "FAIL")


TRAINING = f"""
import pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from nas.searching import environment
environment.prepare()
from nas.searching import checkpointing
from nas.searching.driver import search
from nas.space import SearchSpace
checkpointing.EVERY_S = 0
root = pathlib.Path(sys.argv[1])
space, resume = (None, "mine") if (root / "mine").exists() else (SearchSpace.load(root / "space.yaml"), None)
search(space, name=None if resume else "mine", resume=resume, root=root, slots=1)
"""
SPACE = """
task: digits
network:
  stem: {op: conv3x3, width: 16}
  stages: [{blocks: 3, op: basic, width: 24}]
  head: classify
skips: {kinds: [add, concat]}
train: {epochs: 60, translate: 1}
search: {trials: 1, sampler: random, baselines: [], repeats: 1, early_stopping: none}
"""


@pytest.mark.slow
def test_a_training_goes_on_to_the_bit_through_killed_processes(
    tmp_path: Path, family: set[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is killed, then the process that trains; the record and the weights are those of a whole training."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "space.yaml").write_text(SPACE)
    folder = CheckpointFolder(tmp_path / "mine" / "checkpoints")

    def epochs() -> int:
        found = folder.read(0)
        return 0 if found is None else len(found.curve)

    first = start(tmp_path, TRAINING)
    until(lambda: epochs() >= 5, pause=0.02)
    family |= descendants(first.pid)
    first.kill()
    first.communicate()
    until(lambda: not alive(family), 30, pause=1.0)
    before = epochs()

    second = start(tmp_path, TRAINING)
    until(lambda: epochs() >= before + 5, pause=0.02)
    family |= descendants(second.pid)
    [trainer] = [one.pid for key, one in processes().items() if key in family and "Trainable" in one.command]
    os.kill(trainer, signal.SIGKILL)
    _, err = second.communicate(timeout=200)
    assert second.returncode == 0, err
    assert 5 <= before < 60 and f"trial 0  goes on after epoch {before}\n" in err
    assert len(re.findall(r"trial 0  goes on after epoch \d+\n", err)) == 2 and err.count("once more") == 1

    run = Run.open("mine", tmp_path)
    [row] = run.frame().itertuples()
    assert row.state == "COMPLETE" and not folder.path.exists()
    evaluator = Evaluator(run.space.task, run.space.recipe)
    whole = evaluator.evaluate(run.topology(0), seed=row.seed)
    untimed = [[{**record, "seconds": 0} for record in curve] for curve in (row.curve, whole.curve)]
    assert untimed[0] == untimed[1]
    weights = load((run.weights(0) or Path()).read_bytes())
    assert whole.network is not None
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(weights[name], tensor)
