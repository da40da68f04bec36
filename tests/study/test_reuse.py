"""The runs whose results may be reused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import RunError
from nas.space import SearchSpace
from nas.study import Run
from nas.study.reuse import check_reusable, reusable_trials
from tests.helpers import scripted


def test_only_a_run_of_the_same_task_and_recipe_is_reused(tmp_path: Path) -> None:
    data = scripted.space().to_dict()
    longer = SearchSpace.from_dict(data | {"train": data["train"] | {"epochs": 3}})
    other = Run.create(longer, "longer", tmp_path)
    with pytest.raises(RunError, match=r"run 'longer' cannot be reused: its train.epochs is 3, but here it is 2"):
        reusable_trials([other], scripted.space())
    looked_up = SearchSpace.from_dict(data | {"task": {"of": "digits", "table": "t.json"}})
    with pytest.raises(RunError, match=r"run 'table' cannot be reused: its task is \{"):
        check_reusable(Run.create(looked_up, "table", tmp_path), scripted.space())
