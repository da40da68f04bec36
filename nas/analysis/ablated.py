"""The findings of an ablation: what each skip of a network is worth to it, by removing and by replacing it.

What a skip is worth is how much better the whole network is than the changed one, seed by seed (nas.analysis.paired).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.analysis.factors import number_of
from nas.analysis.paired import Difference, Figure, differences, figure_of, written
from nas.analysis.words import listed
from nas.files import write_whole
from nas.space import Objective
from nas.space.quantities import Unit
from nas.study.ablation import LESION, Ablation, Plan, Variant
from nas.study.attributes import MEASURED, METRICS
from nas.study.plain import as_json
from nas.study.retraining import failed, numbers

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from nas.study import Run

NEEDED, NOTHING, HARMFUL = "needed", "does nothing", "harmful"
BETTER, ALIKE, WORSE = "better than it", "no difference", "worse than it"
UNKNOWN, FAILED = "not clear", "failed"
SMALL = 2  # standard deviations of one training: what is surely worth less does nothing


@dataclass(frozen=True)
class Part:
    """The findings on one change of a skip.

    value      the metric of the changed network, trained
    retrained  how much better the whole network is than the changed one, both trained from scratch
    lesioned   how much better it is than itself after the change, without further training; None if its weights do not
               fit
    failed     how many trainings of the changed network failed
    margin     what a skip must be worth to count, either way
    """

    variant: Variant
    value: Figure
    retrained: Difference
    lesioned: Difference | None
    failed: int
    margin: float

    @property
    def removes(self) -> bool:
        """Whether the skip is removed, and not replaced."""
        return self.variant.after in ("none", "")

    @property
    def word(self) -> str:
        """The finding in a word: of a removed skip whether it is needed, else how it compares with the other kind.

        That it does nothing is a finding too: the interval holds 0, and lies within the margin.
        """
        needed, alike, harmful = (NEEDED, NOTHING, HARMFUL) if self.removes else (BETTER, ALIKE, WORSE)
        worth = self.retrained.figure
        if not worth.n:
            return FAILED
        if self.retrained.separated:
            return needed if worth.mean > 0 else harmful
        small = -self.margin <= worth.low <= 0 <= worth.high <= self.margin
        return alike if self.retrained.tied and small else UNKNOWN


@dataclass(frozen=True)
class Ablated:
    """The findings of an ablation.

    target  the metric
    plan    what was asked for
    ended   how many trainings have ended
    whole   the metric of the whole network
    parts   its changes, block by block
    simplified  that of all skips that do nothing, which are removed together; None before it is known, and without any
    """

    target: Objective
    plan: Plan
    ended: int
    whole: Figure
    parts: tuple[Part, ...]
    simplified: Part | None = None

    @property
    def complete(self) -> bool:
        """Whether every training of the plan has ended."""
        return self.ended == len(self.plan.networks) * len(self.plan.seeds)

    @property
    def rows(self) -> list[Part]:
        """The changes, and behind them the simplified network where it is none of them."""
        alone = self.simplified is not None and not self.simplified.variant.place
        return [*self.parts, *([self.simplified] if alone and self.simplified is not None else [])]

    @property
    def needless(self) -> list[str]:
        """The places whose skips do nothing, or harm."""
        return [part.variant.place for part in self.parts if part.removes and part.word in (NOTHING, HARMFUL)]

    @property
    def unit(self) -> Unit:
        """The unit of the metric."""
        figures = (self.whole, *(part.value for part in self.parts))
        return self.target.unit_of(figure.mean for figure in figures if figure.n)

    def verdict(self) -> list[str]:
        """Return in plain sentences which skips are needed, which do nothing, and which another kind would improve."""
        name, seeds = self.plan.whole.name, len(self.plan.seeds)
        if not self.whole.n:
            return [f"No training of {name} came to its end: nothing is known of its skips."]
        words = [f"{name} has {written(self.whole, self.unit)} {self.target.title} on validation ({seeds} new seeds)."]
        removed = [part for part in self.parts if part.removes]
        for word, said in ((NEEDED, "needed"), (HARMFUL, "harmful"), (NOTHING, "of no use"), (UNKNOWN, "not clear")):
            places = [str(number_of(part.variant.place)) for part in removed if part.word == word]
            if places:
                verb, noun = ("is", "The skip of block") if len(places) == 1 else ("are", "The skips of blocks")
                words.append(f"{noun} {listed(places)} {verb} {said}.")
        for part in self.parts:
            if part.word == WORSE:
                gain = self.unit.amount(part.retrained.figure.mean) + self.unit.word
                block = f"block {number_of(part.variant.place)}"
                words.append(f"{part.variant.after} around {block} would be {gain} better.")
        if self.simplified is not None and self.simplified.value.n:
            words.append(f"Without {'these' if len(self.needless) > 1 else 'it'}, {self._without(self.simplified)}.")
        lost = sum(part.failed for part in self.rows)
        words += [f"{lost} trainings of changed networks failed, and are left out."] if lost else []
        missing = len(self.plan.networks) * seeds - self.ended
        return words + ([f"{missing} trainings are still to be done."] if missing else [])

    def _without(self, one: Part) -> str:
        lead = one.retrained.figure
        change = f"{self.unit.amount(lead.mean)} ± {self.unit.amount(lead.half_width)}{self.unit.word}"
        sure = "" if one.retrained.separated else ", within noise"
        return (
            f"{self.plan.whole.name} is {change} {'worse' if lead.mean >= 0 else 'better'}{sure}, and has "
            f"{one.variant.params:,} parameters instead of {self.plan.whole.params:,}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data for JSON; a number that is not known is None."""
        about = {"metric": self.target.name, "direction": self.target.direction, "complete": self.complete}
        about |= {"network": self.plan.whole.name, "key": self.plan.whole.key, "params": self.plan.whole.params}
        about |= {"verdict": self.verdict(), "needless": self.needless, "whole": dataclasses.asdict(self.whole)}
        about |= self.plan.model_dump(mode="json", exclude={"networks"})
        parts = [
            part.variant.model_dump(exclude={"topology", "name"})
            | {"word": part.word, "failed": part.failed}
            | {name: _as_dict(getattr(part, name)) for name in ("value", "retrained", "lesioned")}
            for part in self.rows
        ]
        known: dict[str, Any] = as_json(about | {"parts": parts})
        return known


def ablated_of(run: Run) -> Ablated | None:
    """Return what the last ablation of a run tells; None if nothing was ablated, or nothing has ended yet.

    Raises RunError if its study is damaged.
    """
    ablation = Ablation(run)
    plan = ablation.plan
    if plan is None:
        return None
    trials, target = ablation.ended(plan), run.space.goals.target
    count = sum(trial is not None for of_one in trials.values() for trial in of_one)
    if not count:
        return None
    changed = [one for one in plan.networks if one.place]
    parts = _parts(changed, plan, trials, target)
    alone = [one for one in plan.networks if not one.place and one.key == plan.simplified]
    simplified = [part for part in parts if part.variant.key == plan.simplified] or _parts(alone, plan, trials, target)
    whole = figure_of(np.array(numbers(trials[plan.whole.key], METRICS, target.name)))
    return Ablated(target, plan, count, whole, tuple(parts), next(iter(simplified), None))


def _parts(
    changed: Sequence[Variant], plan: Plan, trials: Mapping[str, Sequence[FrozenTrial | None]], target: Objective
) -> list[Part]:
    """Return the findings on changes, with p values that are corrected for how many they are."""
    sign = 1.0 if target.direction == "maximize" else -1.0
    values = {one.key: np.array(numbers(trials[one.key], METRICS, target.name)) for one in (plan.whole, *changed)}
    whole = values[plan.whole.key]
    retrained = differences([sign * (whole - values[one.key]) for one in changed])
    after = [np.array(numbers(trials[plan.whole.key], MEASURED, f"{LESION}{one.key}")) for one in changed]
    lesioned = differences([sign * (whole - row) for row in after])
    spreads = [figure.sd for row in values.values() if (figure := figure_of(row)).n > 1]
    margin = SMALL * float(np.median(spreads)) if spreads else 0.0
    return [
        Part(
            one,
            figure_of(values[one.key]),
            of_training,
            None if np.isnan(row).all() else of_lesion,
            failed(trials[one.key]),
            margin,
        )
        for one, of_training, of_lesion, row in zip(changed, retrained, lesioned, after, strict=True)
    ]


def write_ablated(run: Run, found: Ablated) -> None:
    """Write ablate.json into the folder of the run."""
    write_whole(run.path / "ablate.json", json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n")


def _as_dict(holder: Figure | Difference | None) -> dict[str, Any] | None:
    return None if holder is None else dataclasses.asdict(holder)
