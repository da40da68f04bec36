"""Proposals for the next topology: the topology sampler, and Optuna's samplers by name. No ray."""

from nas.sampling.sampler import TopologySampler

__all__ = ["TopologySampler"]
