"""What each skip of a network is worth, from planted results."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nas.analysis import ablated_frame, ablated_of, ablated_table, report
from nas.analysis.ablated import Ablated, write_ablated
from nas.errors import RunError
from nas.searching.ablation import _variants, _with_simplified, enqueue
from nas.searching.outcome import TrialOutcome
from nas.searching.retrain_session import RetrainSession
from nas.searching.retraining import retraining_space
from nas.study import Run
from nas.study.ablation import LESION, Ablation, Plan
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from tests.helpers import runs, scripted
from tests.helpers.topologies import kind_of

WORTH = {"block01": 0.10, "block02": 0.0, "block03": -0.05}
SEEDS = tuple(range(1000, 1005))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(scripted.space(), "mine", tmp_path)
    runs.finished(made, 0.9, 500, "add", "add", "concat", "none")
    return made


def accuracy(topology: Topology, seed: int, noise: float = 0.004) -> float:
    """Return a result in which skips are worth WORTH, and a concat around block 1 as much less than its add."""
    worth = sum(
        value * (0.0 if not block.skips else 0.5 if (place, kind_of(block)) == ("block01", "concat") else 1.0)
        for (place, value), block in zip(WORTH.items(), topology.blocks, strict=False)
    )
    rng = np.random.default_rng([seed, int(topology.key[:6], 16)])
    return 0.8 + worth + np.random.default_rng(seed).normal(0, 0.02) + rng.normal(0, noise)


def trained(run: Run, plan: Plan, result: Callable[[Topology, int], float] = accuracy, count: int = 10**6) -> list[str]:
    """Train what is left of a plan, and return the keys."""
    ablation, done = Ablation(run), list[str]()
    ablation.begin(plan)
    session = RetrainSession(ablation, retraining_space(run.space, {}), plan)
    while len(done) < count and (candidate := session.ask()) is not None:
        done.append(candidate.topology.key)
        value = result(candidate.topology, candidate.seed)
        measured = {"seconds": 0.1}
        if candidate.topology.key == plan.whole.key:
            measured |= {
                f"{LESION}{one.key}": value - 0.3 - candidate.seed % 3 / 1000
                for one in plan.networks[1:]
                if one.after == "none"
            }
        session.tell(candidate, TrialOutcome([{"epoch": 1, "accuracy": value}], full_budget=True, measured=measured))
    session.close()
    return done


def plan_of(run: Run, seeds: tuple[int, ...] = SEEDS, replace: bool = True) -> Plan:
    return Plan(networks=_variants(run, None, "", replace), seeds=seeds, recipe=Recipe(epochs=2))


def found_of(run: Run) -> Ablated:
    """Return the findings of the ablation of a run, with its simplified network."""
    plan = plan_of(run)
    trained(run, plan)
    first = ablated_of(run)
    assert first is not None
    trained(run, _with_simplified(run, plan, first.needless))
    found = ablated_of(run)
    assert found is not None
    return found


def test_every_skip_is_removed_and_replaced(run: Run) -> None:
    plan = plan_of(run)
    assert plan.whole.name == "trial 0"
    changes = [(one.place, one.before, one.after) for one in plan.networks[1:]]
    assert changes == [
        ("block01", "add", "none"),
        ("block01", "add", "concat"),
        ("block02", "add", "none"),
        ("block02", "add", "concat"),
        ("block03", "concat", "none"),
        ("block03", "concat", "add"),
    ]
    assert [one.after for one in plan_of(run, replace=False).networks[1:]] == ["none"] * 3


def test_what_was_planted_is_found(run: Run) -> None:
    found = found_of(run)
    assert found.complete
    words = {(part.variant.place, part.variant.after): part.word for part in found.parts}
    assert words == {
        ("block01", "none"): "needed",
        ("block01", "concat"): "better than it",
        ("block02", "none"): "does nothing",
        ("block02", "concat"): "no difference",
        ("block03", "none"): "harmful",
        ("block03", "add"): "no difference",
    }
    assert found.needless == ["block02", "block03"]
    for part in found.parts:
        if part.removes:
            figure = part.retrained.figure
            assert figure.low <= WORTH[part.variant.place] <= figure.high
            assert part.lesioned is not None and part.lesioned.figure.mean == pytest.approx(0.301, abs=1e-3)
        else:
            assert part.lesioned is None
    assert found.simplified is not None
    assert ["skip" in one for one in found.simplified.variant.topology["blocks"]] == [True, False, False, False]
    assert found.simplified.word == "harmful"  # the skips that it lacks, together
    text = " ".join(found.verdict())
    assert "The skip of block 1 is needed. The skip of block 3 is harmful." in text
    assert "The skip of block 2 is of no use." in text
    assert "Without these, trial 0 is 4." in text and "points better" in text


def test_what_has_ended_is_not_trained_again(run: Run) -> None:
    plan = plan_of(run)
    first = trained(run, plan, count=10)
    part = ablated_of(run)
    assert part is not None and not part.complete
    assert "trainings are still to be done" in part.verdict()[-1]
    assert len(first) + len(trained(run, plan)) == 7 * len(SEEDS)
    assert trained(run, plan) == []


def test_tables_json_and_report_agree(run: Run) -> None:
    found = found_of(run)
    frame = ablated_frame(found)
    assert list(frame["word"]) == [*(part.word for part in found.parts), "harmful"]
    assert frame["place"].iloc[-1] == "all"
    for width in (80, 120):
        out = io.StringIO()
        Console(file=out, width=width).print(ablated_table(found, width))
        text = out.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert text.count("removed") == 4 and "all idle" in " ".join(text.split()) and "…" not in text
    write_ablated(run, found)
    told = json.loads((run.path / "ablate.json").read_text())
    assert [part["word"] for part in told["parts"]] == list(frame["word"])
    assert told["needless"] == found.needless
    page = report(run).read_text()
    assert "trial 0 without its skips" in page and "<td>idle</td>" in page
    assert not (run.path / "ablate").exists()  # no weights are kept


def test_failures_and_one_seed_are_said(run: Run) -> None:
    plan = plan_of(run, seeds=(1000,))
    trained(run, plan)
    found = ablated_of(run)
    assert found is not None
    assert {part.word for part in found.parts} == {"not clear"}
    assert found.needless == []


def test_an_interval_that_is_wide_or_excludes_zero_is_no_finding(run: Run) -> None:
    trained(run, plan_of(run), lambda topology, seed: accuracy(topology, seed, noise=0.1))
    found = ablated_of(run)
    assert found is not None
    for part in found.parts:
        figure = part.retrained.figure
        if part.word in ("does nothing", "no difference"):
            assert -part.margin <= figure.low <= 0 <= figure.high <= part.margin
    assert "not clear" in {part.word for part in found.parts}


def test_trainings_that_all_fail_are_said_to(run: Run) -> None:
    plan = plan_of(run, seeds=(1000, 1001))
    ablation = Ablation(run)
    ablation.begin(plan)
    session = RetrainSession(ablation, retraining_space(run.space, {}), plan)
    while (candidate := session.ask()) is not None:
        session.tell(candidate, TrialOutcome(failure="diverged"))
    session.close()
    found = ablated_of(run)
    assert found is not None
    assert {part.word for part in found.parts} == {"failed"}
    assert found.verdict() == ["No training of trial 0 came to its end: nothing is known of its skips."]


def test_the_simplified_network_is_trained_next(run: Run) -> None:
    found = found_of(run)
    assert found.simplified is not None
    topology = Topology.from_dict(found.simplified.variant.topology)
    enqueue(run, topology)
    enqueue(run, topology)
    waiting = [trial for trial in run.study.get_trials() if trial.state.name == "WAITING"]
    assert len(waiting) == 1
    assert waiting[0].system_attrs["fixed_params"] == run.space.encode(topology)


def test_mistakes_are_one_clear_line(tmp_path: Path) -> None:
    empty = Run.create(scripted.space(), "empty", tmp_path)
    with pytest.raises(RunError, match="nothing to ablate"):
        plan_of(empty)
    runs.finished(empty, 0.9, 500, "none", "none", "none", "none")
    with pytest.raises(RunError, match="trial 0 has no skip that its space allows to remove or to replace"):
        plan_of(empty)
    assert ablated_of(empty) is None


def test_a_damaged_record_costs_the_report_its_section_alone(run: Run) -> None:
    plan = plan_of(run)
    trained(run, plan)
    study = Ablation(run).study
    assert study is not None
    broken = plan.model_dump(mode="json")
    broken["networks"][1]["place"] = "hello"
    study.set_user_attr("plan", broken)
    with pytest.raises(RunError, match="holds no plan"):
        ablated_of(run)
    page = report(run).read_text()
    assert "without its skips" not in page and "trial 0" in page
