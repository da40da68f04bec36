"""Compute the next proposal on a background thread while earlier candidates are trained."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from nas.searching.candidate import Candidate
from nas.searching.proposals import Proposer
from nas.searching.repeats import Request
from nas.searching.waiting import WaitingTrials
from nas.study.reuse import ReusableTrial
from nas.study.worker import Worker

REFUSED_IN_A_ROW = 1000  # proposals, after which a search ends


class Proposal(NamedTuple):
    """The next candidate.

    candidate  None if there is none
    refused    the candidates that were refused before it
    exhausted  why there will be none any more
    """

    candidate: Candidate | None
    refused: list[Candidate]
    exhausted: str | None = None


class Prefetcher:
    """Computes one proposal ahead. Every call of the sampler happens on its thread, so that the sampler needs no lock.

    waiting   trials of the study that are proposed first
    proposer  proposes where none is waiting
    reusable  returns the result of another run for a candidate, if there is one
    """

    def __init__(
        self, waiting: WaitingTrials, proposer: Proposer, reusable: Callable[[Candidate], ReusableTrial | None]
    ) -> None:
        self.waiting, self.proposer, self.reusable = waiting, proposer, reusable
        self._worker = Worker("proposer")
        self._next: Future[Proposal] | None = None

    @property
    def pending(self) -> bool:
        """Whether a proposal is being computed, or is there and was not fetched yet."""
        return self._next is not None

    def start(self, request: Request | None, *, suggest: bool = True) -> None:
        """Begin to compute a proposal: a waiting trial, else the request, else a suggestion of the sampler.

        suggest  whether the sampler may be asked; if not, there may be no proposal
        """
        self._next = self._worker.submit(self._propose, request, suggest)

    def fetch(self, deadline: float = math.inf) -> Proposal | None:
        """Return the pending proposal, or None if it is not there at `deadline` (of time.monotonic) or none is pending.

        Raises what the sampler or the cost prediction raised.
        """
        if self._next is None:
            return None
        try:
            proposal = self._next.result(None if deadline == math.inf else max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return None
        self._next = None
        return proposal

    def tell(
        self,
        candidate: Candidate,
        state: TrialState,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
    ) -> None:
        """Tell the sampler how a candidate ended (Proposer.tell), without waiting for it."""
        self._worker.submit(self.proposer.tell, candidate, state, values, attributes)

    def recall(self, trial: FrozenTrial) -> None:
        """Take a trial of another process (Proposer.recall), without waiting for it."""
        self._worker.submit(self.proposer.recall, trial)

    def lose(self, candidate: Candidate) -> None:
        """Take back a candidate that another process was faster to train (Proposer.lose), without waiting for it."""
        self._worker.submit(self.proposer.lose, candidate)

    def close(self) -> None:
        """End the thread when it has done everything. Raises what it raised."""
        self._worker.close()

    def unfetched(self) -> Iterator[Candidate]:
        """Yield the candidate of the pending proposal if it was WAITING in the study. To be called after `close`."""
        if self._next is not None and self._next.exception() is None:
            candidate = self._next.result().candidate
            if candidate is not None and candidate.was_waiting:
                yield candidate

    def _propose(self, request: Request | None, suggest: bool) -> Proposal:
        """Return the first candidate within the limits: a waiting one, else the request, else one of the sampler."""
        refused: list[Candidate] = []
        requested = (self.proposer.requested(one) for one in (request,) if one is not None)
        suggested = iter(self.proposer.propose, None) if suggest else iter(())
        candidates = itertools.chain(self.waiting.take(), requested, suggested)
        for candidate in itertools.islice(candidates, REFUSED_IN_A_ROW):
            if candidate.refusal is None:
                candidate.reused = self.reusable(candidate)
                return Proposal(candidate, refused)
            self.proposer.tell(candidate, TrialState.FAIL, None)
            refused.append(candidate)
        if not suggest:
            return Proposal(None, refused)
        if len(refused) < REFUSED_IN_A_ROW:
            return Proposal(None, refused, "the space is exhausted: every topology was tried")
        return Proposal(None, refused, f"{REFUSED_IN_A_ROW} proposals in a row were over the limits")
