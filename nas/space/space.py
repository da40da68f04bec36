"""SearchSpace: a set of topologies for a task, and how to search it. YAML in, topologies out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import ValidationError

from nas import tasks
from nas.errors import SpaceError, TaskError, TopologyError, expected
from nas.files import is_file
from nas.space import changes, points
from nas.space.baselines import EACH, Family, Price
from nas.space.chain import Chain, Ends
from nas.space.changes import SkipChange
from nas.space.check import check
from nas.space.decisions import Choice, Decision, drive, explore
from nas.space.document import Document, read
from nas.space.faults import Fault, first_fault, must_be_one_of
from nas.space.language import Definition, TaskEntry
from nas.space.objectives import ACCURACY, OBJECTIVES, RESERVED, Goals
from nas.space.sections import check_keys
from nas.space.settings import Bounds, SearchSettings
from nas.tasks import Task, function
from nas.tasks.data_files import user_path
from nas.tasks.recipe import Recipe
from nas.topology import Topology
from nas.topology.geometry import Scalar

FOLDERS = (Path(__file__).parents[1] / "search_spaces", Path(__file__).parents[2] / "search_spaces")  # wheel, checkout


class Trial(Protocol):
    """The methods of a trial that a space calls: those of an Optuna trial, a FixedTrial, or any other that decides."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of the choices."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number, low <= n <= high."""


@dataclass(frozen=True)
class SearchSpace:
    """A set of topologies for a task, and how to search it.

    task        the task that candidates are trained for
    recipe      the recipe by which they are trained
    definition  the file, as the model of nas.space.language
    source      the path of the file

    Raises SpaceError, of one line with file, key and rule, unless every topology in it can be built.
    """

    definition: Definition
    task: Task
    recipe: Recipe
    source: str | None = field(default=None, compare=False)

    @classmethod
    def load(cls, name: str | Path, task: str | None = None, table: str | Path | None = None) -> SearchSpace:
        """Return the space in the file `name`, or the shipped space of that name.

        task   the name of a task that replaces that of the file
        table  the path of a table of results (see nas.results.table), which replaces training

        Raises SpaceError.
        """
        other = {"of": task, "table": None if table is None else str(table)}
        return cls._of(read(_locate(name)), {key: value for key, value in other.items() if value is not None})

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], source: str = "", get_task: Callable[[str], Task] = tasks.get
    ) -> SearchSpace:
        """Return the space that `to_dict` wrote. Raises SpaceError.

        get_task  returns the task of a name; tasks.get imports the function that a name may stand for
        """
        return cls._of(Document(data, source), get=get_task)

    @classmethod
    def _of(
        cls,
        document: Document,
        other: Mapping[str, str] = MappingProxyType({}),
        get: Callable[[str], Task] = tasks.get,
    ) -> SearchSpace:
        try:
            definition = _definition(document.data)
            entry = _found(definition.task, other, get)
            task = _task(entry, get)
            recipe = _recipe(task, definition.train)
            resolved = definition.model_copy(update={"task": entry, "train": recipe.model_dump()})
            space = cls(resolved, task, recipe, document.source or None)
            check(space._chain, task.input, task.outputs)
            space._check_metric()
            space._check_baselines()
        except Fault as fault:
            raise document.error(fault) from None
        return space

    @functools.cached_property
    def _chain(self) -> Chain:
        """The walk through the space."""
        return Chain.of(self.definition.network, self.definition.skips, self.task.input)

    @property
    def limits(self) -> Bounds:
        """The bounds of costs that are known before training; a candidate over one of them is never trained."""
        return self.definition.limits

    @property
    def search(self) -> SearchSettings:
        """The settings of the search."""
        return self.definition.search

    @property
    def epochs(self) -> int | None:
        """The number of epochs of a training; None where a function evaluates topologies, in steps of its own."""
        results = self.task.results
        return None if results is not None and results[0] == "function" else self.recipe.epochs

    @functools.cached_property
    def goals(self) -> Goals:
        """The goals of a search, with the task's metric in the place of `accuracy`."""
        metric, settings = self.task.metric, self.definition.search
        target = replace(OBJECTIVES[ACCURACY], name=metric, direction=self.task.direction, title=metric)
        objectives = tuple(target if row.name == ACCURACY else row for row in settings.objectives)
        return Goals(target, objectives, settings.constraints)

    def sample(self, trial: Trial) -> Topology:
        """Return the topology that a trial chooses by its suggest_categorical and suggest_int."""

        def decide(decision: Decision) -> Scalar:
            if isinstance(decision, Choice):
                value: Scalar = trial.suggest_categorical(decision.name, list(decision.values))
            else:
                value = trial.suggest_int(decision.name, decision.low, decision.high)
            if value not in decision.values:
                raise SpaceError(f"{decision.name}: {must_be_one_of(value, map(str, decision.values))}")
            return value

        return self._topology(*drive(self._chain.walk(), decide))

    def encode(self, topology: Topology) -> dict[str, Scalar]:
        """Return the parameters with which a trial samples the topology: sample ∘ encode is the identity.

        An equal topology that is written in another way (a width written out that is kept anyway, a shortcut that
        aligns nothing) has the same parameters. Raises SpaceError where it is no point of the space.
        """
        ends_fit = topology.input == self.task.input and topology.outputs == self.task.outputs
        params = points.find(self._chain, topology) if ends_fit else None
        if params is None:
            raise SpaceError(f"{self.source or 'space'}: does not hold the topology {topology.describe()}"[:400])
        return params

    def size(self) -> int:
        """Return the number of points: the number of different sets of parameters that a trial can have."""
        return points.size(self._chain)

    def points(self) -> Iterator[tuple[dict[str, Scalar], Topology]]:
        """Yield the parameters and the topology of every point, in a fixed order that follows the file."""
        for trail, ends in explore(self._chain.walk):
            yield {decision.name: value for decision, value in trail}, self._topology(*ends)

    def enumerate(self) -> Iterator[Topology]:
        """Return an iterator over the topologies of all points, in the order of `points`."""
        return (topology for _, topology in self.points())

    def baselines(self, names: Iterable[str] | None = None, price: Price | None = None) -> dict[str, Topology]:
        """Return name → topology of baselines, those that the file names unless `names` are given.

        plain, resnet, densenet and highway are the chain of the space with no skip, add, concat or gate around every
        block that has a choice of skips: the idea of the paper at the scale of the task, as large as the limits allow
        (nas.space.baselines). Other names are those of nas.references. A baseline need not be a point of the space.

        price  tells which size is within the limits; without it the largest size is returned

        Raises TopologyError where a name is unknown or does not fit the task.
        """
        found: dict[str, Topology] = {}
        for name in self.search.baselines if names is None else names:
            found |= self._baseline(name, price)
        return found

    def uniform(self, topology: Topology, kind: str) -> Topology:
        """Return a topology of the space with one kind of skip around every block that has a choice of skips.

        Everything else stays as it is. Raises SpaceError where the topology is no point of the space.
        """
        params = self.encode(topology)
        ends = self._chain.uniform(kind, lambda decision: params.get(decision.name, decision.values[0]))
        return self._topology(*ends)

    def skip_changes(self, topology: Topology) -> list[SkipChange]:
        """Return all changes of the skip of one block that has one: to `none`, and to each other short kind.

        Raises SpaceError where the topology is no point of the space.
        """
        found = changes.skip_changes(self._chain, self.encode(topology))
        return [SkipChange(place, before, after, self._topology(*ends)) for place, before, after, ends in found]

    def without(self, topology: Topology, places: Collection[str]) -> Topology:
        """Return the topology without the skips of the blocks in these places: block03.

        Raises SpaceError where it is no point of the space, or where a block must have a skip.
        """
        for place in sorted(places):
            topology = next(
                change.topology
                for change in self.skip_changes(topology)
                if (change.place, change.after) == (place, "none")
            )
        return topology

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data with all defaults written out; `from_dict` reads it back."""
        data: dict[str, Any] = self.definition.model_dump(mode="json")
        return data

    def _baseline(self, name: str, price: Price | None) -> dict[str, Topology]:
        """Return the topologies that one name of a baseline stands for."""
        family = Family.named(name, self._chain)
        if family is None:
            from nas.topology import references

            return {name: references.get(name, input=self.task.input, outputs=self.task.outputs)}
        if name.endswith(f"({EACH})"):
            sizes = family.sizes()
            word = name.partition("(")[0]
            return {f"{word} {place} of {len(sizes)}": self._topology(*ends) for place, ends in enumerate(sizes, 1)}

        def fits(ends: Ends) -> bool:
            costs = price(self._topology(*ends)) if price is not None and self.limits else {}
            return all(costs[limited] <= bound for limited, bound in self.limits.items() if limited in costs)

        return {name: self._topology(*family.largest(fits))}

    def _topology(self, stem: Any, blocks: Any, head: Any) -> Topology:
        return Topology(self.task.input, stem, blocks, head, self.task.outputs)

    def _check_metric(self) -> None:
        """Raise Fault where a table would have two columns of one name."""
        metric = self.task.metric
        if metric in RESERVED:
            raise Fault(f"must be another name: {metric} is a column of every table of trials", "task", "metric")
        for place, objective in enumerate(self.search.objectives):
            if objective.name == metric != ACCURACY:
                rule = f"is the metric of the task: write {ACCURACY}, which stands for it"
                raise Fault(rule, "search", "objectives", place)

    def _check_baselines(self) -> None:
        for place, name in enumerate(self.search.baselines):
            try:
                self.baselines([name])
            except TopologyError as error:
                raise Fault(f"baseline {name!r}: {error}", "search", "baselines", place) from None


def _definition(data: object) -> Definition:
    try:
        return Definition.model_validate(data)
    except ValidationError as error:
        raise first_fault(error) from None


def _found(entry: TaskEntry, other: Mapping[str, str], get: Callable[[str], Task]) -> TaskEntry:
    """Return the entry of the task with what replaces it, every path absolute. Raises Fault."""
    if "table" in other:
        entry = entry.model_copy(update={"function": None})
    entry = entry.model_copy(update=dict(other))
    paths: dict[str, str] = {}
    try:
        if entry.of is not None:
            paths["of"] = get(entry.of).name
        if entry.function is not None:
            paths["function"] = function.absolute(entry.function)
        if entry.table is not None:
            paths["table"] = str(user_path(entry.table, "of a table"))
    except TaskError as error:
        raise Fault(str(error), "task") from None
    return entry.model_copy(update=paths)


def _task(entry: TaskEntry, get: Callable[[str], Task]) -> Task:
    """Return the task that the entry names, with the facts that the entry states. Raises Fault."""
    facts = entry.facts
    if "metric" in facts:
        facts.setdefault("direction", None)  # that of the metric
    try:
        if entry.of is not None:
            return replace(get(entry.of), results=entry.results, **facts)
        assert entry.results is not None
        return tasks.without_data(entry.results, **facts)
    except TaskError as error:
        raise Fault(str(error), "task") from None


def _recipe(task: Task, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe of the task with the changes of the file. Raises Fault."""
    try:
        check_keys(changes, Recipe.model_fields)
        recipe = Recipe.model_validate(task.recipe.model_dump() | dict(changes))
    except ValidationError as error:
        raise first_fault(error).below("train") from None
    except Fault as fault:
        raise fault.below("train") from None
    if broken := task.fault(recipe):
        name, rule = broken
        raise Fault(rule, "train", name)
    return recipe


def available() -> dict[str, Path]:
    """Return name → file of the shipped spaces."""
    return {path.stem: path for folder in reversed(FOLDERS) for path in sorted(folder.glob("*.yaml"))}


def _locate(name: str | Path) -> Path:
    """Return the path of a space: a word that names no file is a shipped space. Raises SpaceError."""
    path, known = Path(name), available()
    if is_file(path) or len(path.parts) > 1 or path.suffix in (".yaml", ".yml"):
        return path
    if str(name) not in known:
        raise SpaceError(expected("a search space that is no YAML file", str(name), known))
    return known[str(name)]
