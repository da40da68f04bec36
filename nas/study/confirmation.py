"""Confirmation: networks of a run that are trained again, with seeds that the search has not used.

Its trials stand in a second study, NAME.confirm, in the storage of the run; the weights of each network's best training
in the run's folder confirm/. A trial belongs to a network, a seed and a way of training, so that the same training is
never done twice, whatever a confirmation is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.errors import RunError
from nas.study import Run
from nas.study.attributes import KEY, SEED
from nas.tasks.recipe import Recipe

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

# user attributes of its trials, besides those of nas.study.attributes; MEASURED holds test_<metric> and test_loss
RECIPE = "recipe"  # Recipe.model_dump()
TRAIN_ON = "train_on"

PLAN = "plan"  # user attribute of the study: the Plan of the last call

TrainOn = Literal["train", "train+validation"]


class Network(BaseModel):
    """A network that is confirmed.

    name      of a baseline, or "trial 12"
    trial     its trial in the search
    baseline  whether it is one of the baselines and controls of the search
    searched  its metric in the search: the mean over its trainings
    expected  what all results of the search tell of its metric
    params    its parameters
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    trial: int = Field(ge=0)
    key: str
    baseline: bool
    searched: float
    expected: float
    params: int


class Plan(BaseModel):
    """The trainings that a call of `confirm` asks for: every network from every seed.

    networks  in the order of the search, the best first
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
        """Return that of a trial with these user attributes; None if they do not say."""
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


class Confirmation:
    """The second study of a run, with its folder of weights."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def study_name(self) -> str:
        """The name of the study."""
        return f"{self.run.study_name}.confirm"

    @property
    def storage(self) -> RDBStorage:
        """The storage, which is that of the run."""
        return self.run.storage

    @property
    def weights_folder(self) -> Path:
        """The folder of the weights, which may not exist yet."""
        return self.run.path / "confirm"

    def weights_of(self, number: int | None) -> Path | None:
        """Return the file with the weights of a trial of the confirmation; None if they were not kept."""
        path = self.weights_folder / f"{number}.safetensors"
        return path if path.is_file() else None

    @cached_property
    def study(self) -> Study | None:
        """The study; None if nothing was confirmed."""
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
            raise RunError(f"the storage holds a study {self.study_name!r} that is no confirmation: rename that run")
        self.weights_folder.mkdir(exist_ok=True)
        study = optuna.create_study(
            study_name=self.study_name,
            storage=self.storage,
            direction=self.run.space.goals.target.direction,
            load_if_exists=True,
        )
        study.set_user_attr(PLAN, plan.model_dump(mode="json"))
        self.__dict__["study"] = study

    @property
    def plan(self) -> Plan | None:
        """The plan of the last call; None if there was none. Raises RunError if the study holds no valid one."""
        if self.study is None:
            return None
        try:
            return Plan.model_validate(self.study.user_attrs.get(PLAN))
        except ValidationError as error:
            words = f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
            raise RunError(f"the study {self.study_name!r} is no confirmation: {words[:200]}") from None

    def trials(self) -> dict[TrainingId, FrozenTrial]:
        """Return the trials that have ended, COMPLETE or FAIL."""
        if self.study is None:
            return {}
        ended = (trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished())
        known = ((TrainingId.of(trial.user_attrs), trial) for trial in ended)
        return {identity: trial for identity, trial in known if identity is not None}
