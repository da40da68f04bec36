"""What a search found: leaderboard, Pareto front, diagrams, report. Reads the study, never torch.

A name is imported when it is first used: `nas show` needs neither pandas nor a template.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.analysis.correlation import foresight, foresight_line
    from nas.analysis.draw_svg import arc_svg
    from nas.analysis.draw_text import arc_text
    from nas.analysis.goals import Goals
    from nas.analysis.page import report
    from nas.analysis.ranking import failures, leaderboard, states
    from nas.analysis.ranking_table import leaderboard_table
    from nas.analysis.show import topology_table
    from nas.analysis.show_space import space_table

__all__ = [
    "Goals",
    "arc_svg",
    "arc_text",
    "failures",
    "foresight",
    "foresight_line",
    "leaderboard",
    "leaderboard_table",
    "report",
    "space_table",
    "states",
    "topology_table",
]

_HOME = {
    "Goals": "goals",
    "arc_svg": "draw_svg",
    "arc_text": "draw_text",
    "foresight": "correlation",
    "foresight_line": "correlation",
    "report": "page",
    "leaderboard_table": "ranking_table",
    "space_table": "show_space",
    "topology_table": "show",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME.get(name, 'ranking')}"), name)


def __dir__() -> list[str]:
    return __all__
