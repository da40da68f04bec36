"""Runs whose leaders are confirmed without Ray and torch: results are planted, for a network and a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.searching.confirmation import networks_of
from nas.searching.outcome import TrialOutcome
from nas.searching.retrain_session import RetrainSession
from nas.searching.retraining import retraining_space
from nas.study import Run
from nas.study.attributes import BASELINE
from nas.study.confirmation import Confirmation, Plan
from nas.study.retraining import TrainOn
from nas.tasks.recipe import Recipe
from tests.helpers import runs, scripted

Result = Callable[[str, int], tuple[float, float] | str]  # name, seed → validation and test, or why it failed

FIRST = 1000


def searched(root: Path) -> Run:
    """Return a run with three candidates (trials 1 to 3) and two baselines (trials 0 and 4)."""
    run = Run.create(scripted.space(), "mine", root)
    runs.finished(run, 0.80, 900, "none", "none", "none", "none", **{BASELINE: "plain"})
    runs.finished(run, 0.95, 800, "add", "none", "none", "none")
    runs.finished(run, 0.93, 400, "none", "add", "none", "none")
    runs.finished(run, 0.85, 700, "none", "none", "add", "none")
    runs.finished(run, 0.90, 1000, "add", "add", "add", "add", **{BASELINE: "resnet"})
    return run


def plan_of(run: Run, seeds: int = 5, top: int = 3, epochs: int = 2, train_on: TrainOn = "train") -> Plan:
    """Return a plan for the leaders and the baselines of a run."""
    numbers = tuple(range(FIRST, FIRST + seeds))
    recipe = Recipe(epochs=epochs)
    return Plan(networks=networks_of(run, top, None), seeds=numbers, recipe=recipe, train_on=train_on)


def confirmed(
    run: Run, plan: Plan, result: Result, count: int = 10**6, *, weights: bool = True
) -> list[tuple[str, int]]:
    """Train up to `count` of what is left of a plan, and return the names and seeds."""
    confirmation = Confirmation(run)
    confirmation.begin(plan)
    session = RetrainSession(confirmation, retraining_space(run.space, {"epochs": plan.recipe.epochs}), plan)
    done: list[tuple[str, int]] = []
    while len(done) < count and (candidate := session.ask()) is not None:
        name = str(candidate.baseline)
        done.append((name, candidate.seed))
        told = result(name, candidate.seed)
        if isinstance(told, str):
            session.tell(candidate, TrialOutcome(failure=told))
            continue
        curve = [{"epoch": 1, "accuracy": told[0], "loss": 0.5, "seconds": 0.1}]
        session.tell(
            candidate,
            TrialOutcome(curve, full_budget=True, measured={"seconds": 0.1, "test_accuracy": told[1]}),
            lambda: f"{candidate.baseline} {candidate.seed}".encode() if weights else None,  # called at once
        )
    session.close()
    return done


def noisy(means: dict[str, float], sd: float = 0.01, shift: float = 0.0) -> Result:
    """Return results around these means, with the same noise for every network of a seed half of the time."""

    def result(name: str, seed: int) -> tuple[float, float]:
        common = np.random.default_rng(seed).normal(0, sd)
        own = np.random.default_rng([seed, len(name), ord(name[-1])]).normal(0, sd, 2)
        return means[name] + common + own[0], means[name] + shift + common + own[1]

    return result
