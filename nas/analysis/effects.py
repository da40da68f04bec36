"""What each decision of a space is worth, from all topologies of a run that were trained.

An effect is the difference that a value of a decision makes to an objective, compared with the reference value (`none`
for a skip), on average over the topologies that were trained, all other decisions being equal. nas.analysis.additive
says how it is estimated. Two topologies that differ in one decision alone are a matched pair; its difference is seen
without any model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nas.analysis.additive import LEVEL, Additive, Floats, explained
from nas.analysis.factors import (
    MAIN,
    Column,
    Factors,
    columns_of,
    count_design,
    design,
    factors_of,
    is_skip,
    number_of,
    twins,
)
from nas.analysis.paired import figure_of
from nas.analysis.ranking import unit_of
from nas.errors import RunError, expected
from nas.space import Objective, SearchSpace
from nas.space.quantities import Unit
from nas.study.importances import importances
from nas.study.plain import as_json
from nas.surrogate.threads import one_thread

if TYPE_CHECKING:
    from nas.study import Run

FEWEST = 12  # topologies
FEWEST_TOGETHER = 8  # topologies with both values of a pair of decisions
SUREST = 100  # pairs that are told of
ESTIMATED = ("effect", "low", "high", "p")
IMPORTANCES = ("decision", "importance")
TOGETHER = ("decision", "value", "other", "other_value", "topologies")
STEPS = ("all but blocks", "how many", "where")
TOP = 3  # effects that a sentence names


@dataclass(frozen=True)
class Effects:
    """The effects of decisions on one objective.

    objective   its row; effects are in its unit, and larger values are better or worse as it says
    unit        how its values are written
    topologies  how many the effects are estimated from
    left_out    topologies that are no points of the space
    drawn       whether all topologies but baselines were drawn uniformly
    steps       what of the variance is explained out of sample: a row for each of STEPS with share, low, high, and what
                it adds to the rows above: adds, adds_low, adds_high
    counts      what one more block of each kind is worth: what, blocks, effect, low, high, p, separated
    cells       what each value of each decision is worth: decision, value, reference, topologies, effect, low, high, p,
                separated, pairs, matched, matched_low, matched_high
    pairs       how much more two values are worth together than on their own: decision, value, other, other_value,
                topologies, effect, low, high, p, separated; the SUREST
    importances  how much each decision matters for being among the best (PED-ANOVA, Watanabe et al. 2023): decision,
                 importance; they sum to 1

    `separated` is whether the effect is not 0: of cells and counts at a false discovery rate of 5 % (Benjamini &
    Hochberg 1995), of pairs corrected by Holm's method.
    """

    objective: Objective
    unit: Unit
    topologies: int
    left_out: int
    drawn: bool
    steps: pd.DataFrame
    counts: pd.DataFrame
    cells: pd.DataFrame
    pairs: pd.DataFrame
    importances: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data for JSON; a number that is not known is None."""
        about: dict[str, Any]
        tables = {name: getattr(self, name).to_dict("records") for name in TABLES}
        about = {"objective": self.objective.name, "direction": self.objective.direction}
        about |= {"topologies": self.topologies, "left_out": self.left_out, "verdict": self.verdict()}
        known: dict[str, Any] = as_json(about | tables)
        return known

    def verdict(self) -> list[str]:
        """Return in plain sentences what decides, and what is worth most."""
        return [self._explained(), *self._counts(), *self._skips(), *self._together(), *self._caution()]

    def _explained(self) -> str:
        count, where = (self.steps[self.steps["step"] == step].iloc[0] for step in STEPS[1:])
        return (
            f"How many blocks have each kind of skip or op explains {_explained(count)} of the variance of "
            f"{self.objective.title} over {self.topologies} topologies, and where they are {_explained(where)} more, "
            "out of sample."
        )

    def _counts(self) -> list[str]:
        sure = self.counts[self.counts["separated"]]
        top = sure.reindex(sure["effect"].abs().sort_values(ascending=False).index).head(TOP)
        named = [f"{row['what']} ({self.show(row)})" for row in rows_of(top)]
        return [f"One more block changes {self.objective.title}: {', '.join(named)}."] if named else []

    def _skips(self) -> list[str]:
        skips = self.cells[self.cells["decision"].map(is_skip)]
        sure = skips[skips["separated"]]
        if skips.empty:
            return []
        if sure.empty:
            return [f"No skip of any block is separated from {skips['reference'].iloc[0]} yet."]
        sign = 1 if self.objective.direction == "maximize" else -1
        gain = sign * sure["effect"]
        words = []
        for word, some in (("Worth most", sure[gain > 0]), ("Harmful", sure[gain < 0])):
            top = some.reindex(some["effect"].abs().sort_values(ascending=False).index).head(TOP)
            if len(top):
                named = [f"{row['value']} at {_place(row['decision'])} ({self.show(row)})" for row in rows_of(top)]
                words.append(f"{word}, compared with {top['reference'].iloc[0]}: {', '.join(named)}.")
        return words

    def _together(self) -> list[str]:
        return [
            f"{row['value']} at {_place(row['decision'])} and {row['other_value']} at {_place(row['other'])} change "
            f"{self.objective.title} by {self.show(row)} more together than each on its own."
            for row in rows_of(self.pairs[self.pairs["separated"]].head(TOP))
        ]

    def _caution(self) -> list[str]:
        if self.drawn:
            return []
        return [
            "A search chose these topologies: effects hold for topologies like those, and are uncertain where it tried "
            "little."
        ]

    @property
    def measure(self) -> str:
        """The objective, and what its differences are written in: `accuracy in points`."""
        return f"{self.objective.title} in{self.unit.word}" if self.unit.word else self.objective.title

    def show(self, row: Any) -> str:
        """Return an effect with half of its interval: +1.20 ± 0.30 points."""
        return f"{self.unit.signed(row['effect'])} ± {self.unit.amount((row['high'] - row['low']) / 2)}{self.unit.word}"


TABLES = ("steps", "counts", "cells", "pairs", "importances")


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _place(decision: str) -> str:
    """Return a place in words: block 3."""
    return f"block {number_of(decision)}"


def _explained(step: Any) -> str:
    """Return what a step adds, with its interval: `31 % (22 to 40)`, or `nothing`."""
    low, value, high = (100 * step[name] for name in ("adds_low", "adds", "adds_high"))
    return f"{value:.0f} % ({max(low, 0):.0f} to {high:.0f})" if value >= 0.5 else "nothing"


def effects_of(
    run: Run, objective: str | None = None, most: int | None = None, frame: pd.DataFrame | None = None
) -> Effects:
    """Return the effects on an objective, the metric of the task unless given.

    most   the number of topologies from which they are estimated, evenly spaced over the trials; all unless given
    frame  that of the run, where it is at hand

    Raises RunError for an unknown objective, and for fewer than FEWEST topologies that were trained to the end.
    """
    from nas.study.attributes import BASELINE, PAIR, PILOT, recorded

    goals = run.space.goals
    name = objective or goals.metric
    if name not in goals.columns:
        raise RunError(expected("--objective", name, goals.columns))
    trials = run.reader.records()
    random = run.space.search.sampler == "random"
    drawn = all((random and PAIR not in one) or one.keys() & {PILOT, BASELINE} for one in map(recorded, trials))
    frame = run.frame() if frame is None else frame
    with one_thread():
        return effects(frame, run.space, goals.columns[name], most=most, drawn=drawn)


def effects(
    frame: pd.DataFrame, space: SearchSpace, objective: Objective, *, most: int | None = None, drawn: bool = False
) -> Effects:
    """Return the effects on an objective of the trials in a frame (see `Run.frame`), as `effects_of` does."""
    done = frame[(frame["state"] == "COMPLETE") & pd.to_numeric(frame[objective.name]).notna()]
    same = done.groupby(done["key"].where(done["key"].notna(), done["trial"].astype("str")), sort=False)
    values = same[objective.name].mean().astype("float64")
    records = same["topology"].first()
    if most is not None and len(records) > most:
        chosen = np.unique(np.linspace(0, len(records) - 1, most).astype(int))
        values, records = values.iloc[chosen], records.iloc[chosen]
    found = [factors_of(space, record) for record in records]
    rows = [row for row in found if row is not None]
    y = np.asarray(values[[row is not None for row in found]], float)
    if len(rows) < FEWEST:
        raise RunError(f"effects need at least {FEWEST} topologies that were trained to the end, but got {len(rows)}")
    decided = [row.values for row in rows]
    columns = columns_of(decided)
    x = design(decided, columns)
    of_block = np.array([bool(column.place) for column in columns], bool)
    names, counts = count_design(rows)
    return Effects(
        objective=objective,
        unit=unit_of(done, space.goals, objective.name),
        topologies=len(rows),
        left_out=len(found) - len(rows),
        drawn=drawn,
        steps=_steps([x[:, ~of_block], counts, x[:, of_block]], y),
        counts=_counts(names, x[:, ~of_block], counts, y),
        cells=_cells(columns, x, y, rows),
        pairs=_pairs(columns, x, y),
        importances=pd.DataFrame([*importances(decided, y.tolist(), objective.direction).items()], columns=IMPORTANCES),
    )


def _steps(parts: Sequence[Floats], y: Floats) -> pd.DataFrame:
    shares, adds = explained(parts, y)
    rows = [
        {"step": step, **vars(share), "adds": add.value, "adds_low": add.low, "adds_high": add.high}
        for step, share, add in zip(STEPS, shares, adds, strict=True)
    ]
    return pd.DataFrame(rows).rename(columns={"value": "share"})


def _counts(names: Sequence[str], others: Floats, counts: Floats, y: Floats) -> pd.DataFrame:
    estimates = Additive(np.hstack([others, counts]), y).effects()
    own = {name: part[others.shape[1] :] for name, part in vars(estimates).items()}
    return _separated(_table({"what": list(names), "blocks": counts.sum(0).astype(int)}, own), "fdr_bh")


def _cells(columns: Sequence[Column], x: Floats, y: Floats, rows: Sequence[Factors]) -> pd.DataFrame:
    about = {name: [getattr(column, name) for column in columns] for name in ("decision", "value", "reference")}
    table = _separated(_table(about | {"topologies": x.sum(0).astype(int)}, vars(Additive(x, y).effects())), "fdr_bh")
    matched = []
    for _, pairs in twins(rows, columns):
        figure = figure_of(np.array([y[one] - y[other] for one, other in pairs]))
        matched.append((figure.n, figure.mean, figure.low, figure.high))
    names = ["pairs", "matched", "matched_low", "matched_high"]
    return table.join(pd.DataFrame(matched, columns=names, index=table.index))


def _pairs(columns: Sequence[Column], x: Floats, y: Floats) -> pd.DataFrame:
    """Return the interactions of the skips or ops of two blocks, each added alone to the additive model."""
    model = Additive(x, y)
    of_block = [number for number, column in enumerate(columns) if column.place and column.what in MAIN]
    tables = [_table({name: [] for name in TOGETHER}, dict.fromkeys(ESTIMATED, np.empty(0)))]
    for one in of_block:
        others = [number for number in of_block if columns[number].place > columns[one].place]
        together = x[:, [one]] * x[:, others]
        often = together.sum(0) >= FEWEST_TOGETHER
        second = [columns[number] for number, enough in zip(others, often, strict=True) if enough]
        about = {
            "decision": columns[one].decision,
            "value": columns[one].value,
            "other": [column.decision for column in second],
            "other_value": [column.value for column in second],
            "topologies": together[:, often].sum(0).astype(int),
        }
        tables.append(_table(about, vars(model.besides(together[:, often]))))
    table = pd.concat(tables, ignore_index=True).dropna(subset="p")
    return _separated(table, "holm").sort_values("p", ignore_index=True).head(SUREST)


def _table(about: dict[str, Any], estimates: dict[str, Floats]) -> pd.DataFrame:
    """Return the estimates (see nas.analysis.additive.Estimates) with what they are about."""
    return pd.DataFrame(about | estimates)


def _separated(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the table with `separated`: which p values are small, corrected for how many there are by the method."""
    from statsmodels.stats.multitest import multipletests

    known = table["p"].notna()
    found = pd.Series(False, index=table.index)
    if known.any():
        found[known] = multipletests(table.loc[known, "p"].to_numpy("float64"), 1 - LEVEL, method)[0]
    return table.assign(separated=found)
