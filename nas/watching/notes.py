"""The notes of a run in the Optuna dashboard, in Markdown: one of the study, one of each trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nas import units
from nas.analysis.draw_text import arc_text
from nas.errors import Dismissed, TopologyError
from nas.export.card import escape_markdown
from nas.space import Goals
from nas.study import Run
from nas.study.states import STATE_WORDS
from nas.topology import Topology

LONGEST = 2000  # characters of a note: the dashboard sends all of them to the browser
WIDTH = 76  # characters of a diagram
GAP = "\u2003"  # an em space: the dashboard draws tables without room between their columns
BOX = "stop the search"  # the words beside the box in the note of the study


def study_note(run: Run) -> str:
    """Return the note of the study: what is searched, how to go on, and a box that stops the search."""
    space, name = run.space, escape_markdown(run.name)
    lines = [
        f"**{name}**: {space.size():,} topologies for {escape_markdown(space.task.name)}",
        "",
        f"- goes on with `nas search --resume {run.name}`",
        f"- the whole story, with intervals: `nas report {run.name}`; before you believe it: `nas confirm {run.name}`",
        "- *Fail Trial* on the page of a running trial stops it; what you enqueue here is trained next",
        "- to stop the search, put an x into the box and save; what is being trained waits for the next session",
        "",
        f"- [ ] {BOX}",
    ]
    return "\n".join(lines)


def wants_stop(note: str) -> bool:
    """Return whether the box in a note of the study is ticked."""
    return re.search(rf"\[\s*[xX]\s*\]\s*{BOX}", note) is not None


def without_stop(note: str) -> str:
    """Return the note with an empty box."""
    return re.sub(rf"\[\s*[xX]\s*\](\s*{BOX})", r"[ ]\1", note)


def trial_note(row: Mapping[Any, Any], goals: Goals, run: str, role: str = "") -> str:
    """Return the note of a trial: its state, its results and costs, its diagram, and the command that exports it.

    row   its row of `Run.frame`
    run   the name of the run
    role  why the search tried it (nas.study.shown.role_of)
    """
    counts = row["reason"] != Dismissed.reason  # a value that a person gave is none of a training
    state = STATE_WORDS.get(str(row["state"]), str(row["state"])) if counts else "ended"
    reason = f": {escape_markdown(row['reason'])}" if isinstance(row["reason"], str) else ""
    begin = [f"**{escape_markdown(state)}**{reason}" + (f" · {escape_markdown(role)}" if role else ""), ""]
    end = [*_figures(row, goals), "", f"`{_code(row['line'] or '')[:400]}`", ""]
    if row["state"] == "COMPLETE" and counts:
        end.append(f"as code: `nas export {run} --trial {row['trial']}`")
    note = "\n".join([*begin, *_diagram(row["topology"]), *end])
    return note if len(note) <= LONGEST else "\n".join([*begin, *end])[:LONGEST]


def _figures(row: Mapping[Any, Any], goals: Goals) -> list[str]:
    """Return the table of the metric and the costs that are known."""
    known = {name: row[name] for name in goals.columns if isinstance(row[name], int | float) and row[name] == row[name]}
    if not known:
        return []
    titles = [escape_markdown(goals.columns[name].title) for name in known]
    cells = [escape_markdown(goals.columns[name].unit_of([value]).show(value)) for name, value in known.items()]
    rows = (f"| {' | '.join(word + GAP for word in words)} |" for words in (titles, cells))
    return ["", next(rows), f"|{'---|' * len(titles)}", next(rows)]


def _diagram(topology: object) -> list[str]:
    """Return the arc diagram as a block of code; nothing for a topology that cannot be read."""
    try:
        drawn = arc_text(Topology.from_dict(topology), WIDTH).plain
    except TopologyError:
        return []
    return ["````", *(_code(line) for line in drawn.split("\n")), "````"]


def _code(text: object) -> str:
    """Return text that does not end a block of code."""
    return units.printable(text).replace("`", "'")
