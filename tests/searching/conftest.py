"""The fixture `session`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from tests.helpers import scripted


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """session(space, …) makes a session of a new run; with resume=True, another session of the same run."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made: list[Session] = []

    def make(space: SearchSpace | None = None, *, trials: int = 10, resume: bool = False, **options: Any) -> Session:
        for before in made:
            before.close()
        run = Run.open("run", tmp_path) if resume else Run.create(space or scripted.space(), "run", tmp_path)
        made[:] = [Session(run, options.pop("predict_cost", scripted.price), trials, **options)]
        return made[0]

    yield make
    for last in made:
        last.close()
