"""The words for the states of a trial, the same in every table and display."""

from __future__ import annotations

from nas.errors import OverLimits

KNOWN = "known"  # begins the reason of a queued trial whose topology was tried before
REFUSED = "REFUSED"  # a FAIL that was never trained, because it was over the limits

STATE_WORDS = {  # name of Optuna's TrialState → word, in the order in which tables list them
    "COMPLETE": "finished",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    REFUSED: OverLimits.reason,
    "RUNNING": "running",
    "WAITING": "waiting",
}
ENDED = ("COMPLETE", "PRUNED", "FAIL")  # the states in which a training ends
