"""The samplers by the names that a space may give: ours and those of Optuna, each with a seed."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

from optuna import samplers
from optuna.exceptions import ExperimentalWarning

from nas.sampling.features import features_of
from nas.sampling.sampler import TopologySampler
from nas.space import SearchSpace


def topology(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return the topology sampler (nas.sampling.sampler), the default, with the features that the space requests."""
    return TopologySampler(space, seed=seed, features=functools.partial(features_of, space))


def tpe(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return a tree-structured Parzen estimator (Bergstra et al. 2011), multivariate (Falkner et al. 2018)."""
    return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return Optuna's Gaussian process with expected (hypervolume) improvement."""
    return samplers.GPSampler(seed=seed)


def nsga2(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return the non-dominated sorting genetic algorithm II (Deb et al. 2002)."""
    return samplers.NSGAIISampler(seed=seed)


def qmc(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return a scrambled Sobol sequence; categories are drawn at random."""
    return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def random(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return the sampler that draws every decision uniformly: the baseline of every comparison."""
    return samplers.RandomSampler(seed=seed)


class Enumeration(samplers.RandomSampler):
    """A marker for `nas.searching.proposals`: the search enumerates the space and does not ask the sampler."""


def exhaustive(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return the sampler that tries every topology once, in the order of `SearchSpace.enumerate`."""
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


def make_sampler(space: SearchSpace, seed: int) -> samplers.BaseSampler:
    """Return the sampler that the space names, without Optuna's warnings about experimental samplers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[space.search.sampler](space, seed)
