"""What a search was after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.space import SearchSpace
    from nas.study import Run


@dataclass(frozen=True)
class Goals:
    """The task's metric, every objective with what is better ("maximize" or "minimize"), and the most that a cost
    should be.
    """

    metric: str
    objectives: Mapping[str, str]
    constraints: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> Goals:
        """The goals of a run."""
        return cls.of_space(run.space)

    @classmethod
    def of_space(cls, space: SearchSpace) -> Goals:
        """The goals of a search of `space`; its objective `accuracy` is whatever the task measures."""
        from nas.study.attributes import directions

        metric = space.task.metric
        objectives = {metric if name == "accuracy" else name: way for name, way in directions(space).items()}
        return cls(metric, objectives, space.search.constraints.model_dump(exclude_none=True))

    def direction(self, column: str) -> str:
        """What is better in a column of a leaderboard, objective or not."""
        return self.objectives.get(column, "maximize" if column == self.metric else "minimize")
