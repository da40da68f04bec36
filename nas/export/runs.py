"""Export the winner of a run, or any of its trials, with a card of what the run recorded about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.analysis.confirmed import Confirmed, confirmed_of
from nas.errors import ExportError, TaskError, message_of
from nas.export.card import ModelCard
from nas.export.formats import FORMATS, check_formats
from nas.export.write import Weights, export_topology
from nas.space import Goals
from nas.study.confirmation import Confirmation
from nas.study.pareto import pareto_rank
from nas.study.states import STATE_WORDS
from nas.tasks.registry import is_function

if TYPE_CHECKING:
    from nas.study import Run
    from nas.tasks import Splits, Task

Row = dict[str, Any]  # a row of the run's frame

NEIGHBOURS = 2  # to each side


def export_run(
    run: Run, number: int | None = None, path: Path | str | None = None, *, formats: Iterable[str] = ()
) -> Path:
    """Write the best network of a run (or trial `number`) as network.py, weights and card.md, and return their folder.

    The best is that of the last confirmation (nas.analysis.confirmed), or the winner of the search where nothing was
    confirmed.

    The folder is <run>/best, or <run>/trial-<number>, unless `path` names another. The weights are written if the run
    kept them, as it does for its leaders. formats: see `export_code`. Raises RunError if there is no such trial, and
    ExportError if no trial was trained to the end or if the file would not compute the network.
    """
    confirmed = confirmed_of(run) if number is None else None
    confirmed = None if confirmed is None or confirmed.best.trial is None else confirmed
    chosen = number if number is not None else run.winner if confirmed is None else confirmed.best.network.trial
    if chosen is None:
        raise ExportError(f"run {run.name!r} has no trial that was trained to the end, so there is nothing to export")
    own = run.path / ("best" if number is None else f"trial-{number}")
    folder = Path(path) if path is not None else own
    topology, weights = run.topology(chosen), _weights(run, chosen, confirmed)
    card, others = card_of(run, chosen, confirmed), check_formats(formats)
    export_topology(topology, folder, weights=weights, title=card.title, formats=others, card=card)
    if folder == own:
        stale = {f"network.{name}" for name in FORMATS if name not in others}
        for name in stale | ({"weights.safetensors"} if weights is None else set()):
            (own / name).unlink(missing_ok=True)  # of an earlier winner
    return folder


def card_of(run: Run, number: int, confirmed: Confirmed | None = None) -> ModelCard:
    """Return the card of a trial, from the record of the run, and from that of the confirmation whose best it is."""
    rows, task = _rows(run), run.space.task
    row, results = rows[number], _results(run, number, rows)
    columns = _columns(run.space.goals)
    return ModelCard(
        title=f"{run.name}, trial {number}",
        facts=dict(_facts(run, row, results, task)) | dict(_confirmed_facts(confirmed)),
        notes=tuple(_notes(run, row, results, rows) if confirmed is None else _confirmed_notes(run, confirmed)),
        columns=tuple(run.space.goals.columns[name].title for name in columns),
        neighbours=tuple(_neighbours(run, number, rows, columns)),
        recipe=run.space.recipe if confirmed is None else confirmed.plan.recipe,
    )


@dataclass(frozen=True)
class Results:
    """The results of one topology in a run.

    values, seeds       the metric of each of its trainings, and their seeds
    expected, interval  what all results of the run tell of the metric, and its 95 % interval; None where nothing tells
                        luck from merit, because no topology was trained twice
    tied                how many other topologies, that break no constraint, are not separated from it by what was
                        measured
    """

    values: Sequence[float]
    seeds: Sequence[str]
    expected: float | None = None
    interval: tuple[float, float] = (math.nan, math.nan)
    tied: int = 0


def _results(run: Run, number: int, rows: dict[int, Row]) -> Results:
    """Return the results of the topology of a trial; those of the trial alone if it was not trained to the end."""
    metric, standing = run.space.task.metric, run.standing()
    place = standing.place(number)
    trials = [number] if place is None else [score.number for score in standing.groups[place]]
    values = [rows[trial][metric] for trial in trials]
    seeds = [f"{rows[trial]['seed']:.0f}" if _is_number(rows[trial]["seed"]) else "unknown" for trial in trials]
    beliefs = standing.expected
    if place is None or beliefs.noise == 0:
        return Results(values, seeds)
    sign = 1 if run.space.task.direction == "maximize" else -1
    expected, half = sign * float(beliefs.mean[place]), float(beliefs.half_width[place])
    apart, width = beliefs.differences(place)
    feasible = np.array([all(one.feasible for one in same) for same in standing.groups])
    feasible[place] = False
    tied = int((feasible & (abs(apart) <= width)).sum())
    return Results(values, seeds, expected, (expected - half, expected + half), tied)


def _columns(goals: Goals) -> tuple[str, ...]:
    """Return the columns of the neighbours: the metric, what is known before training, and the other objectives."""
    known_before = [name for name, objective in goals.columns.items() if objective.before_training]
    return tuple(dict.fromkeys((goals.metric, *known_before, *goals.names)))


def _rows(run: Run) -> dict[int, Row]:
    """trial → its row of the run's frame."""
    frame = run.frame().astype("object")
    return {row[0]: dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)}


def _weights(run: Run, number: int, confirmed: Confirmed | None) -> Weights | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = run.weights(number) if confirmed is None else Confirmation(run).weights_of(confirmed.best.trial)
    try:
        return None if path is None else load_file(path)
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{path} cannot be read: {message_of(error, 200)}") from None


def _facts(run: Run, row: Row, results: Results, task: Task) -> Iterator[tuple[str, str]]:
    splits, recipe, state = _splits(task), run.space.recipe, STATE_WORDS[row["state"]]
    yield "task", task.name
    yield f"validation {task.metric}", _measured(results, task, splits)
    if results.expected is not None:
        low, high = results.interval
        yield (
            f"expected {task.metric}",
            f"{results.expected:.4f}, 95% interval {low:.4f} to {high:.4f}, from all results of the search",
        )
    for objective in run.space.goals.objectives:
        if objective.name != task.metric and not objective.before_training:
            yield objective.title, objective.unit_format.exact(row[objective.name])
    if splits is not None:
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in vars(splits).items())
        yield "data split", f"{sizes} samples; the search never saw the test split"
    if task.results is None:
        yield (
            "trained",
            f"{row['epochs']} of {recipe.epochs} epochs, batch size {recipe.batch_size}, {state}",
        )
    else:
        yield "evaluated", f"by the {' '.join(task.results)}, {state}"
    yield ("seeds" if len(results.seeds) > 1 else "seed"), ", ".join(results.seeds)
    yield "searched with", ", ".join(f"{name} {version}" for name, version in run.config.get("versions", {}).items())
    if run.config.get("commit"):
        yield "commit", str(run.config["commit"])


def _confirmed_facts(confirmed: Confirmed | None) -> Iterator[tuple[str, str]]:
    """Yield what a confirmation adds to the facts of its best network, or says in their place."""
    if confirmed is None:
        return
    best, plan, metric = confirmed.best, confirmed.plan, confirmed.target.name
    for split, figure in (("validation", best.validation), ("test", best.test)):
        if figure is not None:
            spread = f" (95% interval {figure.low:.4f} to {figure.high:.4f})" if figure.n > 1 else ""
            yield f"confirmed {split} {metric}", f"{figure.mean:.4f}, the mean of {figure.n} trainings{spread}"
    yield "confirmed with", f"seeds {', '.join(map(str, plan.seeds))}; {plan.recipe.epochs} epochs; on {plan.train_on}"


def _confirmed_notes(run: Run, confirmed: Confirmed) -> Iterator[str]:
    yield from confirmed.verdict()
    yield from run.space.task.notes
    if Confirmation(run).weights_of(confirmed.best.trial) is None:
        yield "No weights of it were kept: the network is untrained."
    else:
        chosen = "best training by validation" if confirmed.plan.train_on == "train" else "first training"
        yield f"The weights are those of its {chosen} in the confirmation, trial {confirmed.best.trial} there."


def _measured(results: Results, task: Task, splits: Splits | None) -> str:
    """The metric, and how far it may be off by the chance of which samples it was measured on."""
    if not all(map(_is_number, results.values)):
        return "not measured"
    value, words = fmean(results.values), ""
    if len(results.values) > 1:
        words = f", the mean of {len(results.values)} trainings (standard deviation {stdev(results.values):.4f})"
    if task.metric != "accuracy" or splits is None or not 0 <= value <= 1:  # a function may report it in percent
        return f"{value:.4f}{words}"
    return f"{value:.4f}{words}, 95% interval {_interval(value, len(splits.validation))}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _splits(task: Task) -> Splits | None:
    """The data, for its sizes; None where it is not at hand, or where only code of the user could load it."""
    if is_function(task.name):
        return None
    try:
        return task.load()
    except TaskError:
        return None


def _interval(share: float, n: int) -> str:
    """Wilson's score interval of a share of n samples (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return f"{max(middle - half, 0.0):.4f} to {min(middle + half, 1.0):.4f} (Wilson, n = {n:,})"


def _notes(run: Run, row: Row, results: Results, rows: dict[int, Row]) -> Iterator[str]:
    done = len({other["key"] for other in rows.values() if other["state"] == "COMPLETE"})
    count = len(results.values)
    yield (
        f"{'One training with one seed' if count == 1 else f'{count} trainings with as many seeds'}, chosen among "
        f"{done} by the validation split it is measured on: "
        + ("expect somewhat less on new data." if results.expected is None else "what is expected allows for that.")
    )
    if results.tied:
        are = "topologies are" if results.tied > 1 else "topology is"
        yield f"{results.tied} other {are} not separated from it by what the search measured."
    if row["state"] != "COMPLETE":
        yield f"It was not trained to the end ({STATE_WORDS[row['state']]}): the figure is not comparable."
    yield from run.space.task.notes
    if isinstance(row["baseline"], str):  # pandas has NaN for none
        yield f"It is the baseline {row['baseline']}."
    if run.weights(row["trial"]) is None:
        yield "The run kept no weights of this trial: the network is untrained."
    elif count > 1:
        yield f"The weights are those of one training: trial {row['trial']}, seed {row['seed']:.0f}."


def _neighbours(run: Run, number: int, rows: dict[int, Row], columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The trials next to this one in size, of those that nothing beats, itself among them."""
    goals = run.space.goals
    points = {
        trial: [row[name] for name in goals.names]
        for trial, row in rows.items()
        if row["state"] == "COMPLETE" and all(_is_number(row[name]) for name in goals.names)
    }
    fronts = zip(points, pareto_rank([*points.values()], goals.directions), strict=True)
    front = {trial for trial, rank in fronts if rank == 1}
    ranked = sorted(front | ({number} & points.keys()), key=lambda trial: (rows[trial]["params"], trial))
    place = ranked.index(number) if number in ranked else 0
    for trial in ranked[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]:
        cells = (goals.columns[name].unit_format.exact(rows[trial][name]) for name in columns)
        yield (f"{trial} (this one)" if trial == number else str(trial), *cells)
