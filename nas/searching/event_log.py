"""A log of a search as lines of JSON, one for each event: `nas search --log-json FILE`.

    {"time": "2026-01-05T09:30:07.125+00:00", "event": "epoch", "trial": 14, "key": "3f0c9a1be27d5544",
     "baseline": null, "epoch": 4, "metrics": {"accuracy": 0.8123, "loss": 0.61}, "seconds": 1.9}

Every line has time and event; those of a trial have its number, its canonical key, and its name if it is a baseline.

event                what it has besides
search_began         run, task, metric, direction, trials (to have in the end), epochs (null where a function decides)
started              seed, predicted {params, flops, memory}, topology: it is trained as soon as a slot is free
epoch                epoch, metrics, seconds (for which its slot was busy with it)
retried              reason: its training starts again; the epochs of its checkpoint, if it has one, follow once more
ended                state (COMPLETE, PRUNED or FAIL), reason (of a FAIL), metrics, measured {seconds, busy, …}
dismissed            reason: a person has ended its trial, so that it does not count
refused              reason: it is not trained
reused               origin {run, trial}, metrics: the result of another run was taken
changed_by_others    trial, state: another process that searches the run has begun, ended or queued it
machines_changed     slots, reason: nodes came, went or cannot train
checkpoints_stopped  reason: no more checkpoints are written
storage_went         reason, since: what is to be written waits in memory
storage_came_back    seconds: it is written again
search_ended         reason
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from nas.errors import RunError
from nas.searching.search_log import SearchEvent, SearchLog
from nas.study.plain import as_json

STDOUT = "-"


class EventLog(SearchLog):
    """Writes every event as a line of JSON, at once."""

    title = "event-log"

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, event: SearchEvent) -> None:
        """Write an event as a line."""
        line: dict[str, Any] = {"time": event.time.isoformat(timespec="milliseconds"), "event": event.kind}
        if (candidate := event.candidate) is not None:
            line |= {"trial": candidate.number, "key": candidate.topology.key, "baseline": candidate.baseline}
        print(json.dumps(as_json({**line, **event.facts}), ensure_ascii=False), file=self.stream, flush=True)

    def finish(self) -> None:
        """Close the file."""
        if self.stream is not sys.stdout:
            self.stream.close()


def open_event_log(path: str | Path) -> EventLog:
    """Return a log that appends to the file, or that writes on stdout if it is `-`. Raises RunError if it cannot."""
    if str(path) == STDOUT:
        return EventLog(sys.stdout)
    try:
        return EventLog(Path(path).open("a", encoding="utf-8"))
    except OSError as error:
        raise RunError(f"the log of events cannot be written: {path}: {error.strerror}") from None
