"""How far a search is: what is trained now, what has ended, what is best so far, what is left, and whether it lives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas import units
from nas.analysis.marks import marks
from nas.analysis.ranking import failures, ranked_rows, states, trained, unit_of
from nas.errors import TopologyError
from nas.space.quantities import Unit
from nas.study.attributes import number_at
from nas.study.lease import read_pulses
from nas.study.pulse import SILENCE_S, Pulse, together
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.study import Run

STARTING, SEARCHING, DEAD, STOPPED, OVER = "starting", "searching", "dead", "stopped", "over"
CAUSE = 60  # characters of the cause of a failure

Row = dict[Hashable, Any]  # of a data frame


@dataclass(frozen=True)
class TrainingStatus:
    """A candidate that is being trained; a number that is not known is None.

    name          of a baseline, else ""
    node, slots   where it is trained, and how many slots it takes there
    epoch         the last one that it reported, of `epochs`
    value         its metric after that epoch
    seconds       since it began
    seconds_left  an estimate: the rest of its epochs at its own pace, or what others took before it has one
    """

    trial: int
    name: str
    skips: str
    params: int | None
    node: str
    slots: int
    epoch: int
    epochs: int | None
    value: float | None
    seconds: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Standing:
    """A candidate of the leaderboard: its trial, its name if it is a baseline, and what is expected of its metric."""

    trial: int
    name: str
    expected: float


@dataclass(frozen=True)
class SearchStatus:
    """The status of a search at one moment.

    state          starting (nothing was trained yet), searching, dead (it gives no sign of life, and trials of it are
                   still recorded as running), stopped (it has ended before all trials had), or over
    asked, ended   trials that the run is to have, and those of them that have ended; baselines do not count
    counts         state → number of trials (nas.study.states), without results of other runs; those are `reused`
    saved          trainings that a known result made needless
    causes         why trainings failed, shortened, and how many did so
    best, baseline the best of all, and the best baseline; `ahead` is how much better the best candidate that is no
                   baseline (`challenger`) is than the latter
    spent, left    hours that slots spent in training and an estimate of those to come; they are those of GPUs if the
                   search has GPUs
    seconds_left   an estimate of the time until the last trial ends
    pulse          the last sign of life, `silence` seconds ago; None if there is none. Of several processes that search
                   together it is that of all; `members` are those of each
    """

    run: str
    task: str
    metric: str
    unit: Unit
    state: str
    started: str
    asked: int
    ended: int
    counts: Mapping[str, int]
    reused: int
    saved: int
    causes: Mapping[str, int]
    best: Standing | None
    challenger: Standing | None
    baseline: Standing | None
    ahead: float | None
    running: tuple[TrainingStatus, ...]
    spent: float
    left: float | None
    seconds_left: float | None
    pulse: Pulse | None
    silence: float | None
    members: tuple[Pulse, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the search is being run, as far as one can tell."""
        return self.state in (STARTING, SEARCHING)

    @property
    def resource(self) -> str:
        """The resource whose hours are counted: GPU, or slot."""
        return "GPU" if self.pulse is not None and self.pulse.gpu else "slot"


class StatusReader:
    """Reads the status of a run again and again; what is expected of its trials is computed where one has ended.

    frame  that of the run when it was read last
    """

    def __init__(self, run: Run) -> None:
        self.run, self.frame = run, pd.DataFrame()
        self._ended = -1
        self._board = pd.DataFrame()

    def read(self, now: datetime | None = None) -> SearchStatus:
        """Return the status of the run; `now` is a time with a zone, the present unless given."""
        now = now or datetime.now(UTC)
        pulses = read_pulses(self.run)
        run, frame, pulse = self.run, self.run.frame(), together(pulses, now)
        self.frame = frame
        here = frame[frame["reused"].isna()]
        board, goals, unit = self._ranked(frame), run.space.goals, self._unit(frame)
        done = here[trained(here)]
        took = (done["ended"] - done["started"]).dt.total_seconds()
        typical = float(took.mean()) if took.notna().any() else None
        running = tuple(self._trainings(frame, pulse, typical, now))
        asked, ended = run.space.search.trials, int(done["baseline"].isna().sum())
        silence = None if pulse is None else pulse.silence(now)
        state = _state(pulse, now, running=bool(running), begun=len(frame) > 0, complete=ended >= asked)
        waiting = max(0, asked - ended - sum(not one.name for one in running))
        waiting += int((frame["baseline"].notna() & (frame["state"] == "WAITING")).sum())
        left = None if state == OVER else _slot_seconds_left(waiting, running, typical)
        per_hour = 3600 * (pulse.slots_per_gpu if pulse is not None and pulse.gpu else 1)
        spent = took.sum() + sum(one.slots * (one.seconds or 0.0) for one in running if state == SEARCHING)
        rows = [_standing(row) for row in board.to_dict("records")]
        baseline = next((row for row in rows if row.name), None)
        challenger = next((row for row in rows if not row.name), None)
        both = baseline is not None and challenger is not None
        loss = goals.target.loss
        counts = states(here)
        return SearchStatus(
            run=run.name,
            task=run.space.task.name,
            metric=goals.metric,
            unit=unit,
            state=state,
            started=run.created,
            asked=asked,
            ended=ended,
            counts=counts,
            reused=len(frame) - len(here),
            saved=run.saved,
            causes=dict(Counter(map(cause_of, failures(here)["reason"])).most_common()),
            best=rows[0] if rows else None,
            challenger=challenger,
            baseline=baseline,
            ahead=loss(baseline.expected) - loss(challenger.expected) if both else None,  # type: ignore[union-attr]
            running=running,
            spent=float(spent) / per_hour,
            left=None if left is None else left / per_hour,
            seconds_left=_seconds_left(pulse, silence, left, running) if state == SEARCHING else None,
            pulse=pulse,
            silence=silence,
            members=tuple(one for one in pulses if one.is_alive(now)),
        )

    def _ranked(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the ranked rows of the leaderboard, with their trial, name and expected metric."""
        ended = int((frame["state"] == "COMPLETE").sum())
        if ended != self._ended:
            board = ranked_rows(frame, self.run.space.goals)
            self._board, self._ended = board[board["expected"].notna()], ended
        return self._board

    def _unit(self, frame: pd.DataFrame) -> Unit:
        """Return the unit of the metric, as the values so far tell it."""
        goals = self.run.space.goals
        values = pd.to_numeric(frame[goals.metric]).astype("float64")
        return unit_of(frame.assign(**{goals.metric: values}), goals, goals.metric)

    def _trainings(
        self, frame: pd.DataFrame, pulse: Pulse | None, typical: float | None, now: datetime
    ) -> list[TrainingStatus]:
        """Return what is known of every trial that is being trained."""
        ours = (frame["state"] == "RUNNING") & frame["key"].notna()  # others belong to another program
        rows = frame[ours].astype("object").to_dict("records")
        reported = {trial.number: trial.intermediate_values for trial in self.run.reader.records()}
        places = {one.trial: one for one in pulse.running} if pulse is not None else {}
        until = now if pulse is None or pulse.silence(now) < SILENCE_S else pulse.alive  # of a dead search nothing runs
        local = until.astimezone().replace(tzinfo=None)  # Optuna records the local time
        metric, epochs = self.run.space.goals.metric, self.run.space.epochs
        found = []
        for row in rows:
            place = places.get(row["trial"])
            if place is not None:  # the study may still hold epochs of an attempt that was given up
                epoch, value = place.epoch, place.value
            else:
                epoch, value = _last_epoch(reported.get(row["trial"], {}), row["curve"], metric)
            seconds = None if pd.isna(row["started"]) else max(0.0, float((local - row["started"]).total_seconds()))
            found.append(
                TrainingStatus(
                    trial=int(row["trial"]),
                    name=row["baseline"] if isinstance(row["baseline"], str) else "",
                    skips=_marks(row["topology"]),
                    params=None if pd.isna(row["params"]) else int(row["params"]),
                    node="" if place is None else place.node,
                    slots=1 if place is None else place.slots,
                    epoch=epoch,
                    epochs=epochs,
                    value=value,
                    seconds=seconds,
                    seconds_left=_rest(seconds, epoch, epochs, typical),
                )
            )
        return found


def cause_of(reason: str) -> str:
    """Return why a training failed in few words: its kind, and the name of the exception if it is an error."""
    kind, _, detail = reason.partition(":")
    if kind == "error" and detail:
        kind = f"{kind}: {detail.partition(':')[0].strip()}"
    return units.short(kind, CAUSE) or "unknown"


def _state(pulse: Pulse | None, now: datetime, *, running: bool, begun: bool, complete: bool) -> str:
    """Return the state of a search. One that ends in order leaves no trial that is recorded as running."""
    if pulse is not None and pulse.ended is None and running and not pulse.is_alive(now):
        return DEAD
    if running or (pulse is not None and pulse.is_alive(now)):
        return SEARCHING
    if complete:
        return OVER
    return STOPPED if begun or pulse is not None else STARTING


def _standing(row: Row) -> Standing:
    return Standing(int(row["trial"]), str(row["name"]), float(row["expected"]))


def _last_epoch(reported: Mapping[int, float], curve: list[dict[str, Any]], metric: str) -> tuple[int, float | None]:
    """Return the last epoch and its metric: as it was reported during the training, or by a curve in the record."""
    if reported:
        epoch = max(reported)
        return epoch, reported[epoch] if math.isfinite(reported[epoch]) else None
    value = number_at(curve[-1], metric) if curve else math.nan
    return len(curve), float(value) if math.isfinite(value) else None


def _rest(seconds: float | None, epoch: int, epochs: int | None, typical: float | None) -> float | None:
    """Return the seconds that a training has left."""
    if seconds is None:
        return None
    if epoch > 0 and epochs is not None:
        return seconds / epoch * max(0, epochs - epoch)
    return None if typical is None else max(0.0, typical - seconds)


def _slot_seconds_left(waiting: int, running: tuple[TrainingStatus, ...], typical: float | None) -> float | None:
    """Return the slot-seconds of the trials that have not ended, of which `waiting` have not begun; None before one can
    tell how long a trial takes.
    """
    begun = [one.slots * one.seconds_left for one in running if one.seconds_left is not None]
    if typical is None:
        paces = [one.seconds + one.seconds_left for one in running if one.epoch and one.seconds and one.seconds_left]
        typical = sum(paces) / len(paces) if paces else None
    if typical is None:
        return None if waiting or not begun else sum(begun)
    return waiting * typical + sum(begun)


def _seconds_left(
    pulse: Pulse | None, silence: float | None, slot_seconds: float | None, running: tuple[TrainingStatus, ...]
) -> float | None:
    """Return the estimate of the search itself, or one from the slots where it has none."""
    if pulse is not None and pulse.seconds_left is not None:
        return max(0.0, pulse.seconds_left - (silence or 0.0))
    at_a_time = pulse.slots if pulse is not None else sum(one.slots for one in running)
    return None if slot_seconds is None else slot_seconds / max(1, at_a_time)


def _marks(topology: object) -> str:
    try:
        return marks(Topology.from_dict(topology))
    except TopologyError:
        return ""
