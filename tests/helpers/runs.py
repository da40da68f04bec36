"""A run of the small space of `scripted`, and finished trials in it. Without a search."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import create_trial

from nas.study import Run
from nas.study import attributes as names
from nas.topology import Topology
from tests.helpers import scripted

SPACE = scripted.space()


def topology(*kinds: str) -> Topology:
    """Return the point of SPACE with these skips."""
    trial = optuna.trial.FixedTrial({f"block{place:02}.skip": kind for place, kind in enumerate(kinds, 1)})
    return SPACE.sample(trial)


def finished(run: Run, accuracy: float, params: int, *kinds: str, **attributes: Any) -> None:
    """Add a trial that was trained to the end."""
    known = {
        names.TOPOLOGY: topology(*kinds).to_dict(),
        names.PREDICTED: {"params": params, "flops": 3, "memory": 5},
        names.METRICS: {"accuracy": accuracy, "loss": 0.1},
        names.MEASURED: {"seconds": 1.5, "busy": 2.0},
        names.CURVE: [{"epoch": 1, "accuracy": accuracy / 2}, {"epoch": 2, "accuracy": accuracy}],
        names.KEY: topology(*kinds).key,
        names.SEED: 7,
    }
    run.study.add_trial(create_trial(values=[accuracy, params], user_attrs=known | attributes))
