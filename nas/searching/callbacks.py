"""The callback and the stopper with which Ray Tune reports to a SessionSearcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from nas.searching.compat import forget_metrics

if TYPE_CHECKING:
    from nas.searching.searcher import SessionSearcher


class NotPickled:
    """An object that Tune pickles as empty.

    Tune pickles its searcher, callbacks and stopper into its folder. That folder is thrown away, and a session with
    its threads and its storage cannot be pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SessionStopper(NotPickled, Stopper):
    """Stops Tune as soon as the searcher has stopped; never stops a single trial."""

    def __init__(self, searcher: SessionSearcher) -> None:
        self.searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Return whether Tune is to stop."""
        return self.searcher.stopped is not None or self.searcher.left


class SessionCallback(NotPickled, Callback):
    """Passes the events of Tune to the searcher.

    An error of the searcher stops the search. Tune would take an exception of a callback for one of the candidate's.
    """

    def __init__(self, searcher: SessionSearcher) -> None:
        self.searcher = searcher

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Report that a trial began."""
        self._pass_on(self.searcher.trial_started, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Report the result of a step."""
        self._pass_on(self.searcher.epoch_ended, trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Report that a trial returned its last result, or was stopped by a scheduler."""
        self._pass_on(self.searcher.trial_ended, trial)
        forget_metrics(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Report that the process of a trial died or did not start."""
        self._pass_on(self.searcher.trial_crashed, trial)
        forget_metrics(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Report that Tune has handled an event."""
        self._pass_on(self.searcher.check, although_failed=True)

    def _pass_on(self, handle: Callable[..., None], *arguments: Any, although_failed: bool = False) -> None:
        """Call handle(*arguments), but not once the searcher has failed: what it knows of a trial may be incomplete."""
        if self.searcher.left or (self.searcher.error is not None and not although_failed):
            return
        try:
            handle(*arguments)
        except Exception as error:  # noqa: BLE001  # raised again by the driver, once Tune has stopped
            self.searcher.fail(error)
