"""A candidate that is being trained, as the searcher knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.tune.experiment import Trial

from nas.searching.candidate import Candidate
from nas.searching.compat import actor_of
from nas.searching.processes import Process
from nas.study.checkpoints import Checkpoint


@dataclass(eq=False)
class ActiveTraining:
    """A candidate that Tune trains.

    node        the node that was chosen for it
    process     the process that trains it
    checkpoint  that from which it goes on, until its first record shows whether it did
    began       when it began (time.monotonic), less the seconds that it was trained before; 0 before it began
    curve       the record of every epoch so far
    busy        seconds that its slot was busy with it
    place       the host and the GPU, once it has reported
    trial       its trial in Tune, once Tune has made it
    kill_reason why the searcher ended it; None if it did not
    """

    candidate: Candidate
    node: str
    process: Process
    checkpoint: Checkpoint | None = None
    began: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    busy: float = 0.0
    place: str = ""
    trial: Trial | None = None
    kill_reason: str | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            self.curve, self.busy = list(self.checkpoint.curve), self.checkpoint.busy
        self.candidate.trained = tuple(self.curve)

    def goes_on(self, record: Mapping[str, Any]) -> bool:
        """Return whether this first record of a process follows those of the checkpoint.

        If it does not, the checkpoint did not fit: the training began, and its earlier epochs do not count.
        """
        goes_on = self.checkpoint is not None and record.get("epoch") == len(self.curve) + 1
        if self.checkpoint is not None and not goes_on:
            self.curve, self.busy = [], 0.0
        self.checkpoint = None
        return goes_on

    def kill(self) -> None:
        """Kill its process, if it has one."""
        actor = None if self.trial is None else actor_of(self.trial)
        if actor is not None:
            ray.kill(actor)
