"""Constraints: a candidate that violates one is trained, but ranks below all that violate none. And latency."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from rich.console import Console
from torch import nn

from nas.analysis import leaderboard, leaderboard_table
from nas.errors import SpaceError
from nas.network.latency import measure_latency
from nas.searching.outcome import TrialOutcome
from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from nas.tasks import get
from nas.tasks.recipe import Recipe
from nas.topology import Topology, references
from nas.topology.block import Head, Stem
from nas.training.evaluate import Evaluator
from tests.helpers import analysis_trials as trials
from tests.helpers import scripted


def test_a_violation_is_trained_but_does_not_win(tmp_path: Path) -> None:
    space = scripted.space(3, constraints={"params": 1200, "latency": "5ms"})
    run = Run.create(space, "run", tmp_path)
    session = Session(run, scripted.price, 100)

    def outcome(topology: Topology) -> TrialOutcome:
        slow = bool(topology.blocks[0].skips)
        better = scripted.price(topology)["params"] / 2000 + 0.1 * slow  # the worst would win without constraints
        curve = [{"epoch": 1, "accuracy": better}]
        return TrialOutcome(curve, full_budget=True, measured={"latency": 0.006 if slow else 0.004})

    while (candidate := session.ask()) is not None:
        session.tell(candidate, outcome(candidate.topology), lambda: b"weights")
    session.close()
    frame = run.frame()
    assert list(frame["state"]) == ["COMPLETE"] * 27
    kept = (frame["params"] <= 1200) & (frame["latency"] <= 0.005)
    assert 0 < kept.sum() < 27
    best = frame[kept].sort_values(["accuracy", "params", "trial"], ascending=[False, True, True]).iloc[0]
    assert run.winner == best["trial"]
    assert frame["accuracy"].max() > best["accuracy"]
    assert {int(path.stem) for path in run.weights_folder.iterdir()} <= set(frame[kept]["trial"])
    for trial in session.proposer.sampler_study.study.trials:
        if trial.state == TrialState.COMPLETE:
            assert set(trial.constraints) == {"params wanted", "latency wanted"}
            key = space.sample(_Again(trial.params)).key
            (number,) = frame.index[frame["key"] == key]
            assert all(value <= 0 for value in trial.constraints.values()) == kept[number]
    again = Session(run, scripted.price, 100)
    assert again.scores.numbers == {int(path.stem) for path in run.weights_folder.iterdir()}
    again.close()


class _Again:
    def __init__(self, params: dict[str, Any]) -> None:
        self.suggest_categorical = self.suggest_int = lambda name, *_: params[name]


def test_the_leaderboard_puts_the_feasible_first() -> None:
    frame = trials.frame(60)
    middle = float(frame["params"].median())
    goals = replace(trials.GOALS, constraints={"params": middle})
    board = leaderboard(frame, goals=goals)
    done = board[board["state"] == "COMPLETE"]
    assert list(done["feasible"]) == sorted(done["params"] <= middle, reverse=True)
    for _, some in done.groupby("feasible"):
        assert some["accuracy"].is_monotonic_decreasing
    assert done.loc[~done["feasible"], "pareto"].isna().all()
    assert (done.loc[done["feasible"], "pareto"] == 1).any()
    console = Console(width=140, record=True, file=None, force_terminal=False)
    with console.capture() as said:
        console.print(leaderboard_table(board, goals, width=140))
    assert said.get().count("✗") == (~board["feasible"]).sum() + 1
    assert "✗ breaks a constraint" in said.get()
    assert leaderboard(frame, goals=trials.GOALS)["feasible"].all()


def test_constraints_are_read_as_limits_are() -> None:
    read = scripted.space(constraints={"params": "200k", "latency": "1.5ms", "seconds": "2m"}).search.constraints
    assert read == {"params": 200_000, "latency": 0.0015, "seconds": 120}
    with pytest.raises(SpaceError, match=r"search.constraints.speed: is unknown here"):
        scripted.space(constraints={"speed": 1})
    assert SearchSpace.from_dict(scripted.space(constraints={"latency": "5ms"}).to_dict()).search.times_latency
    assert scripted.space(objectives=["accuracy", "latency"]).search.times_latency
    assert not scripted.space().search.times_latency


# -------------------------------------------------------------------------------------------------------------- latency


class Sleepy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls: list[tuple[torch.Size, bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.2 if len(self.calls) < 3 else 0.01)  # a slow start does not count
        self.calls.append((x.shape, self.training))
        return x


def test_latency_is_that_of_a_warm_network() -> None:
    network, topology = Sleepy(), references.resnet(20, cifar=True, input=(1, 8, 8), outputs=10)
    assert 0.01 <= measure_latency(network, topology, batch=3) < 0.1
    assert set(network.calls) == {((3, 1, 8, 8), False)}
    assert network.training
    tokens = Topology((8,), Stem("token", 4, {"vocabulary": 9}), (), Head("language_model"), 9)
    assert measure_latency(network, tokens) > 0


def test_latency_is_measured_if_it_is_asked_for() -> None:
    topology = Topology((1, 8, 8), Stem("conv3x3", 2), (), Head("classify"), 10)
    for timed in (False, True):
        evaluator = Evaluator(get("digits"), Recipe(epochs=1), with_latency=timed)
        outcome = evaluator.evaluate(topology, seed=0)
        assert ("latency" in outcome.measured) == timed
    assert 0 < outcome.measured["latency"] < 1
