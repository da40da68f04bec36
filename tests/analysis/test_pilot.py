"""Is there anything to find: planted noise and planted differences."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from rich.console import Console

from nas.analysis.pilot import (
    EarlyEpoch,
    Estimate,
    Pilot,
    _at_a_time,
    best_of,
    early_epochs,
    expected_gain,
    pilot_of,
    variances,
)
from nas.analysis.pilot_text import pilot_table
from nas.errors import RunError
from nas.study import Run
from nas.study import attributes as names
from tests.helpers import scripted
from tests.helpers.runs import finished

optuna.logging.set_verbosity(optuna.logging.WARNING)
SETS = 300


@pytest.mark.parametrize(
    ("topologies", "seeds", "noise", "between"), [(20, 2, 1.0, 1.0), (10, 3, 1.0, 0.4), (10, 2, 0.3, 1.0)]
)
def test_the_intervals_cover_what_was_planted(topologies: int, seeds: int, noise: float, between: float) -> None:
    rng = np.random.default_rng(5)
    gain = best_of(100) * between**2 / math.hypot(noise, between) - 1.0  # the best baseline is 1.0 above the mean
    inside = np.zeros(3)
    for _ in range(SETS):
        truth = rng.normal(0, between, topologies)
        groups = [value + rng.normal(0, noise, seeds) for value in truth]
        baselines = [level + rng.normal(0, noise, seeds) for level in (1.0, -3.0)]
        found = variances(groups)
        assert found.noise is not None
        estimates = (found.noise, found.between, expected_gain(found, baselines, 100))
        inside += [
            one.low <= planted <= one.high for one, planted in zip(estimates, (noise, between, gain), strict=True)
        ]
    assert (inside / SETS >= 0.92).all(), inside / SETS
    assert inside[0] / SETS <= 0.98


def test_without_differences_none_is_seen() -> None:
    rng = np.random.default_rng(1)
    seen = [variances([rng.normal(0, 1, 2) for _ in range(20)]).between.low > 0 for _ in range(200)]
    assert np.mean(seen) <= 0.06


def test_results_that_do_not_depend_on_the_seed_have_no_noise() -> None:
    found = variances([np.full(2, value) for value in (0.1, 0.2, 0.4, 0.8)])
    assert found.noise == Estimate(0, 0, 0)
    assert found.between.value == pytest.approx(np.std([0.1, 0.2, 0.4, 0.8], ddof=1))


def test_one_seed_each_says_nothing_of_the_noise() -> None:
    found = variances([np.array([value]) for value in (0.1, 0.2, 0.4, 0.8)])
    assert found.noise is None
    assert found.between.low > 0


def test_the_best_of_n() -> None:
    assert best_of(1) == pytest.approx(0, abs=1e-6)
    assert best_of(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-6)
    assert best_of(100) == pytest.approx(2.5076, abs=1e-3)


def test_an_early_epoch_that_ranks_as_the_last_one() -> None:
    curves = [[{"epoch": e, "accuracy": (-t if e == 1 else t) + e} for e in (1, 2, 3)] for t in range(8)]
    first, second = early_epochs(curves, [str(t) for t in range(8)], "accuracy")
    assert (first.epoch, first.correlation.value) == (1, pytest.approx(-1))
    assert (second.epoch, second.correlation.value) == (2, pytest.approx(1))


def test_how_many_run_at_a_time_for_most_of_the_time() -> None:
    start = pd.Timestamp("2026-01-05 09:00:00")
    spans = [(0, 40), (0, 50), (10, 12), (40, 90), (50, 90)]  # a third one waits for its slot for a moment
    times = [{"started": start + pd.Timedelta(seconds=a), "ended": start + pd.Timedelta(seconds=b)} for a, b in spans]
    rows = [{"state": "COMPLETE", "reason": None, "key": "3f0c"} | one for one in times]
    assert _at_a_time(pd.DataFrame(rows)) == 2
    assert _at_a_time(pd.DataFrame(rows).iloc[:0]) == 1


# ---------------------------------------------------------------------------------------------------------- of a run


def planted(tmp_path: Path, seeds: int = 2, noise: float = 0.01, marked: bool = True, topologies: int = 12) -> Run:
    run, rng = Run.create(scripted.space(baselines=["resnet"], trials=80), "run", tmp_path), np.random.default_rng(3)
    kinds = [("none", "add", "concat")[i] for i in range(3)]
    mark = {names.PILOT: True} if marked else {}
    for number in range(topologies):
        own = [kinds[number // 3**place % 3] for place in range(4)]
        for seed in range(seeds):
            value = 0.7 + 0.02 * number / topologies + rng.normal(0, noise)
            finished(run, value, 1000, *own, **mark, **{names.SEED: seed})
    for seed in range(seeds):
        finished(run, 0.705, 1000, *["add"] * 4, **{names.BASELINE: "resnet", names.SEED: seed})
    return run


def test_a_run_says_whether_there_is_anything_to_find(tmp_path: Path) -> None:
    found = pilot_of(planted(tmp_path, noise=0.001))
    assert (found.topologies, found.trainings, found.failures, found.uniform) == (12, 24, 0, True)
    assert (found.baseline, found.trials, found.metric, found.epochs) == ("resnet", 80, "accuracy", 2)
    assert found.gain is not None
    assert found.gain.low > 0
    assert found.repeats == 1
    assert found.hours == pytest.approx(1.5 * 80 / found.slots / 3600)
    text = " ".join(found.verdict())
    assert "times as much as trainings of one topology" in text
    assert "There is something to find: the best of 80 topologies is better than resnet." in text
    back = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert back["gain"]["low"] == found.gain.low
    assert back["verdict"] == found.verdict()


def test_noise_as_large_as_the_differences_is_said(tmp_path: Path) -> None:
    found = pilot_of(planted(tmp_path, noise=0.03), trials=20)
    assert found.trials == 20
    text = " ".join(found.verdict())
    assert "beyond the noise" in text or "noise is as large as the differences" in text
    assert "Train longer than 2 epochs, or enlarge the validation split" in text


def test_a_run_without_a_pilot_is_judged_by_all_its_trials(tmp_path: Path) -> None:
    found = pilot_of(planted(tmp_path, seeds=1, marked=False))
    assert not found.uniform
    assert found.noise is None
    assert found.repeats is found.gain is None
    assert "cannot be told apart" in found.verdict()[0]
    assert "A search chose these topologies" in found.verdict()[1]


def test_too_few_topologies_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"at least 3 topologies .* but has 2"):
        pilot_of(planted(tmp_path, topologies=2))


ONE = Estimate(1.0, 0.8, 1.2)
FACTS: dict[str, Any] = {
    "topologies": 20,
    "trainings": 40,
    "failures": 0,
    "uniform": True,
    "metric": "accuracy",
    "epochs": 5,
    "noise": ONE,
    "between": Estimate(3.0, 2.0, 4.0),
    "baseline": "resnet",
    "trials": 100,
    "gain": ONE,
    "repeats": 4,
    "validation": None,
    "early": (),
    "seconds": 1.0,
    "slots": 1,
    "hours": 1.0,
}


def verdict(**changes: Any) -> str:
    return " ".join(Pilot(**(FACTS | changes)).verdict())


def test_verdicts() -> None:
    assert "the seed does not matter" in verdict(noise=Estimate(0, 0, 0))
    assert "train the leaders from 4 seeds each" in verdict()
    assert "there is nothing to find" in verdict(gain=Estimate(-1, -2, -0.5))
    assert "cannot be said yet" in verdict(gain=Estimate(0.1, -0.2, 0.5))
    assert "better than" not in verdict(baseline=None, gain=None)


def test_the_table_holds_the_figures() -> None:
    found = Pilot(**FACTS | {"early": (EarlyEpoch(1, Estimate(0.5, 0.1, 0.8)), EarlyEpoch(3, Estimate(0.95, 0.9, 1)))})
    for width in (80, 120):
        stream = io.StringIO()
        Console(width=width, file=stream, color_system=None).print(pilot_table(found))
        text = stream.getvalue()
        assert max(map(len, text.splitlines())) <= width
        for words in (
            "sd of one training",
            "sd between topologies",
            "best of 100 over resnet",
            "epoch 3 with the last",
        ):
            assert words in text
