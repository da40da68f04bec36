"""Retraining: networks that are trained again from a list of seeds, in a second study in the storage of a run.

A trial belongs to a network, a seed and a way of training, so that the same training is never done twice, whatever is
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nas.errors import RunError, first_fault
from nas.study import Run
from nas.study.attributes import KEY, SEED, number_at, recorded
from nas.study.description import metric_names
from nas.study.reader import StudyReader
from nas.tasks.recipe import Recipe
from nas.topology import Topology

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

# what the record of its trials holds besides, see nas.study.attributes
RECIPE = "recipe"  # Recipe.model_dump()
TRAIN_ON = "train_on"

PLAN = "plan"  # user attribute of the study: the plan of the last call

TrainOn = Literal["train", "train+validation"]


class Network(BaseModel):
    """A network that is trained again, with the number of its parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    key: str
    params: int


class Plan(BaseModel):
    """The trainings that a call asks for: every network from every seed.

    train_on  what weights are trained on
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    networks: tuple[Network, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    train_on: TrainOn = "train"

    def identify(self, network: Network, seed: int) -> TrainingId:
        """Return what a training of the plan is told apart by."""
        return TrainingId(network.key, seed, self.recipe.model_dump_json(), self.train_on)


class TrainingId(NamedTuple):
    """The facts that tell trainings apart: canonical key, seed, recipe as JSON, and what it is trained on."""

    key: str
    seed: int
    recipe: str
    train_on: str

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> TrainingId | None:
        """Return that of a trial with this record; None if it does not say."""
        try:
            recipe = Recipe.model_validate(attributes.get(RECIPE))
        except ValidationError:
            return None
        return cls(
            str(attributes.get(KEY)),
            seed if isinstance(seed := attributes.get(SEED), int) else -1,
            recipe.model_dump_json(),
            str(attributes.get(TRAIN_ON)),
        )


AnyPlan = TypeVar("AnyPlan", bound=Plan)


class Retraining:
    """The second study of a run, NAME.purpose, with a folder of weights; each purpose has a class of its own.

    purpose        what it is for, in one word
    keeps_weights  whether the weights of each network's best training are kept
    """

    purpose: ClassVar[str]
    keeps_weights: ClassVar[bool] = True

    def __init__(self, run: Run) -> None:
        self.run = run

    def topology(self, network: Network) -> Topology:
        """Return the topology of a network of a plan."""
        raise NotImplementedError

    @property
    def study_name(self) -> str:
        """The name of the study."""
        return f"{self.run.study_name}.{self.purpose}"

    @property
    def storage(self) -> RDBStorage:
        """The storage, which is that of the run."""
        return self.run.storage

    @property
    def weights_folder(self) -> Path:
        """The folder of the weights, which may not exist."""
        return self.run.path / self.purpose

    @property
    def journal_folder(self) -> Path:
        """The folder of the results that are not in the storage yet; it need not exist."""
        return self.run.journal_folder / self.purpose

    @property
    def checkpoints_folder(self) -> Path:
        """The folder of the checkpoints, which exists while there are any."""
        return self.run.path / f"{self.purpose}-checkpoints"

    def weights_of(self, number: int | None) -> Path | None:
        """Return the file with the weights of a trial; None if they were not kept."""
        path = self.weights_folder / f"{number}.safetensors"
        return path if path.is_file() else None

    @cached_property
    def reader(self) -> StudyReader:
        """The reader of the study, by which everything looks at it that does not train."""
        return StudyReader(self.run.reader.place, self.study_name, f"run {self.run.name!r}")

    @cached_property
    def study(self) -> Study | None:
        """The study, to train; None if nothing was trained again."""
        import optuna

        try:
            return optuna.load_study(study_name=self.study_name, storage=self.storage)
        except KeyError:
            return None

    def begin(self, plan: Plan) -> None:
        """Write the plan of a call, and create the study if there is none.

        Raises RunError if another search has a study of that name, which may be in a storage that many runs share.
        """
        import optuna

        if self.study is not None and PLAN not in self.study.user_attrs and self.study.get_trials(deepcopy=False):
            raise RunError(f"the storage holds a study {self.study_name!r} of another search: rename that run")
        if self.keeps_weights:
            self.weights_folder.mkdir(exist_ok=True)
        study = optuna.create_study(
            study_name=self.study_name,
            storage=self.storage,
            direction=self.run.space.goals.target.direction,
            load_if_exists=True,
        )
        study.set_metric_names(metric_names([self.run.space.goals.target]))
        study.set_user_attr(PLAN, plan.model_dump(mode="json"))
        self.__dict__["study"] = study

    def read_plan(self, of_plan: type[AnyPlan]) -> AnyPlan | None:
        """Return the plan of the last call; None if there was none. Raises RunError if the study holds no valid one."""
        if not self.reader.exists():
            return None
        try:
            return of_plan.model_validate(self.reader.attribute(PLAN, table="user"))
        except ValidationError as error:
            raise RunError(f"the study {self.study_name!r} holds no plan: {first_fault(error.errors())}") from None

    def trials(self) -> dict[TrainingId, FrozenTrial]:
        """Return the trials that have ended, COMPLETE or FAIL."""
        if not self.reader.exists():
            return {}
        ended = (trial for trial in self.reader.records() if trial.state.is_finished())
        known = ((TrainingId.of(recorded(trial)), trial) for trial in ended)
        return {identity: trial for identity, trial in known if identity is not None}

    def ended(self, plan: Plan) -> dict[str, list[FrozenTrial | None]]:
        """Return the key of each network of a plan → its trial for each seed, None where that has not ended."""
        known = self.trials()
        return {one.key: [known.get(plan.identify(one, seed)) for seed in plan.seeds] for one in plan.networks}


def numbers(trials: Sequence[FrozenTrial | None], attribute: str, name: str) -> list[float]:
    """Return a number of each trial; NaN where it has not ended well."""
    known = [recorded(trial) if trial and trial.state.name == "COMPLETE" else {} for trial in trials]
    return [number_at(one.get(attribute), name) for one in known]


def failed(trials: Sequence[FrozenTrial | None]) -> int:
    """Return how many of the trials have failed."""
    return sum(trial is not None and trial.state.name == "FAIL" for trial in trials)
