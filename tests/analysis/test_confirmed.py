"""What a confirmation tells: the choice, its lead, and how sure that is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nas.analysis.confirmed import confirmed_of, write_confirmed
from nas.analysis.confirmed_text import confirmed_frame, confirmed_table
from nas.analysis.figures import leads
from nas.analysis.page import report
from nas.export.runs import export_run
from nas.study.retraining import TrainOn
from tests.helpers.confirmations import Result, confirmed, noisy, plan_of, searched

AHEAD = {"trial 1": 0.90, "trial 2": 0.93, "trial 3": 0.85, "resnet": 0.88, "plain": 0.60}
EQUAL = dict.fromkeys(AHEAD, 0.9)


def told(root: Path, result: Result, seeds: int = 5, count: int = 10**6, train_on: TrainOn = "train"):  # type: ignore[no-untyped-def]
    run = searched(root)
    confirmed(run, plan_of(run, seeds, train_on=train_on), result, count)
    found = confirmed_of(run)
    assert found is not None
    return run, found


def test_nothing_confirmed_tells_nothing(tmp_path: Path) -> None:
    run = searched(tmp_path)
    assert confirmed_of(run) is None
    confirmed(run, plan_of(run), noisy(AHEAD), count=0)
    assert confirmed_of(run) is None


def test_a_lead_beyond_noise_is_said_with_its_interval(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(AHEAD, sd=0.004))
    assert [one.network.name for one in found.networks] == ["trial 2", "trial 1", "resnet", "trial 3", "plain"]
    best = found.best
    assert best.ahead is not None
    assert best.ahead.separated
    assert best.ahead.figure.low < 0.05 < best.ahead.figure.high
    first = found.verdict()[0]
    assert first.startswith("trial 2 is ")
    assert "points better than resnet on the test split (5 paired seeds), with 40 % of its parameters." in first
    assert found.complete


def test_noise_is_called_noise(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(EQUAL, sd=0.02))
    words = " ".join(found.verdict())
    assert words.startswith("Nothing here is better than ")
    assert "is not distinguishable from " in words


def test_the_choice_is_by_validation_and_the_lead_by_test(tmp_path: Path) -> None:
    """A network that is best on the test split alone is not chosen."""
    good = {"trial 1": (0.95, 0.70), "trial 2": (0.80, 0.99), "resnet": (0.90, 0.80)}

    def result(name: str, seed: int) -> tuple[float, float]:
        validation, test = good.get(name, (0.5, 0.5))
        return validation + 0.001 * (seed % 3), test + 0.001 * (seed % 2)

    _, found = told(tmp_path, result)
    assert found.best.network.name == "trial 1"
    assert found.best.ahead is not None
    assert found.best.ahead.figure.mean == pytest.approx(-0.1)
    assert "Nothing here is better than resnet beyond noise: trial 1 is 10.00 ± " in found.verdict()[0]


def test_differences_are_taken_seed_by_seed(tmp_path: Path) -> None:
    """Noise that all networks of a seed share is no noise of their difference."""

    def result(name: str, seed: int) -> tuple[float, float]:
        value = AHEAD[name] + 0.05 * math.sin(seed)
        return value, value

    _, found = told(tmp_path, result)
    assert found.best.test is not None
    assert found.best.test.half_width > 0.03
    assert found.best.ahead is not None
    assert found.best.ahead.figure.half_width < 1e-9


def test_the_smallest_within_one_standard_error_is_named(tmp_path: Path) -> None:
    """Trial 1, of 800 parameters, is a fifth of the noise ahead of trial 2, which has 400."""

    def result(name: str, seed: int) -> tuple[float, float]:
        value = (AHEAD | {"trial 1": 0.932})[name] + 0.01 * (-1) ** seed
        return value, value

    _, found = told(tmp_path, result, seeds=4)
    assert [one.network.name for one in found.networks[:2]] == ["trial 1", "trial 2"]
    assert "The smallest network within one standard error of trial 1 is trial 2, with 50 % of its parameters." in (
        found.verdict()
    )


def test_shrinkage_is_said(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(AHEAD, sd=0.004))
    said = "On validation it had 93.00% in the search, and has 9"
    assert any(line.startswith(said) for line in found.verdict())


def test_failures_and_what_is_left_are_said(tmp_path: Path) -> None:
    usual = noisy(AHEAD)
    _, found = told(tmp_path, lambda name, seed: "diverged" if name == "plain" else usual(name, seed), count=14)
    assert not found.complete
    words = " ".join(found.verdict())
    assert "Trainings that failed are left out: plain (" in words
    assert "11 trainings are still to be done." in words
    plain = next(one for one in found.networks if one.network.name == "plain")
    assert plain.trial is None
    assert found.networks[-1] == plain


def test_where_everything_failed_nothing_is_confirmed(tmp_path: Path) -> None:
    run, found = told(tmp_path, lambda name, seed: "diverged")
    assert found.verdict()[0] == "No training came to its end: nothing is confirmed."
    assert confirmed_table(found).row_count == 5
    report(run)
    assert export_run(run).joinpath("card.md").read_text().startswith("# mine, trial 1\n")  # as the search has it


def test_one_seed_tells_no_interval(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(AHEAD), seeds=1)
    assert "more seeds are needed" in found.verdict()[0]
    assert found.smallest == 0


def test_where_validation_was_trained_on_the_order_is_that_of_the_search(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(AHEAD), train_on="train+validation")
    assert [one.network.name for one in found.networks] == ["trial 1", "trial 2", "resnet", "trial 3", "plain"]
    assert all(one.validation is None for one in found.networks)


def test_without_a_test_split_networks_are_compared_on_validation(tmp_path: Path) -> None:
    usual = noisy(AHEAD, sd=0.004)
    _, found = told(tmp_path, lambda name, seed: (usual(name, seed)[0], math.nan))
    assert not found.on_test
    assert "better than resnet on validation (5 paired seeds)" in found.verdict()[0]


def test_it_can_be_had_as_json_csv_table_and_picture(tmp_path: Path) -> None:
    usual = noisy(AHEAD, sd=0.004)
    run, found = told(tmp_path, lambda name, seed: "diverged" if name == "plain" else usual(name, seed))
    write_confirmed(run, found)
    data = json.loads((run.path / "confirm.json").read_text())
    assert (data["run"], data["best"], data["complete"], data["seeds"][0]) == ("mine", "trial 2", True, 1000)
    assert data["networks"][-1]["failed"] == 5
    assert data["networks"][0]["ahead"]["figure"]["n"] == 5
    frame = confirmed_frame(found)
    assert frame["network"].tolist() == [one["name"] for one in data["networks"]]
    assert frame["test_mean"][0] == pytest.approx(data["networks"][0]["test"]["mean"])
    assert np.isnan(frame["ahead_mean"][2])  # resnet, the best baseline itself
    assert confirmed_table(found).row_count == 5
    figure = leads(found)
    assert sum(len(trace["x"]) for trace in figure["data"]) == 3


def test_a_baseline_far_outside_is_named_and_not_drawn(tmp_path: Path) -> None:
    _, found = told(tmp_path, noisy(AHEAD, sd=0.004))
    baselines = next(trace for trace in leads(found)["data"] if trace["name"] == "baselines")
    assert baselines["x"] == [None]
    assert "plain (−" in baselines["y"][0].replace("-", "−")


def test_the_report_begins_with_the_verdict(tmp_path: Path) -> None:
    run = searched(tmp_path)
    before = report(run).read_text()
    assert "Not confirmed yet" in before
    assert "nas confirm mine" in before
    confirmed(run, plan_of(run), noisy(AHEAD, sd=0.004))
    after = report(run).read_text()
    assert "points better than resnet on the test split" in after
    assert 'id="plot-confirmed"' in after
    assert "the test split was read only to confirm" in after


def test_the_confirmed_network_is_exported(tmp_path: Path) -> None:
    run = searched(tmp_path)
    assert export_run(run).joinpath("card.md").read_text().startswith("# mine, trial 1\n")
    confirmed(run, plan_of(run), noisy(AHEAD, sd=0.004), weights=False)
    card = export_run(run).joinpath("card.md").read_text()
    assert card.startswith("# mine, trial 2\n")
    assert "| confirmed test accuracy | 0.9" in card
    assert "points better than resnet on the test split" in card
    assert "No weights of it were kept" in card
    assert "confirmed" not in export_run(run, 1).joinpath("card.md").read_text()
