"""A whole search space file as one pydantic model. Its sections are models of their own, in the modules beside."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from nas.space.faults import Fault
from nas.space.parts import Network
from nas.space.sections import Section
from nas.space.settings import Limits, SearchSettings
from nas.space.skips import Skips


class TaskEntry(Section):
    """The section `task`: the name of a task, or a table or function that has results, so that nothing is trained.

    of        the name of the task, whose data is used; with a table or a function only its facts are
    table     the path of a file of results (see nas.results.table)
    function  FILE.py:FUNCTION or package.module:function, which evaluates a topology (see nas.results.call)
    input, outputs, metric, direction  facts for a table or a function, in place of those of `of`
    """

    shorthand = (str,)
    shorthand_key = "of"

    of: str | None = None
    table: str | None = None
    function: str | None = None
    input: tuple[int, ...] | None = Field(default=None, strict=False)
    outputs: int | None = None
    metric: str | None = None
    direction: Literal["maximize", "minimize"] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the task that this entry states."""
        said = {name: getattr(self, name) for name in ("input", "outputs", "metric", "direction")}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def results(self) -> tuple[Literal["table", "function"], str] | None:
        """The kind and the place of the results that are used instead of a training; None for a training."""
        if self.table is not None:
            return "table", self.table
        return None if self.function is None else ("function", self.function)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if self.table is not None and self.function is not None:
            raise Fault("must have a table or a function, but has both")
        if self.results is None and self.of is None:
            raise Fault("must have `of`, the name of a task, or a table, or a function")
        if self.results is None and self.facts:
            raise Fault("is allowed only with a table or a function, which have the results", next(iter(self.facts)))
        if self.of is None and not {"input", "outputs"} <= self.facts.keys():
            raise Fault("must have input and outputs, or `of`, a task that has them")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = {key: value for key, value in handler(self).items() if value is not None}
        return self.of if list(data) == ["of"] else data  # the shorthand, where it says everything


class Definition(Section):
    """A whole file.

    limits  bounds of costs that are known before training: a candidate over one of them is never trained
    train   changes of the task's recipe
    """

    task: TaskEntry
    network: Network
    skips: Skips = Skips()
    limits: Limits = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    search: SearchSettings = SearchSettings()
