"""The processes that train: each serves candidates of one size on one device, one after the other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial

from nas.searching import compat


@dataclass(eq=False)
class Process:
    """A process that trains, or that starts in order to.

    number   tells it apart from all others
    device   on which it is
    slots    that it takes there, also while it is idle
    request  what Tune asked of Ray for it; None before
    """

    number: int
    device: str
    slots: int
    request: Any = None


class Processes:
    """The processes of a search.

    A process that is idle is kept as long as no other needs its room, since a new one costs seconds.
    """

    def __init__(self) -> None:
        self._controller: Any = None  # of Tune, once it has a trial
        self._all: dict[str, list[Process]] = {}  # device → its processes
        self._idle: set[Process] = set()
        self._numbers = itertools.count()

    def take(self, device: str, slots: int, capacity: int) -> Process:
        """Return a process for a candidate on a device of so many slots: an idle one of its size, else a new one.

        The device has room beside the candidates that are trained there; idle processes of another size end if they
        take that room.
        """
        here = self._all.setdefault(device, [])
        idle = [one for one in here if one in self._idle]
        for one in idle:
            if one.slots == slots:
                self._idle.remove(one)
                return one
        while idle and sum(one.slots for one in here) + slots > capacity:
            self.end(idle.pop())
        made = Process(next(self._numbers), device, slots)
        here.append(made)
        return made

    def trial_added(self, controller: Any, trial: Trial, process: Process) -> None:
        """Note the request by which Tune knows a process, and let Tune keep it when the trial ends.

        controller  what Tune passes to a scheduler
        """
        self._controller = controller
        if process.request is None:
            process.request = trial.placement_group_factory
            compat.keep_process(controller, process.request, 1)

    def move(self, process: Process, device: str) -> None:
        """Note that a process is on another device: Ray chooses among the GPUs of a node."""
        if process.device != device:
            self._all[process.device].remove(process)
            process.device = device
            self._all.setdefault(device, []).append(process)

    def rest(self, process: Process) -> None:
        """Note that a process is idle."""
        self._idle.add(process)

    def end(self, process: Process) -> None:
        """Forget a process that has died, or let Tune end an idle one."""
        self._all[process.device].remove(process)
        self._idle.discard(process)
        if process.request is not None:
            compat.keep_process(self._controller, process.request, -1)

    def stop(self, trial: Trial) -> None:
        """Stop a trial whose process has not started, and never will."""
        compat.stop_trial(self._controller, trial)
