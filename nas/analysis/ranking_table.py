"""The leaderboard in a terminal: readable at 80 columns, more of it where there is room."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.marks import coloured, fitted, legend
from nas.analysis.ranking import best, formats
from nas.space import Goals
from nas.study.states import STATE_WORDS

FRONT = "◆"
BROKEN = "✗"
TIED = "≈"
EXPECTED = "expected"
SEEDS = "n"
ENOUGH = 24  # columns for the skips before a cost has to leave
STATE_COLOURS = {"FAIL": "red", "PRUNED": "yellow"}

Cells = dict[str, list[Text]]  # column → its texts


def leaderboard_table(board: pd.DataFrame, goals: Goals, *, width: int = 100) -> Table:
    """Return a leaderboard (see `leaderboard`) in at most `width` columns; the best value of each column is bold.

    Baselines are named, members of the Pareto front carry ◆; baselines that did not finish say what became of them.
    Where topologies were evaluated with several seeds, what is expected of each stands beside what was observed, and ≈
    marks those that are not separated from the best. Topologies are written out where all of them have room, else with
    one mark a block; where even those have none, costs are left out.
    """
    gap = 1 if width < 100 else 2  # the box itself puts one space between columns
    cells, titles = _cells(board, goals), {name: objective.title for name, objective in goals.columns.items()}
    wanted = min(ENOUGH, max(map(len, board["skips"]), default=0))
    for column in _less_needed(cells, goals):
        if _room(cells, titles, width, gap) < wanted:
            del cells[column]
    room = max(8, _room(cells, titles, width, gap))
    whole = max(map(len, board["topology"]), default=0) <= room
    cells = _with_topologies(cells, board, room, whole)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 1, 0, 0), caption_justify="left")
    for column in cells:
        words = column in ("baseline", "topology", "skips")
        table.add_column(Text(titles.get(column, column)), justify="left" if words else "right", no_wrap=not words)
    last = int((board["rank"] == range(1, len(board) + 1)).sum())  # below it are baselines alone
    for number, row in enumerate(zip(*cells.values(), strict=True), 1):
        table.add_row(*row, end_section=number == last)
    table.caption = _caption(board, goals, whole)
    return table


def _less_needed(cells: Cells, goals: Goals) -> list[str]:
    """Return the costs that make room for the topologies, the first one first: those that the search is not after,
    then its objectives from the last one back to the second cost.
    """
    objectives = [name for name in goals.names if name != goals.metric]
    others = [name for name in goals.columns if name in cells and name not in goals.names and name != goals.metric]
    return others + objectives[:0:-1]


def _cells(board: pd.DataFrame, goals: Goals) -> Cells:
    """Return every column except that of the topology, as texts."""
    cells = {
        "#": [Text(units.MISSING if pd.isna(rank) else str(rank), "dim") for rank in board["rank"]],
        "trial": [Text(str(trial), "dim") for trial in board["trial"]],
    }
    if (board["name"] != "").any():
        cells["baseline"] = [Text(name, "bold bright_blue") for name in board["name"]]
    for column, show in formats(board, goals).items():
        top = best(board, goals, column)
        cells[column] = [
            Text(show(value), "bold" if value == top and state == "COMPLETE" else "")
            for value, state in zip(board[column].astype(float), board["state"], strict=True)
        ]
        if column == goals.metric:
            cells |= _over_seeds(cells[column], board, show)
    cells["front"] = [
        _front(rank) if feasible else Text(BROKEN, "red")
        for rank, feasible in zip(board["pareto"], board["feasible"], strict=True)
    ]
    return cells


def _over_seeds(observed: list[Text], board: pd.DataFrame, show: units.Show) -> Cells:
    """Append the standard deviations to the observed values of the metric, and return the columns that follow it."""
    cells: Cells = {}
    if board["seeds"].gt(1).any():
        for text, sd in zip(observed, board["sd"], strict=True):
            text.append("" if pd.isna(sd) else f" ± {show(sd)}")
        ended = board["state"] == "COMPLETE"
        cells[SEEDS] = [
            Text(str(n) if done else units.MISSING, "dim") for n, done in zip(board["seeds"], ended, strict=True)
        ]
    if board["half_width"].notna().any():
        cells[EXPECTED] = _expected(board, show)
        for text in observed:
            text.style = ""  # the best is the one of which most is expected
    return cells


def _expected(board: pd.DataFrame, show: units.Show) -> list[Text]:
    """Return what is expected of the metric, with half of the interval and the mark of what is not separated."""
    texts = []
    columns = ("expected", "half_width", "tied", "behind")
    for value, half, tied, behind in zip(*(board[column] for column in columns), strict=True):
        text = Text(show(value), "bold" if behind == 0 else "")
        text.append("" if pd.isna(half) else f" ± {show(half)}")
        texts.append(text.append(f" {TIED}" if tied else "  "))
    return texts


def _front(rank: int | None) -> Text:
    if rank is None or pd.isna(rank):
        return Text(units.MISSING, "dim")
    return Text(FRONT, "bold green") if rank == 1 else Text(str(rank), "dim")


def _room(cells: Cells, titles: Mapping[str, str], width: int, gap: int) -> int:
    """Return the columns of the terminal that are left for the topology."""
    taken = [
        max(cell_len(titles.get(column, column)), *(text.cell_len for text in texts), 0) + gap
        for column, texts in cells.items()
    ]
    return width - sum(taken) - 1 - gap  # the box begins with one space, too


def _with_topologies(cells: Cells, board: pd.DataFrame, room: int, whole: bool) -> Cells:
    """Return the cells with the topology before the task's metric."""
    texts = []
    for line, skips, state, reason in zip(*(board[c] for c in ("topology", "skips", "state", "reason")), strict=True):
        text = Text(line) if whole else coloured(fitted(skips, room))
        if state != "COMPLETE":
            ended = f"{STATE_WORDS[state]}: {reason}" if reason else STATE_WORDS[state]
            text.append(f"\n{ended[:200]}", STATE_COLOURS.get(state, "dim"))
        texts.append(text)
    first = [column for column in ("#", "trial", "baseline") if column in cells]
    placed = {column: cells[column] for column in first} | {"topology" if whole else "skips": texts}
    return placed | {column: texts for column, texts in cells.items() if column not in first}


def _caption(board: pd.DataFrame, goals: Goals, whole: bool) -> Text:
    front = f"{FRONT} nothing is better in {', '.join(goals.titles())} at once"
    front += "" if board["feasible"].all() else f"; {BROKEN} breaks a constraint"
    if board["seeds"].gt(1).any():
        front += f"\n{goals.target.title}: mean ± standard deviation over {SEEDS} seeds"
    if board["half_width"].notna().any():
        front += f"\n{EXPECTED}: from all results, ± half of the 95 % interval; {TIED} not separated from the best"
    return Text(front if whole else f"{front}\n{legend(board['skips'])}", "dim")
