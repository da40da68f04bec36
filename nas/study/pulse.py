"""The pulse of a search: what its process writes into the study every few seconds, so that others see it alive.

It is a system attribute of the study, so that the dashboards of Optuna do not list it among the attributes of the user.
Each member of a search (nas.study.lease) has a seat, and each seat an attribute.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from nas import units
from nas.study import compat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.storages import BaseStorage, RDBStorage

NAME = "nas:pulse"  # of the system attribute of the first seat
EVERY_S = 5.0  # seconds between two signs of life, unless a search says otherwise
SILENCE_S = 60.0  # a shorter silence does not mean that a search is dead: a disk or a network may be slow
LONGEST = 200  # characters of a text
MISSED = 3  # signs of life that may be missing


def _short(text: object) -> object:
    return units.short(text, LONGEST) if isinstance(text, str) else text


Word = Annotated[str, BeforeValidator(_short)]
Whole = Annotated[int, Field(ge=0, lt=2**31)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class RunningTrial(BaseModel):
    """A trial that is being trained: where, with how many slots, its last epoch (0: none yet) and the metric then."""

    model_config = ConfigDict(frozen=True)

    trial: Whole
    node: Word = ""
    slots: Whole = 1
    epoch: Whole = 0
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None


class Pulse(BaseModel):
    """One sign of life of a search.

    host, pid         where its process runs
    token             of the member that wrote it
    lease             the revision of the lease that the member knows: it has noticed whoever came before
    alive             when it wrote the sign, in UTC
    every             seconds between two signs
    slots             those of all devices (nas.searching.packing); slots_per_gpu of them are one GPU, where gpu is true
    utilisation       the share of their time that slots spent in training, 0 … 1
    seconds_left      an estimate; None before there is one
    running           the trials that are being trained
    ended             why the search is over, in its last sign; None while it goes on
    """

    model_config = ConfigDict(frozen=True)

    host: Word
    pid: Whole
    alive: AwareDatetime
    token: Word = ""
    lease: Whole = 0
    every: Seconds = EVERY_S
    slots: Whole = 1
    gpu: bool = False
    slots_per_gpu: Annotated[int, Field(ge=1, lt=2**31)] = 1
    utilisation: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    seconds_left: Seconds | None = None
    running: Annotated[tuple[RunningTrial, ...], Field(max_length=10_000)] = ()
    ended: Word | None = None

    def silence(self, now: datetime | None = None) -> float:
        """Return the seconds since the sign; `now` is a time with a zone, the present unless given."""
        return max(0.0, ((now or datetime.now(UTC)) - self.alive).total_seconds())

    def is_alive(self, now: datetime | None = None) -> bool:
        """Return whether the search goes on: it has not said that it ended, and was not silent for too long."""
        return self.ended is None and self.silence(now) <= max(MISSED * self.every, SILENCE_S)


def attribute(seat: int) -> str:
    """Return the name of the system attribute that holds the pulse of a seat."""
    return f"{NAME}:{seat}" if seat else NAME


def write(storage: BaseStorage, study_id: int, pulse: Pulse, seat: int = 0) -> None:
    """Write a pulse into a study, in place of the last one of the seat; its time is written in UTC, to the second."""
    second = pulse.alive.astimezone(UTC).replace(microsecond=0)
    content = pulse.model_copy(update={"alive": second}).model_dump(mode="json")
    storage.set_study_system_attr(study_id, attribute(seat), content)


def read(storage: RDBStorage, study_id: int, seat: int = 0) -> Pulse | None:
    """Return the last pulse of a seat; None if there is none, or none that can be read."""
    text = compat.study_attribute(storage, study_id, attribute(seat))
    try:
        return None if text is None else Pulse.model_validate_json(text)
    except ValueError:  # no JSON, or no pulse
        return None


def together(pulses: Sequence[Pulse], now: datetime | None = None) -> Pulse | None:
    """Return the pulses of the members of a search as one: that of those who are alive, or the last one if none is."""
    alive = [one for one in pulses if one.is_alive(now)]
    last = max(alive or pulses, key=lambda one: one.alive, default=None)
    if last is None or len(alive) < 2:
        return last
    slots, left = sum(one.slots for one in alive), [one.seconds_left for one in alive if one.seconds_left is not None]
    changes = {
        "slots": slots,
        "gpu": all(one.gpu for one in alive),
        "utilisation": sum(one.slots * one.utilisation for one in alive) / max(1, slots),
        "seconds_left": min(left, default=None),
        "running": tuple(trial for one in alive for trial in one.running),
        "ended": None,
    }
    return last.model_copy(update=changes)
