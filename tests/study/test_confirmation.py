"""The second study of a run: what it holds, and what is no confirmation."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import RunError
from nas.study import Run
from nas.study.confirmation import Confirmation, Network, Plan
from nas.study.retraining import PLAN, TrainingId
from nas.tasks.recipe import Recipe
from tests.helpers import scripted
from tests.helpers.runs import finished

NETWORK = Network(name="trial 1", trial=1, key="ab", baseline=False, searched=0.9, expected=0.88, params=1000)
WANTED = Plan(networks=(NETWORK,), seeds=(1000, 1001), recipe=Recipe(epochs=2))


def test_nothing_is_confirmed_at_first(tmp_path: Path) -> None:
    confirmation = Confirmation(Run.create(scripted.space(), "mine", tmp_path))
    assert confirmation.study is None
    assert confirmation.plan is None
    assert confirmation.trials() == {}


def test_a_plan_is_kept_in_a_study_of_the_same_storage(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "mine", tmp_path)
    Confirmation(run).begin(WANTED)
    again = Confirmation(Run.open("mine", tmp_path))
    assert again.plan == WANTED
    assert again.study_name == "mine.confirm"
    assert sorted(study.study_name for study in run.storage.get_all_studies()) == ["mine", "mine.confirm"]
    assert run.frame().empty  # the study of the search does not show it


def test_a_study_of_someone_else_is_one_clear_line(tmp_path: Path) -> None:
    confirmation = Confirmation(Run.create(scripted.space(), "mine", tmp_path))
    confirmation.begin(WANTED)
    assert confirmation.study is not None
    confirmation.study.set_user_attr(PLAN, {"networks": "none", "seeds": [1]})
    with pytest.raises(RunError, match=r"'mine\.confirm' holds no plan"):
        _ = Confirmation(Run.open("mine", tmp_path)).plan


def test_the_study_of_another_search_is_left_alone(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "mine", tmp_path)
    other = Run.create(scripted.space(), "mine.confirm", tmp_path, run.storage_url)
    finished(other, 0.9, 100, "none", "none", "none", "none")
    with pytest.raises(RunError, match=r"holds a study 'mine\.confirm' of another search"):
        Confirmation(run).begin(WANTED)
    assert len(other.study.get_trials()) == 1


def test_trainings_are_told_apart_by_the_way_they_were_trained() -> None:
    longer = WANTED.model_copy(update={"recipe": Recipe(epochs=3)})
    on_more = WANTED.model_copy(update={"train_on": "train+validation"})
    identities = {plan.identify(NETWORK, seed) for plan in (WANTED, longer, on_more) for seed in plan.seeds}
    assert len(identities) == 6
    known = {"key": "ab", "seed": 1000, "recipe": {"epochs": 2}, "train_on": "train"}
    assert TrainingId.of(known) == WANTED.identify(NETWORK, 1000)
    assert TrainingId.of({}) is None
    assert TrainingId.of(known | {"recipe": {"epochs": "many"}}) is None
