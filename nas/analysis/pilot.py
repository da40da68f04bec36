"""Is there anything to find? Noise against differences, from a few topologies that were trained from a few seeds.

    y = μ + t + ε,  t ~ N(0, σ_t²) for each topology,  ε ~ N(0, σ_e²) for each training

The intervals are those of generalised pivotal quantities (Weerahandi 1995): the sums of squares within and between
topologies, each over a χ² variate of its degrees of freedom, are draws of σ_e² and of n σ_t² + σ_e².
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import integrate, stats

from nas.analysis.proxy_worth import rank_correlation
from nas.analysis.ranking import trained
from nas.errors import RunError
from nas.space.objectives import ACCURACY

if TYPE_CHECKING:
    from nas.study import Run

Floats = NDArray[np.float64]

DRAWS = 20_000
LEVEL = 0.95
POWER = 0.8
FEWEST = 3  # topologies
SAME = 0.9  # rank correlation with the last epoch from which an early one ranks as the last does


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EarlyEpoch:
    """The rank correlation (Spearman) of the metric of an early epoch with that of the last one."""

    epoch: int
    correlation: Estimate


@dataclass(frozen=True)
class Pilot:
    """The figures of a pilot, and what they say of a search.

    topologies, trainings, failures  how many there were, without baselines
    uniform      whether the topologies were drawn uniformly, so that they stand for the space
    metric       its name
    epochs       of a training
    noise        the standard deviation of one training of a topology; None where each was trained once
    between      the standard deviation between topologies; where each was trained once, with the noise in it
    baseline     the name of the best baseline; None without one
    trials       of the search that is foretold
    gain         how much better the topology is that a search of so many uniformly drawn topologies recommends than
                 the best baseline; a sampler that learns may do better. None without a baseline, where each was
                 trained once, and where a search chose the topologies
    repeats      trainings of each of two topologies to see such a gain with probability POWER; None if there is none
    validation   samples of the validation split with which the standard error of the accuracy is below half of the
                 gain; None for another metric, or without a gain
    early        the early epochs
    seconds      of one training, the median; None where none was recorded
    slots        how many candidates were trained at a time
    hours        of all trials on so many slots
    """

    topologies: int
    trainings: int
    failures: int
    uniform: bool
    metric: str
    epochs: int
    noise: Estimate | None
    between: Estimate
    baseline: str | None
    trials: int
    gain: Estimate | None
    repeats: int | None
    validation: int | None
    early: tuple[EarlyEpoch, ...]
    seconds: float | None
    slots: int
    hours: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the pilot as plain data for JSON, with its verdict."""
        return dataclasses.asdict(self) | {"verdict": self.verdict()}

    @property
    def enough_epoch(self) -> int | None:
        """The first early epoch that ranks as the last one does; None if none does."""
        return next((one.epoch for one in self.early if one.correlation.value >= SAME), None)

    def verdict(self) -> list[str]:
        """Return in plain sentences whether there is anything to find, and what to change."""
        return [*self._differences(), *self._gain(), *self._advice()]

    def _differences(self) -> list[str]:
        at = f"At {self.epochs} epochs" if self.epochs > 1 else "At one epoch"
        if self.noise is None:
            return [f"{at} every topology was trained once: what is noise and what is difference cannot be told apart."]
        if self.noise.value == 0:
            return [f"{at} the seed does not matter: one training settles what a topology is worth."]
        if self.between.low == 0:
            return [f"{at} no difference between topologies is seen beyond the noise."]
        ratio = self.between.value / self.noise.value
        if ratio < 1.5:
            return [f"{at} noise is as large as the differences between topologies (1 to {ratio:.1f})."]
        return [f"{at} topologies differ {ratio:.1f} times as much as trainings of one topology."]

    def _gain(self) -> list[str]:
        if not self.uniform:
            return ["A search chose these topologies: what it would find in the space cannot be foretold from them."]
        if self.gain is None or self.baseline is None:
            return []
        if self.gain.high <= 0:
            return [
                f"The best of {self.trials} topologies would hardly reach {self.baseline}: there is nothing to find."
            ]
        if self.gain.low <= 0:
            return [f"Whether the best of {self.trials} topologies is better than {self.baseline} cannot be said yet."]
        return [f"There is something to find: the best of {self.trials} topologies is better than {self.baseline}."]

    def _advice(self) -> list[str]:
        noisy = self.noise is not None and self.between.value < 1.5 * self.noise.value
        advice = []
        if noisy:
            advice.append(
                f"Train longer than {self.epochs} epochs, or enlarge the validation split, before you search."
            )
        if self.repeats is not None and self.repeats > 1 and self.gain is not None and self.gain.high > 0:
            advice.append(f"To see the gain, train the leaders from {self.repeats} seeds each.")
        if (epoch := self.enough_epoch) is not None and epoch < self.epochs:
            advice.append(
                f"Epoch {epoch} ranks as the last one does: early stopping, or fewer epochs, would save time."
            )
        return advice


def pilot_of(run: Run, trials: int | None = None) -> Pilot:
    """Return what the trials of a run say of a search of its space.

    trials  of that search; those of the space unless given

    The topologies are those that were drawn for a pilot, or all but the baselines if none was. Raises RunError if
    fewer than FEWEST of them were trained to the end.
    """
    from nas.study.attributes import BASELINE, PILOT, recorded

    goals, frame = run.space.goals, run.frame()
    drawn = {trial.number for trial in run.reader.records() if PILOT in recorded(trial)}
    named = frame["baseline"].fillna("") != ""
    own = frame["trial"].isin(drawn) if drawn else ~named
    own &= trained(frame)
    sign = 1.0 if goals.target.direction == "maximize" else -1.0
    done = (frame["state"] == "COMPLETE") & frame[goals.metric].notna()
    groups = _groups(frame[own & done], goals.metric, sign)
    if len(groups) < FEWEST:
        raise RunError(
            f"a pilot needs at least {FEWEST} topologies that were trained to the end, but has {len(groups)}"
        )
    baselines = {str(name): _values(rows, goals.metric, sign) for name, rows in frame[named & done].groupby(BASELINE)}
    found = variances(groups)
    trials = trials or run.space.search.trials
    best = max(baselines, key=lambda name: baselines[name].mean(), default=None)
    known = best is not None and found.noise is not None and bool(drawn)
    gain = None if not known else expected_gain(found, list(baselines.values()), trials)
    seconds, slots = pd.to_numeric(frame.loc[own & done, "seconds"]).dropna(), _at_a_time(frame)
    typical = float(seconds.median()) if len(seconds) else None
    results = frame.loc[own & done, goals.metric].astype(float)
    return Pilot(
        topologies=len(groups),
        trainings=int(own.sum()),
        failures=int((own & (frame["state"] == "FAIL")).sum()),
        uniform=bool(drawn),
        metric=goals.metric,
        epochs=run.space.recipe.epochs,
        noise=found.noise,
        between=found.between,
        baseline=best,
        trials=trials,
        gain=gain,
        repeats=_repeats(found.noise, gain),
        validation=_validation(float(results.mean()), gain) if goals.metric == ACCURACY else None,
        early=tuple(
            early_epochs(list(frame.loc[own & done, "curve"]), list(frame.loc[own & done, "key"]), goals.metric)
        ),
        seconds=typical,
        slots=slots,
        hours=None if typical is None else typical * trials / slots / 3600,
    )


class Variances(NamedTuple):
    """The standard deviations of the model, with draws of their joint distribution."""

    noise: Estimate | None
    between: Estimate
    mean: float
    draws: tuple[Floats, Floats, Floats]  # of σ_e, σ_t and μ


def variances(groups: Sequence[Floats]) -> Variances:
    """Return the standard deviations within and between topologies, given the results of each."""
    rng = np.random.default_rng(0)
    counts = np.array([len(group) for group in groups])
    means = np.array([group.mean() for group in groups])
    k, total = len(groups), int(counts.sum())
    n = (total - (counts**2).sum() / total) / (k - 1)  # results a topology, as unequal counts weigh
    within, mean = float(sum(((group - group.mean()) ** 2).sum() for group in groups)), float(means.mean())
    harmonic = k / (1 / counts).sum()
    among = float(harmonic * ((means - mean) ** 2).sum())  # unweighted means: exact for equal counts
    n = harmonic if (counts == counts[0]).all() else min(n, harmonic)
    mixed = among / rng.chisquare(k - 1, DRAWS)  # n σ_t² + σ_e²
    error = within / rng.chisquare(total - k, DRAWS) if total > k else np.zeros(DRAWS)
    between = np.sqrt(np.maximum(mixed - error, 0) / n)
    middle = mean + np.sqrt(mixed / (n * k)) * rng.standard_normal(DRAWS)
    noise = within / (total - k) if total > k else 0.0
    point = math.sqrt(max(among / (k - 1) - noise, 0) / n)
    estimate = _estimate(math.sqrt(noise), np.sqrt(error)) if total > k else None
    return Variances(estimate, _estimate(point, between), mean, (np.sqrt(error), between, middle))


def expected_gain(found: Variances, baselines: Sequence[Floats], trials: int) -> Estimate:
    """Return how much better the recommended one of `trials` drawn topologies is than the best baseline.

    The one that looks best after one training each is ρ σ_t E[max of N] above the mean, ρ² = σ_t² / (σ_t² + σ_e²).
    """
    rng = np.random.default_rng(1)
    error, between, middle = found.draws
    top = best_of(trials)

    def above(sd_error: Any, sd_between: Any) -> Any:
        spread = np.sqrt(sd_between**2 + sd_error**2)
        return top * sd_between**2 / np.where(spread > 0, spread, 1.0)

    drawn = [group.mean() + error / math.sqrt(len(group)) * rng.standard_normal(DRAWS) for group in baselines]
    best = max(float(group.mean()) for group in baselines)
    noise = 0.0 if found.noise is None else found.noise.value
    value = found.mean + float(above(np.float64(noise), np.float64(found.between.value))) - best
    return _estimate(value, middle + above(error, between) - np.max(drawn, axis=0))


@functools.cache
def best_of(n: int) -> float:
    """Return the expected largest of n variates of N(0, 1)."""

    def density(x: float) -> float:
        return float(n * x * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1))

    return float(integrate.quad(density, -12, 12, limit=200)[0])


def early_epochs(curves: Sequence[Sequence[dict[str, Any]]], keys: Sequence[str], metric: str) -> list[EarlyEpoch]:
    """Return how well each epoch but the last ranks the topologies, by the means over their seeds."""
    table = pd.DataFrame([{row["epoch"]: row.get(metric) for row in curve} for curve in curves]).astype(float)
    means = table.groupby(np.array(keys, dtype=object)).mean().dropna(axis=1)
    columns = sorted(means.columns)
    found = []
    for epoch in columns[:-1]:
        correlation = Estimate(*rank_correlation(means[epoch], means[columns[-1]]))
        if not math.isnan(correlation.value):
            found.append(EarlyEpoch(int(epoch), correlation))
    return found


def _at_a_time(frame: pd.DataFrame) -> int:
    """Return how many trials were running at a time for most of the time: a candidate may wait for its slot first."""
    known = frame[trained(frame)].dropna(subset=["started", "ended"])
    if known.empty:
        return 1
    start = known["started"].min()
    began, ended = ((known[name] - start).dt.total_seconds().to_numpy("float64") for name in ("started", "ended"))
    times = np.unique(np.r_[began, ended])
    running = [int(((began <= at) & (ended > at)).sum()) for at in times[:-1]]
    lasting = np.bincount(running, np.diff(times)) if running else np.zeros(1)
    return max(1, int(lasting.argmax()))


def _groups(rows: pd.DataFrame, metric: str, sign: float) -> list[Floats]:
    return [_values(same, metric, sign) for _, same in rows.groupby("key", sort=False)]


def _values(rows: pd.DataFrame, metric: str, sign: float) -> Floats:
    """Return the metric of the rows, more is better."""
    return np.asarray(sign * rows[metric].astype("float64"), np.float64)


def _estimate(value: float, draws: Floats) -> Estimate:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))


def _repeats(noise: Estimate | None, gain: Estimate | None) -> int | None:
    """Return the seeds of each of two topologies with which a paired test sees the gain with probability POWER."""
    if noise is None or gain is None or gain.value <= 0:
        return None
    z = stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER)
    return max(1, math.ceil(2 * float(z * noise.value / gain.value) ** 2))


def _validation(share: float, gain: Estimate | None) -> int | None:
    """Return the samples with which the standard error of a share is below half of the gain."""
    if gain is None or gain.value <= 0 or not 0 <= share <= 1:
        return None
    return math.ceil(share * (1 - share) / (gain.value / 2) ** 2)
