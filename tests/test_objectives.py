"""Objectives from their row to the card: the rows of OBJECTIVES, and what a space declares. Without Ray."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from rich.console import Console

from nas import results
from nas.analysis import leaderboard, leaderboard_table, report, space_table
from nas.cost import measure
from nas.cost.cost import Cost
from nas.errors import RunError
from nas.export.card import render_card
from nas.export.runs import card_of
from nas.searching import driver
from nas.searching.outcome import TrialOutcome
from nas.searching.session import Session
from nas.space import OBJECTIVES, Objective, SearchSpace
from nas.space.objectives import ACCURACY, RESERVED, predicted_objectives
from nas.space.quantities import UNITS
from nas.study import Run
from nas.study.frame import COURSE, FACTS
from nas.tasks import get
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.block import Head, Stem
from nas.training.evaluate import Evaluator
from tests.helpers import scripted
from tests.helpers.topologies import kind_of

optuna.logging.set_verbosity(optuna.logging.WARNING)
TINY = Topology((1, 8, 8), Stem("conv3x3", 2), (), Head("classify"), 10)
NO_OBJECTIVES = {"inference"}  # numbers of a Cost that no search is after
DIAGNOSTICS = {"samples_per_second", "memory", "replayed", "waited", "busy"}  # measured, and no objectives
ROWS = "nas/space/objectives.py"


# ------------------------------------------------------------------------------------------------ what a row asks for


def test_what_is_known_before_training_is_measured() -> None:
    cost = measure(TINY)
    for name in predicted_objectives():
        assert isinstance(getattr(cost, name, None), int), (
            f"OBJECTIVES[{name!r}] says before_training=True, but nas.cost.Cost has no whole number {name!r}: "
            f"add the field to Cost in nas/cost/cost.py, or say before_training=False in {ROWS}"
        )


def test_what_is_measured_before_training_has_a_row() -> None:
    found = {field.name for field in dataclasses.fields(Cost) if field.type == "int"}
    for name in found - NO_OBJECTIVES:
        assert name in predicted_objectives(), (
            f"nas.cost.Cost has {name!r}, but OBJECTIVES has no such row: add Objective({name!r}, …, "
            f"before_training=True) in {ROWS}, or name it in NO_OBJECTIVES of this test"
        )


@pytest.fixture(scope="module")
def reported() -> set[str]:
    """What a training reports and measures besides the metric, on a processor."""
    evaluator = Evaluator(get("digits"), Recipe(epochs=1), with_latency=True)
    last = list(evaluator.start(TINY, seed=0))[-1]
    return {*evaluator.measured, *last}


def test_what_is_known_after_training_is_measured(reported: set[str]) -> None:
    for name in OBJECTIVES.keys() - predicted_objectives().keys() - {ACCURACY}:
        assert name in reported | DIAGNOSTICS, (
            f"OBJECTIVES[{name!r}] is known after training, but no training measures {name!r}: add it to `measured` in "
            f"nas/training/evaluate.py, or remove the row from {ROWS}"
        )


def test_what_a_training_measures_has_a_row(reported: set[str]) -> None:
    metrics = {"accuracy", "loss", "train_accuracy", "train_loss", "epoch"}
    for name in reported - metrics - DIAGNOSTICS:
        assert name in OBJECTIVES, (
            f"a training measures {name!r}, but OBJECTIVES has no such row: add Objective({name!r}, …) in {ROWS}, "
            "or name it in DIAGNOSTICS of this test"
        )


def test_rows_have_known_units_and_names_of_their_own() -> None:
    for name, row in OBJECTIVES.items():
        assert row.unit in UNITS, (
            f"OBJECTIVES[{name!r}] has the unit {row.unit!r}, which UNITS in nas/space/quantities.py lacks: add it"
        )
    assert not OBJECTIVES.keys() & RESERVED
    assert len({row.title for row in OBJECTIVES.values()}) == len(OBJECTIVES)


def test_no_objective_can_have_the_name_of_another_column(tmp_path: Path) -> None:
    run = searched(tmp_path, scripted.space(1))
    others = {*FACTS, *COURSE, *leaderboard(run).columns} - run.space.goals.columns.keys()
    assert others <= RESERVED, f"add {sorted(others - RESERVED)} to RESERVED in {ROWS}: they are columns of a table"


def test_the_readme_names_every_objective() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `objectives:"))
    for name in OBJECTIVES:
        assert f"`{name}`" in row, f"the row `objectives` in README.md must say what {name!r} is"


# ------------------------------------------------------------------------------------------------- from row to card


def searched(
    folder: Path,
    space: SearchSpace,
    outcome: Callable[[Topology], TrialOutcome] | None = None,
    price: Callable[[Topology], Any] = scripted.price,
    trials: int = 100,
) -> Run:
    """A run of `space`, every candidate of which ends as `outcome` says."""

    def fair(topology: Topology) -> TrialOutcome:
        return TrialOutcome([{"epoch": 1, "accuracy": scripted.accuracy(topology)}], True, None, {"seconds": 1.5})

    run = Run.create(space, "run", folder)
    session = Session(run, price, trials)
    try:
        while (candidate := session.ask()) is not None:
            session.tell(candidate, (outcome or fair)(candidate.topology))
    finally:
        session.close()
    return Run.open("run", folder)


def printed(what: Any, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def shown(run: Run) -> dict[str, str]:
    """Every place where people read of the objectives of a run."""
    winner = run.winner
    assert winner is not None
    return {
        "space": printed(space_table(run.space)),
        "leaderboard": printed(leaderboard_table(leaderboard(run), run.space.goals, width=200)),
        "report": report(run).read_text(encoding="utf-8"),
        "card": render_card(card_of(run, winner), run.topology(winner), trained=False, milliseconds=1.0),
    }


def test_a_new_row_is_all_that_a_new_objective_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inference`, which nas.cost has, and `busy`, which every search measures, appear everywhere."""
    monkeypatch.setitem(
        OBJECTIVES, "inference", Objective("inference", "minimize", "bytes", "bytes to infer", before_training=True)
    )
    monkeypatch.setitem(OBJECTIVES, "busy", Objective("busy", "minimize", "s", "slot time"))
    data = scripted.space(2, objectives=["accuracy", "inference", "busy"], constraints={"busy": "2s"}).to_dict()
    space = SearchSpace.from_dict(data | {"limits": {"inference": "1GiB"}})
    assert space.limits == {"inference": 2**30} and space.search.constraints == {"busy": 2}

    def outcome(topology: Topology) -> TrialOutcome:
        curve = [{"epoch": 1, "accuracy": scripted.accuracy(topology)}]
        return TrialOutcome(curve, True, None, {"busy": 1.0 + scripted.chance(topology) / 50})

    run = searched(tmp_path, space, outcome, functools.partial(driver._predict_cost, recipe=space.recipe))
    frame = run.frame()
    assert (frame["state"] == "COMPLETE").all()
    for trial, row in zip(run.study.get_trials(), frame.to_dict("records"), strict=True):
        topology = run.topology(trial.number)
        inference, busy = measure(topology, space.recipe).inference, 1.0 + scripted.chance(topology) / 50
        assert trial.values == [scripted.accuracy(topology), inference, busy]
        assert (row["inference"], row["busy"]) == (inference, busy)
    assert leaderboard(run, by="inference")["inference"].iloc[:3].is_monotonic_increasing
    kept = frame["busy"] <= 2
    assert 0 < kept.sum() < len(frame) and kept[run.winner]
    assert list(leaderboard(run)["feasible"]) == [True] * kept.sum() + [False] * (~kept).sum()
    texts = shown(run)
    assert "inference ↓, busy ↓" in texts["space"] and "busy ≤ 2.0s" in texts["space"]
    assert "inference ≤ 1.00 GiB" in texts["space"]
    assert "accuracy, bytes to infer, slot time at once" in texts["leaderboard"]
    assert 'id="plot-inference"' in texts["report"] and 'id="plot-busy"' in texts["report"]
    assert "bytes to infer" in texts["card"] and "slot time" in texts["card"]
    monkeypatch.undo()
    assert {"inference", "busy"}.isdisjoint(leaderboard(searched(tmp_path / "old", scripted.space(1))).columns)


ENERGY = {"name": "energy", "direction": "minimize", "unit": "J", "title": "energy of a run"}
YIELD = {"name": "yield/h", "direction": "maximize", "unit": "count"}


def energy(topology: Topology) -> float:
    return 10.0 + scripted.chance(topology) / 7


def test_a_declared_objective_is_searched_ranked_and_shown(tmp_path: Path) -> None:
    space = scripted.space(
        3, objectives=["accuracy", ENERGY, YIELD], constraints={"energy": 20, "yield/h": 100}, sampler="topology"
    )
    assert space.to_dict()["search"]["objectives"] == ["accuracy", ENERGY, YIELD]
    assert SearchSpace.from_dict(space.to_dict()).goals == space.goals
    assert space.goals.directions == ["maximize", "minimize", "maximize"]

    def outcome(topology: Topology) -> TrialOutcome:
        last = {"epoch": 2, "accuracy": scripted.accuracy(topology), "energy": energy(topology)}
        return TrialOutcome([{"epoch": 1}, last], True, None, {"yield/h": 50.0 + scripted.chance(topology)})

    run = searched(tmp_path, space, outcome)
    frame = run.frame()
    assert len(frame) == 27 and (frame["state"] == "COMPLETE").all()
    for trial, row in zip(run.study.get_trials(), frame.to_dict("records"), strict=True):
        assert trial.values == [row["accuracy"], row["energy"], row["yield/h"]]
        assert row["energy"] == energy(run.topology(trial.number))
    kept = (frame["energy"] <= 20) & (frame["yield/h"] >= 100)
    assert 0 < kept.sum() < 27
    best = frame[kept].sort_values(["accuracy", "params", "trial"], ascending=[False, True, True]).iloc[0]
    assert run.winner == best["trial"]
    board = leaderboard(run)
    assert board["trial"].iloc[0] == best["trial"] and list(board["feasible"]) == sorted(kept, reverse=True)
    losses = {row.trial: (-row.accuracy, row.energy, -row[3]) for row in _numbers(board[board["feasible"]])}
    front = {one for one, loss in losses.items() if not any(_dominates(other, loss) for other in losses.values())}
    assert set(board.loc[board["pareto"] == 1, "trial"]) == front
    assert leaderboard(run, by="energy")[kept.sum() :]["energy"].is_monotonic_increasing
    assert leaderboard(run, by="yield/h")["yield/h"][: kept.sum()].is_monotonic_decreasing
    with pytest.raises(RunError, match=r"--by must be .* accuracy, .*, energy, yield/h, pareto, knee, but got 'enrgy'"):
        leaderboard(run, by="enrgy")
    texts = shown(run)
    assert "energy ↓ [J, energy of a run], yield/h ↑ [count]" in texts["space"]
    assert "energy ≤ 20 J, yield/h ≥ 100" in texts["space"]
    assert "energy of a run" in texts["leaderboard"] and " J " in texts["leaderboard"]
    assert "nothing is better in accuracy, energy of a run, yield/h at once" in texts["leaderboard"]
    assert 'id="plot-energy"' in texts["report"] and '"ticksuffix": "J"' in texts["report"]
    assert f"| energy of a run | {best['energy']:.4g} J |" in texts["card"]


def _numbers(board: pd.DataFrame) -> Iterable[Any]:
    return board[["trial", "accuracy", "energy", "yield/h"]].itertuples(index=False)


def _dominates(left: tuple[float, ...], right: tuple[float, ...]) -> bool:
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


def test_what_a_candidate_does_not_report_is_its_failure(tmp_path: Path) -> None:
    def outcome(topology: Topology) -> TrialOutcome:
        last = {"epoch": 1, "accuracy": scripted.accuracy(topology)}
        said = {"none": {}, "add": {"energy": math.nan}, "concat": {"energy": 3}}
        kind = kind_of(topology.blocks[0])
        return TrialOutcome([last | said[kind]], True)

    run = searched(tmp_path, scripted.space(1, objectives=["accuracy", ENERGY]), outcome)
    frame = run.frame()
    assert sorted(frame["reason"].dropna()) == ["diverged: energy is nan", "missing metric: no 'energy' was reported"]
    assert [trial.state for trial in run.study.get_trials()].count(TrialState.COMPLETE) == 1


def test_a_function_reports_what_its_space_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def score(topology, *, seed, report):\n"
        "    return {'hits': len(topology.blocks) + seed, 'energy': 2.0 * len(topology.blocks), 'latency': 0.003}\n"
    )
    data = scripted.space(2, objectives=["accuracy", "latency", ENERGY]).to_dict()
    task = {"function": "mine.py:score", "of": "digits", "metric": "hits", "direction": "maximize"}
    space = SearchSpace.from_dict(data | {"task": task})
    evaluator = results.evaluator(space.task, space.recipe)(device="cpu", threads=1)

    def outcome(topology: Topology) -> TrialOutcome:
        curve = list(evaluator.start(topology, seed=0))
        return TrialOutcome(curve, True, None, evaluator.measured)

    run = searched(tmp_path, space, outcome)
    assert [trial.values for trial in run.study.get_trials()] == [[2, 0.003, 4.0]] * 9
    board = leaderboard(run)
    assert (board["energy"] == 4).all() and (board["hits"] == 2).all() and (board["latency"] == 0.003).all()
    assert (board["pareto"] == 1).all()
    assert "hits ↑, latency ↓, energy ↓ [J, energy of a run]" in shown(run)["space"]


def test_a_run_of_before_opens() -> None:
    data = scripted.space().to_dict()
    data["limits"] = {"params": 2_000_000, "memory": None, "flops": None}
    nothing = dict.fromkeys(("params", "memory", "flops", "latency"))
    data["search"] |= {"objectives": ["accuracy", "seconds"], "constraints": nothing | {"seconds": 5.0}}
    space = SearchSpace.from_dict(data)
    assert space.limits == {"params": 2_000_000} and space.search.constraints == {"seconds": 5.0}
    assert space.to_dict()["search"]["objectives"] == ["accuracy", "seconds"]
    assert space.goals.names == ["accuracy", "seconds"]
