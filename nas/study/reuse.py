"""Reuse of results: a topology that another run of the same task and recipe has finished is not trained again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.space import SearchSpace
from nas.study import Run
from nas.study.attributes import CURVE, KEY, recorded


@dataclass(frozen=True)
class ReusableTrial:
    """A trial of another run that was trained to the full budget."""

    run: Run
    trial: FrozenTrial

    @property
    def origin(self) -> dict[str, str | int]:
        """The run and the number of the trial, as the study of this run records them."""
        return {"run": self.run.name, "trial": self.trial.number}

    def weights(self) -> bytes | None:
        """Return the weights that the other run has kept, as a safetensors file; None if it kept none."""
        path = self.run.weights(self.trial.number)
        return None if path is None else path.read_bytes()


def reusable_trials(runs: Sequence[Run], space: SearchSpace) -> dict[str, ReusableTrial]:
    """Return canonical key → the first finished trial of that topology in `runs`.

    Raises RunError if the results of a run cannot be compared with those of a search of `space`.
    """
    found: dict[str, ReusableTrial] = {}
    for run in runs:
        check_reusable(run, space)
        for trial in run.reader.records():
            known = recorded(trial)
            if trial.state == TrialState.COMPLETE and {CURVE, KEY} <= known.keys():
                found.setdefault(known[KEY], ReusableTrial(run, trial))
    return found


def check_reusable(run: Run, space: SearchSpace) -> None:
    """Raise RunError unless the results of the run are those that a search of the space would find."""
    for difference in _differences(run.space, space):
        raise RunError(f"run {run.name!r} cannot be reused: {difference}")


def _differences(theirs: SearchSpace, ours: SearchSpace) -> Iterator[str]:
    """Yield every difference that makes results incomparable: another task, another recipe."""
    left, right = theirs.to_dict(), ours.to_dict()
    if left["task"] != right["task"]:
        yield f"its task is {left['task']}, but here it is {right['task']}"
    for name, value in left["train"].items():
        if value != right["train"][name]:
            yield f"its train.{name} is {value}, but here it is {right['train'][name]}"
