"""A candidate: a topology that the search trains, with everything that is known before its training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nas.study import compat
from nas.study.attributes import (
    BASELINE,
    CANDIDATE,
    KEY,
    LINE,
    PILOT,
    PREDICTED,
    PROXIES,
    REASON,
    REPEAT,
    SAVED,
    SEED,
    TOPOLOGY,
)
from nas.study.journal import is_created
from nas.study.reuse import ReusableTrial
from nas.study.shown import user_attributes
from nas.study.writer import TrialHandle
from nas.topology import Topology

PredictCost = Callable[[Topology], Mapping[str, int]]  # topology → {params, flops, memory}, before training


@dataclass(eq=False)
class Candidate:
    """A topology that is trained, or that is refused before training.

    predicted      its cost before training: {params, flops, memory}
    baseline       its name, if it is a baseline
    refusal        why it is not trained; None if it is
    sampler_trial  its trial in the sampler's study; None if it is no point of the space
    system_attrs   what the sampler noted about that trial
    was_waiting    whether its trial was in the study before, WAITING
    saved          proposals before it that were not trained, because an equal topology was
    pilot          whether it is one of the pilot (nas.searching.pilot)
    repeat         how many evaluations of its topology, with other seeds, began before this one
    reused         a result of another run, which makes the training needless
    losses         how often its process has died while it was trained
    avoid          nodes on which it was not trained to its end
    trained        the records of the epochs after which its training goes on; none if it begins
    slots          slots of a device that it takes while it is trained (nas.searching.packing)
    more           what else its record holds
    handle         its trial in the run's study
    serial         its number among the candidates of this process
    """

    topology: Topology
    seed: int
    predicted: Mapping[str, int] = field(default_factory=dict)
    proxies: Mapping[str, float | None] = field(default_factory=dict)
    baseline: str | None = None
    refusal: str | None = None
    sampler_trial: Trial | None = None
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    was_waiting: bool = False
    saved: int = 0
    pilot: bool = False
    repeat: int = 0
    reused: ReusableTrial | None = None
    losses: int = 0
    avoid: set[str] = field(default_factory=set)
    trained: Sequence[Mapping[str, Any]] = ()
    slots: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)
    handle: Future[TrialHandle] = field(default_factory=Future)
    serial: int = field(default_factory=itertools.count().__next__)

    @property
    def number(self) -> int:
        """The number of its trial in the run's study."""
        return self.handle.result().number

    @property
    def lost(self) -> bool:
        """Whether its trial has ended as soon as it was created: another process was faster."""
        return is_created(self.handle) and self.handle.result().lost is not None

    @property
    def record(self) -> dict[str, Any]:
        """The record of its trial before training."""
        known: dict[str, Any] = {
            TOPOLOGY: self.topology.to_dict(),
            LINE: self.topology.describe(),
            KEY: self.topology.key,
            SEED: self.seed,
        }
        optional = {
            PREDICTED: dict(self.predicted),
            PROXIES: dict(self.proxies),
            BASELINE: self.baseline,
            REASON: self.refusal,
            SAVED: self.saved,
            REPEAT: self.repeat,
            PILOT: self.pilot,
        }
        return known | {name: value for name, value in optional.items() if value} | dict(self.more)

    def trial(self, state: TrialState) -> FrozenTrial:
        """Return the trial with which the study records it before training."""
        sampled, known = self.sampler_trial, self.record
        picture = self.topology.key, f"{self.topology.key}.svg", "image/svg+xml"  # drawn by nas.watching.publisher
        params, distributions = (sampled.params, sampled.distributions) if sampled else ({}, {})
        return create_trial(
            state=state,
            params=params,
            distributions=distributions,
            user_attrs=user_attributes(known),
            system_attrs={**self.system_attrs, CANDIDATE: known, **compat.artifact_attribute(*picture)},
        )
