"""Means with intervals and paired differences: against textbook values, and against planted noise."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from nas.analysis.paired import differences, figure_of
from tests.helpers.published import nas_bench_macro, needs_table


def test_an_interval_is_that_of_the_textbook() -> None:
    """t of 4 degrees of freedom at 97.5 % is 2.776 (Fisher's table)."""
    figure = figure_of(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (figure.n, figure.mean) == (5, 3.0)
    assert figure.sd == pytest.approx(math.sqrt(2.5))
    assert figure.half_width == pytest.approx(2.776 * math.sqrt(2.5 / 5), rel=1e-3)


def test_what_is_not_known_is_nan() -> None:
    assert math.isnan(figure_of(np.array([])).mean)
    one = figure_of(np.array([0.5, np.nan]))
    assert (one.n, one.mean) == (1, 0.5)
    assert math.isnan(one.half_width)


def test_equal_results_have_no_width() -> None:
    figure = figure_of(np.array([0.1, 0.1, 0.1]))
    assert (figure.low, figure.high, figure.sd) == (figure.mean, figure.mean, 0.0)


def test_p_values_are_corrected_for_how_many_are_compared() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(shift, 1.0, 8) for shift in (2.0, 1.0, 0.0)]
    found = differences(rows)
    order = sorted(found, key=lambda one: one.p)
    assert order[0].p_holm == pytest.approx(3 * order[0].p)
    assert order[1].p_holm == pytest.approx(max(3 * order[0].p, 2 * order[1].p))
    assert order[2].p_holm == pytest.approx(max(order[1].p_holm, order[2].p))


def test_a_difference_without_noise_is_certain() -> None:
    same, ahead, unknown = differences([np.zeros(3), np.full(3, 0.1), np.array([0.1])])
    assert same.tied
    assert not same.separated
    assert ahead.separated
    assert not unknown.separated
    assert not unknown.tied


def test_intervals_cover_the_truth() -> None:
    """Of 2,000 means of 5 values, 95 % within four standard errors of a proportion."""
    rng = np.random.default_rng(1)
    figures = [figure_of(rng.normal(0.3, 2.0, 5)) for _ in range(2000)]
    covered = np.mean([figure.low <= 0.3 <= figure.high for figure in figures])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_one_false_claim_in_twenty_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 400 families of five equal networks, at most 5 % (and two standard errors) name one that differs."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels collects garbage in every call, 0.4 s among our tests
    rng = np.random.default_rng(2)
    named = [any(one.separated for one in differences(list(rng.normal(0, 1, (5, 6))))) for _ in range(400)]
    assert np.mean(named) < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


@needs_table
def test_intervals_of_published_trainings_hold_their_mean() -> None:
    _, accuracies = nas_bench_macro()
    means = accuracies.mean(1)
    noise = (accuracies - means[:, None]) * math.sqrt(3 / 2)  # about the mean of three, its spread is too small
    rng, inside = np.random.default_rng(1), []
    for _ in range(500):
        network = rng.integers(len(means))
        five = means[network] + rng.choice(noise.ravel(), 5)
        figure = figure_of(five)
        inside.append(figure.low <= means[network] <= figure.high)
    assert 0.93 <= np.mean(inside) <= 0.97, np.mean(inside)
