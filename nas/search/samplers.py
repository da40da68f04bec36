"""Who proposes topologies: Optuna's samplers by name, each with a seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from optuna import samplers
from optuna.exceptions import ExperimentalWarning


def tpe(seed: int) -> samplers.BaseSampler:
    """Tree-structured Parzen estimator (Bergstra 2011), jointly over all parameters that are decided together
    (Falkner 2018), away from what is running."""
    return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(seed: int) -> samplers.BaseSampler:
    """Gaussian process, expected (hypervolume) improvement."""
    return samplers.GPSampler(seed=seed)


def nsga2(seed: int) -> samplers.BaseSampler:
    """Non-dominated sorting genetic algorithm (Deb 2002)."""
    return samplers.NSGAIISampler(seed=seed)


def qmc(seed: int) -> samplers.BaseSampler:
    """Sobol's sequence, scrambled; categories are drawn at random."""
    return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def random(seed: int) -> samplers.BaseSampler:
    """Every decision uniformly: the control of every comparison."""
    return samplers.RandomSampler(seed=seed)


class Enumeration(samplers.RandomSampler):
    """Draws nothing: whoever asks it goes through the space in the order of its enumeration."""


def exhaustive(seed: int) -> samplers.BaseSampler:
    """Every topology once, in the order in which `SearchSpace.enumerate` gives them; the search ends with the last."""
    return Enumeration(seed)


SAMPLERS: dict[str, Callable[[int], samplers.BaseSampler]] = {
    "tpe": tpe,
    "gp": gp,
    "nsga2": nsga2,
    "qmc": qmc,
    "random": random,
    "exhaustive": exhaustive,
}


def sampler(name: str, seed: int) -> samplers.BaseSampler:
    """The sampler of that name. Raises KeyError where there is none (a space is checked when it is read)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed)
