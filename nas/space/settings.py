"""The sections `limits` and `search` of a search space file: what candidates may cost, and how a space is searched."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from nas.space.faults import Fault
from nas.space.sections import Section
from nas.space.values import Bytes, Count, Names, Seconds

OBJECTIVES = {  # what a search may be after, and what is better; accuracy stands for the metric of the task
    "accuracy": "maximize",
    "params": "minimize",
    "memory": "minimize",
    "flops": "minimize",
    "latency": "minimize",
    "seconds": "minimize",
}
PRICED = ("params", "memory", "flops")  # those that are known before training

Objective = Literal["accuracy", "params", "memory", "flops", "latency", "seconds"]
Sampler = Literal["topology", "tpe", "gp", "nsga2", "qmc", "random", "exhaustive"]
Proxy = Literal["params", "flops", "log_paths", "short_paths", "gradient_norm", "naswot", "jacobian", "synflow"]


class Limits(Section):
    """What a candidate may cost: parameters, bytes of training memory, FLOPs of a sample; else it is not trained."""

    params: Count | None = None
    memory: Bytes | None = None
    flops: Count | None = None


class Constraints(Limits):
    """What a candidate should cost, besides `latency` (of one sample) and `seconds` (of training): what costs more is
    trained, but ranks below all that keep to it.
    """

    latency: Seconds | None = None
    seconds: Seconds | None = None


class EarlyStopping(Section):
    """ASHA (Li et al. 2020): after `grace`, grace·reduction, … epochs only the best 1/reduction go on, and whoever no
    better one beats in all that the search is after (nas.searching.stopping).
    """

    shorthand = (str,)
    meant = "rule"

    rule: Literal["none", "asha"] = "asha"
    grace: int = Field(default=1, ge=1)
    reduction: int = Field(default=3, ge=2)


class Prefilter(Section):
    """Of `sample` proposals the one with the highest `proxy` is trained, and the others are forgotten."""

    shorthand = (str,)
    meant = "proxy"

    proxy: Proxy
    sample: int = Field(default=8, ge=2, le=1000)


class SearchSettings(Section):
    """How a space is searched.

    objectives      what for, at least one of OBJECTIVES; `accuracy` stands for the metric of the task, `latency` is the
                    time of one sample through the trained network (nas.network.latency), `seconds` that of its training
    constraints     what is over them is trained, but ranks below all that is not: see Constraints
    trials, time    the search ends after so many finished candidates, or after this time (seconds)
    baselines       tried first, and named in every table: see SearchSpace.baselines
    sampler         who proposes topologies
    early_stopping  none or asha: candidates that lag behind are stopped
    proxies         computed of every candidate before it is trained: the report says what they were worth, and the
                    topology sampler sees them in whatever it thinks of (some thirty for each proposal)
    prefilter       of so many proposals the best by a proxy is trained
    repeats         once half of the trials are over, every second one evaluates a leader again with another seed, until
                    the leaders have so many results each; they are ranked by their means
    timeout         a candidate that trains for longer (seconds) has failed
    seed            of the sampler and, with the number of the trial, of every candidate
    """

    objectives: Names[Objective] = Field(default=("accuracy", "params", "memory"), min_length=1)
    constraints: Constraints = Constraints()
    trials: int = Field(default=60, ge=1, le=10**7)
    time: Seconds | None = None
    baselines: Names[str] = ("plain", "resnet")
    sampler: Sampler = "topology"
    early_stopping: EarlyStopping = EarlyStopping(rule="none")
    proxies: Names[Proxy] = ()
    prefilter: Prefilter | None = None
    repeats: int = Field(default=1, ge=1, le=100)
    timeout: Seconds | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)

    @property
    def times_latency(self) -> bool:
        """Is the latency of candidates to be measured?"""
        return "latency" in self.objectives or self.constraints.latency is not None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.prefilter is not None and self.sampler == "exhaustive":
            raise Fault("must be left out where the sampler is exhaustive, which trains everything", "prefilter")
        return self
