"""Runs with a few trials, for the tests of their dashboards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from nas.study import Run
from tests.helpers.runs import SPACE

optuna.logging.set_verbosity(optuna.logging.WARNING)

MakeRun = Callable[..., Run]
KINDS = CategoricalDistribution(["none", "add"])


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """make_run(name, *accuracies, storage=None): a run in tmp_path/runs with a finished trial of each accuracy, and one
    that is being trained.
    """

    def make(name: str, *accuracies: float, storage: str | None = None) -> Run:
        run = Run.create(SPACE, name, tmp_path / "runs", storage)
        for accuracy in accuracies:
            params = {"block01.skip": KINDS.choices[int(accuracy * 10) % 2]}
            known = {"params": params, "distributions": {"block01.skip": KINDS}, "user_attrs": {"of": name}}
            run.study.add_trial(create_trial(values=[accuracy, 100.0], **known))
        run.study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs={"of": name}))
        return run

    return make
