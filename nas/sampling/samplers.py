"""Who proposes topologies, by name: ours and Optuna's, each with a seed."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

from optuna import samplers
from optuna.exceptions import ExperimentalWarning

from nas.sampling.foresight import features
from nas.sampling.sampler import TopologySampler
from nas.space import SearchSpace


def topology(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Gaussian processes over what a topology is (nas.sampling.sampler), its paths and the proxies that the space asks
    for: the default."""

    return TopologySampler(space, seed=seed, features=functools.partial(features, space))


def tpe(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Tree-structured Parzen estimator (Bergstra 2011), jointly over all parameters that are decided together
    (Falkner 2018), away from what is running."""
    return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Gaussian process, expected (hypervolume) improvement."""
    return samplers.GPSampler(seed=seed)


def nsga2(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Non-dominated sorting genetic algorithm (Deb 2002)."""
    return samplers.NSGAIISampler(seed=seed)


def qmc(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Sobol's sequence, scrambled; categories are drawn at random."""
    return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def random(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Every decision uniformly: the control of every comparison."""
    return samplers.RandomSampler(seed=seed)


class Enumeration(samplers.RandomSampler):
    """Draws nothing: whoever asks it goes through the space in the order of its enumeration."""


def exhaustive(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Every topology once, in the order in which `SearchSpace.enumerate` gives them; the search ends with the last."""
    return Enumeration(seed)


SAMPLERS: dict[str, Callable[[SearchSpace, int], samplers.BaseSampler]] = {
    "topology": topology,
    "tpe": tpe,
    "gp": gp,
    "nsga2": nsga2,
    "qmc": qmc,
    "random": random,
    "exhaustive": exhaustive,
}


def sampler(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """The one that the space asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[space.search.sampler](space, seed)
