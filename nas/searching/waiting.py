"""The trials that wait in a run's study: baselines, trials of an earlier session, trials that a person enqueued."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

from nas.errors import NasError
from nas.searching.candidate import Candidate
from nas.searching.proposals import Proposer
from nas.space import SearchSpace
from nas.study import compat
from nas.study.attributes import BASELINE, KEY, REASON, recorded
from nas.study.outage import StorageAway
from nas.study.writer import StudyWriter, TrialHandle, resolved
from nas.topology import Topology

POLL_S = 1.0  # seconds between two looks at the study for trials that other processes have enqueued


class WaitingTrials:
    """Takes the WAITING trials of a run's study, the oldest first.

    writer    reads and writes the study
    proposer  makes candidates of trials
    """

    def __init__(self, writer: StudyWriter, proposer: Proposer) -> None:
        self.writer, self.proposer = writer, proposer
        self.last_poll = -math.inf
        self._queue: deque[tuple[TrialHandle, FrozenTrial]] = deque()

    def are_there(self) -> bool:
        """Return whether a trial waits in the study, or may wait there while the storage does not answer."""
        try:
            return bool(self.writer.trials(TrialState.WAITING))
        except StorageAway:
            return True

    def take(self) -> Iterator[Candidate]:
        """Yield the candidates of the waiting trials, each RUNNING in the study by then.

        A refused candidate has FAILED by then. A trial that describes no topology fails and is left out. While the
        storage does not answer there are none.
        """
        if not self._queue and time.monotonic() - self.last_poll > POLL_S:
            self.last_poll = time.monotonic()
            with contextlib.suppress(StorageAway):
                self._queue.extend(self.writer.trials(TrialState.WAITING).items())
        while self._queue and not self.writer.is_away:
            handle, trial = self._queue.popleft()
            if not self.writer.claim(handle):
                continue
            try:
                candidate = self.proposer.from_waiting(handle, trial)
            except NasError as error:
                self.writer.finish(resolved(handle), TrialState.FAIL, {REASON: f"error: {error}"})
                continue
            self.writer.fill_in(handle, trial, candidate.trial(TrialState.RUNNING))
            if candidate.refusal is not None:
                self.writer.finish(candidate.handle, TrialState.FAIL, {})
            yield candidate


def enqueue_baselines(
    writer: StudyWriter, space: SearchSpace, past: Sequence[FrozenTrial], baselines: Mapping[str, Topology]
) -> None:
    """Enqueue the baselines that the study does not hold yet.

    past       the trials of the study
    baselines  name → topology; two names of one topology become one trial, named "first = second"
    """
    known = {record.get(KEY) for record in map(recorded, past) if BASELINE in record}
    names_of: dict[str, tuple[list[str], Topology]] = {}
    for name, topology in baselines.items():
        names_of.setdefault(topology.key, ([], topology))[0].append(name)
    for key, (names, topology) in names_of.items():
        if key not in known:
            writer.add(_waiting_trial(space, " = ".join(names), topology))
    writer.flush()


def _waiting_trial(space: SearchSpace, name: str, topology: Topology) -> FrozenTrial:
    try:
        params = space.encode(topology)
    except NasError:  # not a point of the space
        params = {}
    candidate = Candidate(topology, space.search.seed, baseline=name, system_attrs=compat.enqueued_attributes(params))
    return candidate.trial(TrialState.WAITING)
