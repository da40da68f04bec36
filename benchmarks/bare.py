"""A recipe and a task without pydantic: what is measured on a bare GPU machine needs torch and numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from nas.tasks.splits import Splits

if TYPE_CHECKING:
    from nas.tasks import Task
    from nas.tasks.recipe import Recipe

DEFAULTS = {  # nas.tasks.recipe.Recipe's
    "epochs": 8,
    "batch_size": 128,
    "lr": 0.1,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "label_smoothing": 0.1,
    "warmup": 0.3,
    "init": "he",
    "grad_clip": None,
    "flip": False,
    "translate": 0,
    "cutout": 0,
    "precision": "float32",
    "memory": "plain",
    "drop_path": 0.0,
    "augmentation": (),
}


def recipe(**settings: Any) -> Recipe:
    """A recipe that nobody validates."""
    return cast("Recipe", SimpleNamespace(**DEFAULTS | settings))


def classification(name: str, input: tuple[int, ...], outputs: int, load: Callable[[], Splits]) -> Task:
    """A task of as many classes as there are outputs."""
    facts = {"name": name, "input": input, "outputs": outputs, "load": load}
    return cast("Task", SimpleNamespace(**facts, metric="accuracy", loss="cross_entropy"))
