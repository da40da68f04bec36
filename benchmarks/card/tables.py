"""What was measured, as markdown: for each part its goals and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARKS = {True: "reached", False: "**not reached**", None: "not measured"}


def markdown(whole: Mapping[str, Any]) -> str:
    """Return card.json as one page."""
    return "\n".join(lines(whole)) + "\n"


def lines(whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield its lines."""
    yield "# On a card\n"
    yield " · ".join(f"{name} {value}" for name, value in whole["about"].items())
    for name, part in whole["parts"].items():
        yield f"\n## {name}\n\n{part['title']} ({part['state']}, {part['seconds']} s).\n"
        for goal in part["goals"]:
            yield f"- {goal['text']}: {MARKS[goal['reached']]}"
        yield from table(part["rows"])
        if "log" in part:
            yield f"\n```\n{part['log']}\n```"


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield rows as a table, whose columns are those of all rows in the order in which they come up."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not columns:
        return
    yield f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell(row.get(name)) for name in columns)} |"


def cell(value: object) -> str:
    """Return a value in few characters; nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value).replace("\n", " ")
