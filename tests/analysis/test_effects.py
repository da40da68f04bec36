"""What decisions are worth: planted effects, a published table, and words and tables that say it."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from optuna.trial import FixedTrial
from rich.console import Console

from nas.analysis.additive import Additive, explained
from nas.analysis.effects import FEWEST, Effects, effects
from nas.analysis.effects_text import effects_tables
from nas.analysis.factors import Column, design, factors_of, is_skip
from nas.errors import RunError
from nas.space import OBJECTIVES, SearchSpace
from nas.topology import Topology
from tests.helpers.published import nas_bench_macro, needs_table
from tests.helpers.topologies import kind_of
from tests.surrogate.planted import Drawn

DIGITS = SearchSpace.load("digits")
ACCURACY = OBJECTIVES["accuracy"]
NOISE = 0.3
PLANTED = {("block03", "add"): 0.5, ("block06", "concat"): -0.4, ("block09", "gate"): 0.25, ("block10", "add"): -0.6}
TOGETHER = (("block05.skip", "gate"), ("block07.skip", "add"))
EXTRA = 1.2  # what the two are worth together


class Run(NamedTuple):
    """A planted landscape with trials of it: the effects that were found, and the true one of each cell."""

    found: Effects
    truth: pd.Series[float]


def frame_of(topologies: list[Topology], values: Any, **changes: Any) -> pd.DataFrame:
    """Return finished trials with these values of accuracy."""
    rows = [
        {"trial": number, "state": "COMPLETE", "key": one.key, "topology": one.to_dict(), "accuracy": value} | changes
        for number, (one, value) in enumerate(zip(topologies, values, strict=True))
    ]
    return pd.DataFrame(rows)


def planted(seed: int, trials: int = 300, extra: float = EXTRA) -> Run:
    """Return the effects found from uniform topologies of the digits space with PLANTED effects and one interaction."""
    trial, rng = Drawn(random.Random(seed)), np.random.default_rng(seed)
    topologies = [DIGITS.sample(trial) for _ in range(trials)]
    values = []
    both = []
    for one in topologies:
        factors = factors_of(DIGITS, one.to_dict())
        assert factors is not None
        kinds = factors.values
        values.append(sum(PLANTED.get((name.partition(".")[0], kind), 0.0) for name, kind in kinds.items()))
        both.append([kinds.get(name) == kind for name, kind in TOGETHER])
    hit = np.array(both)
    y = np.array(values) + extra * hit.all(1) + rng.normal(0, NOISE, trials)
    found = effects(frame_of(topologies, y), DIGITS, ACCURACY, drawn=True)
    cells = found.cells
    truth = pd.Series(
        [PLANTED.get((d.partition(".")[0], v), 0.0) for d, v in zip(cells["decision"], cells["value"], strict=True)]
    )
    for place, other in ((0, 1), (1, 0)):  # on average over the topologies, a part of it belongs to each of the two
        name, kind = TOGETHER[place]
        truth[(cells["decision"] == name) & (cells["value"] == kind)] += extra * hit[:, other].mean()
    return Run(found, truth)


def check_coverage(runs: list[Run]) -> None:
    """Check how many intervals hold the truth, how many null cells are flagged, and that the interaction is found."""
    covered, flagged, together = [], [], []
    for found, truth in runs:
        skips = found.cells["decision"].map(is_skip)
        inside = (found.cells["low"] <= truth) & (truth <= found.cells["high"])
        covered.append(inside[skips].mean())
        flagged.append(found.cells["separated"][skips & (truth == 0)].mean())
        best = found.pairs.iloc[0]
        names = {(best["decision"], best["value"]), (best["other"], best["other_value"])}
        together.append(names == set(TOGETHER) and bool(best["separated"]))
        assert found.pairs["separated"].sum() <= 2
    assert 0.90 <= np.mean(covered) <= 0.99, np.mean(covered)
    assert np.mean(flagged) <= 0.05, np.mean(flagged)
    assert np.mean(together) >= 0.8


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [planted(seed) for seed in range(4)]


def test_planted_effects_are_covered_and_what_is_null_is_not_flagged(runs: list[Run]) -> None:
    check_coverage(runs)


@pytest.mark.slow
def test_planted_effects_are_covered_over_twenty_seeds() -> None:
    check_coverage([planted(seed) for seed in range(20)])


def test_large_effects_are_seen(runs: list[Run]) -> None:
    for found, _ in runs:
        cells = found.cells.set_index(["decision", "value"])
        for (place, kind), effect in PLANTED.items():
            row = cells.loc[(f"{place}.skip", kind)]
            if abs(effect) >= 0.5:
                assert row["separated"] and np.sign(row["effect"]) == np.sign(effect)
            assert row["effect"] == pytest.approx(effect, abs=0.35)


def test_where_explains_what_counts_do_not(runs: list[Run]) -> None:
    for found, _ in runs:
        steps = found.steps.set_index("step")
        assert steps.loc["where", "adds_low"] > 0.1
        assert steps.loc["where", "share"] > steps.loc["how many", "share"]
        assert (steps["low"] <= steps["share"]).all() and (steps["share"] <= steps["high"]).all()


def test_importances_name_what_was_planted(runs: list[Run]) -> None:
    for found, _ in runs:
        assert found.importances["importance"].sum() == pytest.approx(1)
        top = set(found.importances.head(5)["decision"])
        assert "block03.skip" in top or "block10.skip" in top


def test_how_many_explains_a_landscape_of_counts() -> None:
    trial, rng = Drawn(random.Random(1)), np.random.default_rng(1)
    topologies = [DIGITS.sample(trial) for _ in range(200)]
    gates = [sum(kind_of(block) == "gate" for block in one.blocks) for one in topologies]
    found = effects(frame_of(topologies, 0.2 * np.array(gates) + rng.normal(0, 0.1, 200)), DIGITS, ACCURACY)
    steps = found.steps.set_index("step")
    assert steps.loc["how many", "adds"] > 0.7
    assert steps.loc["where", "adds"] < 0.05
    gate = found.counts.set_index("what").loc["skip gate"]
    assert gate["low"] <= 0.2 <= gate["high"] and gate["separated"]
    assert "One more block changes accuracy: skip gate" in " ".join(found.verdict())


def test_pure_noise_flags_next_to_nothing() -> None:
    trial = Drawn(random.Random(2))
    topologies = [DIGITS.sample(trial) for _ in range(120)]
    flagged = []
    for seed in range(5):
        y = np.random.default_rng(seed).standard_t(4, 120)
        found = effects(frame_of(topologies, y), DIGITS, ACCURACY)
        flagged.append(found.cells["separated"].sum() + found.pairs["separated"].sum())
    assert np.mean(flagged) <= 1, flagged


def test_matched_pairs_differ_in_one_decision_alone() -> None:
    base = {"stage1.blocks": 4, "stage1.op": "basic", "stage1.width": 16, "stage2.blocks": 6, "stage2.op": "basic"}
    base |= {"stage2.width": 32} | {f"block{place:02}.skip": "none" for place in range(1, 11)}
    changes: list[Mapping[str, Any]] = [{}, {"block02.skip": "add"}, {"block05.skip": "gate"}]
    changes += [{"block02.skip": "add", "block05.skip": "gate"}, {"stage1.width": 12}]
    changes += [{"block09.skip": kind} for kind in ("add", "concat", "gate")]
    changes += [
        {"block10.skip": kind, "block02.skip": other} for kind in ("add", "gate") for other in ("none", "concat")
    ]
    topologies = [DIGITS.sample(FixedTrial(base | dict(change))) for change in changes]
    y = [0.5 + 0.1 * len(change) for change in changes]
    cells = effects(frame_of(topologies, y), DIGITS, ACCURACY).cells.set_index(["decision", "value"])
    assert cells.loc[("block02.skip", "add"), "pairs"] == 2
    assert cells.loc[("block02.skip", "add"), "matched"] == pytest.approx(0.1)
    assert cells.loc[("block05.skip", "gate"), "pairs"] == 2
    assert cells.loc[("block09.skip", "gate"), "pairs"] == 1
    assert math.isnan(cells.loc[("block09.skip", "gate"), "matched_low"])
    assert cells.loc[("stage1.width", "12"), "pairs"] == 1


def test_few_topologies_are_a_clear_line_and_what_is_foreign_is_left_out() -> None:
    trial = Drawn(random.Random(3))
    topologies = [DIGITS.sample(trial) for _ in range(FEWEST)]
    few = frame_of(topologies, np.arange(FEWEST) / 10)
    with pytest.raises(RunError, match=f"at least {FEWEST} topologies that were trained to the end, but got"):
        effects(few.iloc[1:], DIGITS, ACCURACY)
    foreign = pd.concat([few, few.head(2).assign(topology=[{"stem": 1}, None], key=["a", "b"])], ignore_index=True)
    found = effects(foreign, DIGITS, ACCURACY)
    assert (found.topologies, found.left_out) == (FEWEST, 2)
    repeated = pd.concat([few, few.assign(accuracy=few["accuracy"] + 1)], ignore_index=True)
    assert effects(repeated, DIGITS, ACCURACY).topologies == FEWEST
    assert effects(few, DIGITS, ACCURACY, most=FEWEST).topologies == FEWEST


def test_equal_values_have_no_effects() -> None:
    trial = Drawn(random.Random(4))
    found = effects(frame_of([DIGITS.sample(trial) for _ in range(30)], np.full(30, 0.5)), DIGITS, ACCURACY)
    assert (found.cells["effect"] == 0).all() and not found.cells["separated"].any()
    json.dumps(found.to_dict())


@pytest.mark.parametrize("width", [80, 120])
def test_tables_and_words(runs: list[Run], width: int) -> None:
    found = runs[0].found
    out = io.StringIO()
    console = Console(file=out, width=width)
    for table in effects_tables(found, width):
        console.print(table)
    text = out.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    assert "skip of each block, compared with none" in text and "long concat" in text
    assert "±" in text.split("skip of each block")[1].split("other decisions")[0]
    words = " ".join(found.verdict())
    assert "add at block 3 (+0." in words
    assert "more together than each on its own" in words
    told = found.to_dict()
    assert json.loads(json.dumps(told))["cells"][0]["decision"] == found.cells["decision"].iloc[0]


def test_a_linear_model_with_fewer_rows_than_columns_stays_finite() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (15, 40)).astype(float), rng.normal(size=15)
    found = Additive(x, y).effects()
    assert np.isfinite(found.effect).all() and (found.high - found.low > 0.5).all()
    shares, adds = explained([x[:, :0], x], y)
    assert shares[0].value == pytest.approx(adds[0].value)


@needs_table
def test_effects_of_a_sample_of_a_published_table_hold_those_of_all() -> None:
    codes, accuracies = nas_bench_macro()
    rows = [{f"block{place:02}.op": op for place, op in enumerate(code, 1)} for code in codes]
    columns = [Column(f"block{place:02}.op", op, "0") for place in range(1, 9) for op in "12"]
    x = design(rows, columns)
    everything = np.linalg.lstsq(np.c_[np.ones(len(x)), x], accuracies.mean(1), rcond=None)[0][1:]
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        some = rng.choice(len(x), 400, replace=False)
        found = Additive(x[some], accuracies[some, rng.integers(0, 3, 400)]).effects()
        covered.append(((found.low <= everything) & (everything <= found.high)).mean())
    assert np.mean(covered) >= 0.90, np.mean(covered)
