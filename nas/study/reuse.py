"""What other runs of the same task and recipe have found: a topology that one of them finished is not trained again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from nas.errors import RunError
from nas.space import SearchSpace
from nas.study import Run
from nas.study import attributes as names


@dataclass(frozen=True)
class Finished:
    """A trial of another run that was trained to the full budget."""

    run: Run
    trial: FrozenTrial

    @property
    def origin(self) -> dict[str, str | int]:
        """Where it comes from, for the record."""
        return {"run": self.run.name, "trial": self.trial.number}

    def weights(self) -> bytes | None:
        """Those that the run has kept."""
        path = self.run.weights(self.trial.number)
        return None if path is None else path.read_bytes()


def finished(runs: Sequence[Run], space: SearchSpace) -> dict[str, Finished]:
    """key → the first result of it in the runs. Raises RunError where a run was for something else."""
    found: dict[str, Finished] = {}
    for run in runs:
        check(run, space)
        for trial in run.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if names.CURVE in trial.user_attrs:
                found.setdefault(trial.user_attrs[names.KEY], Finished(run, trial))
    return found


def check(run: Run, space: SearchSpace) -> None:
    """Raises RunError unless the results of the run are those that a search of the space would find."""
    for difference in _differences(run.space, space):
        raise RunError(f"run {run.name!r} cannot be reused: {difference}")


def _differences(theirs: SearchSpace, ours: SearchSpace) -> Iterator[str]:
    """What makes results incomparable: another task, another recipe."""
    left, right = theirs.to_dict(), ours.to_dict()
    if left["task"] != right["task"]:
        yield f"its task is {left['task']}, but here it is {right['task']}"
    for name, value in left["train"].items():
        if value != right["train"][name]:
            yield f"its train.{name} is {value}, but here it is {right['train'][name]}"
