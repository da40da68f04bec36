"""A run for the tests of its parts."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from nas.study import Run
from tests.helpers.runs import SPACE

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run without trials, in tmp_path/first."""
    return Run.create(SPACE, "first", tmp_path)
