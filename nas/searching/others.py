"""What the other members of a search do (nas.study.lease), as its study tells. Does not import Ray.

Two members may propose the same topology. The study creates one trial after the other, so a member that has created a
trial looks at those before it: if one of them evaluates the same topology with the same seed, or if as many as the
search is asked for have begun, its own trial ends at once and does not count. A member that is alone reads nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from optuna.trial import FrozenTrial

from nas.searching.candidate import Candidate
from nas.study import compat
from nas.study.attributes import BASELINE, CANDIDATE, CURVE, KEY, OWNER, SEED, counts, recorded
from nas.study.states import KNOWN
from nas.study.writer import Judge, StudyWriter, TrialHandle

SEATS = 7919  # the numbers of the sessions of two processes differ by so much


class Claim(NamedTuple):
    """The claims of a trial, on a topology and on one of the trials that the search is asked for.

    evaluated  the key and the seed, which need not be evaluated again; None if they are free
    counts     whether it counts, or will
    """

    evaluated: tuple[str, int] | None
    counts: bool

    @classmethod
    def of(cls, trial: FrozenTrial) -> Claim:
        """Return the claim of a trial."""
        known = recorded(trial)
        if trial.state.is_finished():
            open_, counted = CURVE in known, counts(trial)
        else:
            open_, counted = True, CANDIDATE in trial.system_attrs and BASELINE not in known
        return cls((known[KEY], known[SEED]) if open_ and {KEY, SEED} <= known.keys() else None, counted)


class Others:
    """Reads what has changed in the study of a search that has several members.

    writer  of this member
    past    the trials that the study held at first
    trials  how many trials the search is asked for

    elsewhere  number of a trial that another member trains, or did until it died → whether it will count
    """

    def __init__(self, writer: StudyWriter, past: Sequence[FrozenTrial], trials: int) -> None:
        self.writer, self.trials, self._at_first = writer, trials, len(past)
        self._storage = writer.record.storage
        self._study = self._storage.get_study_id_from_name(writer.record.study_name)
        self._lock = threading.Lock()
        self.elsewhere: dict[int, bool] = {}
        self._claims = {trial.number: Claim.of(trial) for trial in past}
        self._open = {compat.trial_id(trial): trial.state for trial in past if not trial.state.is_finished()}
        self._last = max(map(compat.trial_id, past), default=-1)
        self._news: deque[FrozenTrial] = deque()

    @property
    def present(self) -> bool:
        """Whether the search has, or had, other members since this one began."""
        return self.writer.membership is not None and self.writer.membership.shared

    def number_of_session(self) -> int:
        """Return a number that no earlier session had, and no process that searches at the same time."""
        membership = self.writer.membership
        return self._at_first + (0 if membership is None else SEATS * membership.member.seat)

    def begun(self, ours: int) -> int:
        """Return how many trials of all members count, or will; `ours` is what this one knows of without the others."""
        begun = ours + sum(self.elsewhere.values())
        if not self.present:
            return begun
        with self._lock:
            return max(begun, sum(claim.counts for claim in self._claims.values()))

    def meet(self, trial: FrozenTrial) -> bool:
        """Take a trial into `elsewhere`, or out of it if it has ended; return whether it was there."""
        met = self.elsewhere.pop(trial.number, None) is not None
        ours = CANDIDATE in trial.system_attrs or OWNER in trial.system_attrs  # and none of another program
        if self.present and ours and not trial.state.is_finished():
            self.elsewhere[trial.number] = Claim.of(trial).counts
        return met

    def read(self) -> None:
        """Read what has changed since the last call. May be called on any thread."""
        with self._lock:
            for trial in compat.changed_trials(self._storage, self._study, self._open, self._last):
                identity = compat.trial_id(trial)
                self._last = max(self._last, identity)
                self._claims[trial.number] = Claim.of(trial)
                self._open.pop(identity, None)
                if not trial.state.is_finished():
                    self._open[identity] = trial.state
                if trial.system_attrs.get(OWNER) != self.writer.owner:
                    self._news.append(trial)

    def news(self) -> Iterator[FrozenTrial]:
        """Yield the trials of others that have changed since they were yielded last."""
        while self._news:
            yield self._news.popleft()

    def judge(self, candidate: Candidate) -> Judge:
        """Return the judge of the trial of a candidate (StudyWriter.add)."""

        def reason_to_end(handle: TrialHandle) -> str | None:
            if not self.present:
                return None
            self.read()
            with self._lock:
                before = {number: claim for number, claim in self._claims.items() if number < handle.number}
            mine = candidate.topology.key, candidate.seed
            same = next((number for number, claim in before.items() if claim.evaluated == mine), None)
            if same is not None:
                return f"{KNOWN}: trial {same} of another process is the same topology"
            wanted = candidate.baseline is None and not candidate.pilot
            if wanted and sum(claim.counts for claim in before.values()) >= self.trials:
                return f"{KNOWN}: other processes have begun the last trials"
            return None

        return reason_to_end
