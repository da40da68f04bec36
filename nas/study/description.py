"""The user attributes of a study: what is searched, how, and where, for people who look at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nas import units
from nas.space import Objective

if TYPE_CHECKING:
    from nas.study import Run

STOP = "stop"  # whoever sets it to true stops the search
LONGEST = 200  # characters of a value


def asks_to_stop(attributes: Mapping[str, Any]) -> bool:
    """Return whether the user attributes of a study ask to stop its search; a command line writes true as a text."""
    return str(attributes.get(STOP)).lower() in ("true", "1")


def metric_names(objectives: Iterable[Objective]) -> list[str]:
    """Return the names of objectives with their units, for the axes of every plot."""
    return [f"{one.name} [{one.unit}]" if one.unit not in ("", "count") else one.name for one in objectives]


def describe_study(run: Run) -> None:
    """Write the names of the objectives and the user attributes of the study of a run."""
    study, known = run.study, run.study.user_attrs
    names = metric_names(run.space.goals.objectives)
    if study.metric_names != names:
        study.set_metric_names(names)
    for name, value in study_attributes(run).items():
        if known.get(name) != value:
            study.set_user_attr(name, value)


def study_attributes(run: Run) -> dict[str, str | int | bool]:
    """Return the user attributes of the study of a run, each a few words."""
    space, search = run.space, run.space.search
    recipe, versions = space.recipe, run.config.get("versions")
    versions = versions if isinstance(versions, Mapping) else {}
    facts: dict[str, Any] = {
        "searched": f"{space.size():,} topologies",
        "space": run.config.get("source") or "given in Python",
        "task": space.task.name,
        "recipe": f"{recipe.epochs} epochs, batch size {recipe.batch_size}, {recipe.optimizer}, lr {recipe.lr:g}",
        "objectives": ", ".join(map(_objective, space.goals.objectives)),
        "trials": search.trials,
        "sampler": search.sampler,
        "baselines": ", ".join(map(str, search.baselines)) or "none",
        "limits": ", ".join(f"{name} ≤ {limit:,}" for name, limit in space.limits.items()) or "none",
        "folder": str(run.path.resolve()),
        "resume": f"nas search --resume {run.name}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        STOP: False,
    }
    return {name: value if isinstance(value, int) else units.short(value, LONGEST) for name, value in facts.items()}


def _objective(one: Objective) -> str:
    return f"{one.name} ({one.direction})"
