"""A log of a search: an observer that hands every event on to a file or to another tool, on a thread of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from optuna.trial import FrozenTrial

from nas.errors import Dismissed, message_of
from nas.searching.candidate import Candidate
from nas.searching.observer import SearchObserver
from nas.searching.outcome import TrialOutcome
from nas.study import Run

BEGAN, STARTED, EPOCH, RETRIED = "search_began", "started", "epoch", "retried"
ENDED, DISMISSED, REFUSED, REUSED, OVER = "ended", "dismissed", "refused", "reused", "search_ended"
MACHINES, AWAY, BACK = "machines_changed", "storage_went", "storage_came_back"
NO_CHECKPOINTS, BY_OTHERS = "checkpoints_stopped", "changed_by_others"


@dataclass(frozen=True)
class SearchEvent:
    """Something that happened in a search.

    kind       one of the words above
    candidate  whose trial it happened to; None of the search itself
    facts      what else is known of it, as plain data
    time       when it happened, in UTC
    """

    kind: str
    candidate: Candidate | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class SearchLog(SearchObserver):
    """Passes every event to `write`, in their order, on a thread of its own, so that no slot waits for it.

    If `write` fails, a line on stderr says so and nothing more is written: a search is worth more than its log.

    title  what it writes, in a word
    """

    title = "log"
    run: Run  # whose search it is, once it has begun

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.title)
        self._failed = False

    def write(self, event: SearchEvent) -> None:
        """Write an event. Called on the thread of the log."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close what `write` has opened. Called on the thread of the log, after the last event."""

    def begin(self, run: Run) -> None:
        """Begin a session of the run's search."""
        self.run = run
        space = run.space
        facts: dict[str, Any] = {"run": run.name, "task": space.task.name, "metric": space.task.metric}
        facts |= {"direction": space.task.direction, "trials": space.search.trials, "epochs": space.epochs}
        self._pass_on(SearchEvent(BEGAN, facts=facts))

    def end(self, reason: str) -> None:
        """Write why the session is over, and wait until everything is written."""
        self._pass_on(SearchEvent(OVER, facts={"reason": reason}))
        self._thread.submit(self._guarded, self.finish)
        self._thread.shutdown(wait=True)

    def started(self, candidate: Candidate) -> None:
        """Pass on that a candidate was chosen."""
        facts = {"seed": candidate.seed, "predicted": dict(candidate.predicted)}
        self._pass_on(SearchEvent(STARTED, candidate, facts | {"topology": candidate.topology.describe()}))

    def epoch_ended(self, candidate: Candidate, record: Mapping[str, Any], busy: float) -> None:
        """Pass on the record of an epoch, and the seconds for which its slot was busy with it."""
        metrics = {name: value for name, value in record.items() if name not in ("epoch", "seconds")}
        facts = {"epoch": record.get("epoch"), "metrics": metrics, "seconds": busy}
        self._pass_on(SearchEvent(EPOCH, candidate, facts))

    def retried(self, candidate: Candidate, reason: str) -> None:
        """Pass on that a training starts again."""
        self._pass_on(SearchEvent(RETRIED, candidate, {"reason": reason}))

    def continued(self, candidate: Candidate, curve: Sequence[Mapping[str, Any]]) -> None:
        """Pass on once more the epochs after which a training goes on; no slot was busy with them again."""
        for record in curve:
            self.epoch_ended(candidate, record, 0.0)

    def ended(self, candidate: Candidate, state: str, reason: str | None, outcome: TrialOutcome) -> None:
        """Pass on the end of a training."""
        facts = {"state": state, "reason": reason, "metrics": outcome.metrics, "measured": dict(outcome.measured)}
        self._pass_on(SearchEvent(ENDED, candidate, facts))

    def dismissed(self, candidate: Candidate) -> None:
        """Pass on that a person has ended the trial."""
        self._pass_on(SearchEvent(DISMISSED, candidate, {"reason": Dismissed.reason}))

    def refused(self, candidate: Candidate) -> None:
        """Pass on that a candidate is not trained."""
        self._pass_on(SearchEvent(REFUSED, candidate, {"reason": candidate.refusal}))

    def reused(self, candidate: Candidate, outcome: TrialOutcome) -> None:
        """Pass on that a candidate has the result of another run."""
        origin = None if candidate.reused is None else dict(candidate.reused.origin)
        self._pass_on(SearchEvent(REUSED, candidate, {"origin": origin, "metrics": outcome.metrics}))

    def changed_by_others(self, trial: FrozenTrial) -> None:
        """Pass on what another process that searches the run has made of a trial."""
        self._pass_on(SearchEvent(BY_OTHERS, facts={"trial": trial.number, "state": trial.state.name}))

    def machines_changed(self, slots: int, message: str) -> None:
        """Pass on what became of a node."""
        self._pass_on(SearchEvent(MACHINES, facts={"slots": slots, "reason": message}))

    def checkpoints_stopped(self, reason: str) -> None:
        """Pass on why no more checkpoints are written."""
        self._pass_on(SearchEvent(NO_CHECKPOINTS, facts={"reason": reason}))

    def storage_went(self, reason: str, since: datetime) -> None:
        """Pass on that the storage is away."""
        self._pass_on(SearchEvent(AWAY, facts={"reason": reason, "since": since.isoformat(timespec="milliseconds")}))

    def storage_came_back(self, seconds: float) -> None:
        """Pass on that the storage can be written again."""
        self._pass_on(SearchEvent(BACK, facts={"seconds": seconds}))

    def _pass_on(self, event: SearchEvent) -> None:
        with contextlib.suppress(RuntimeError):  # the log has ended, and the study is still being written
            self._thread.submit(self._guarded, self.write, event)

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001  # any error of another program's library
            self._failed = True
            reason = message_of(error, 200) or type(error).__name__
            print(f"{self.title}: nothing more is written: {reason}", file=sys.stderr, flush=True)


@dataclass(eq=False)
class LoggedSession:
    """A session that is being logged; `ending` is why it is over, which its logs write last."""

    ending: str = "stopped by an error"


@contextlib.contextmanager
def logged(logs: Sequence[SearchLog], run: Run) -> Iterator[LoggedSession]:
    """Begin the logs of a session of the run's search, and end them with its `ending`."""
    session = LoggedSession()
    for log in logs:
        log.begin(run)
    try:
        yield session
    finally:
        for log in logs:
            log.end(session.ending)
