"""The report of a search, report.html: one page that needs no network and no other file."""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from markupsafe import Markup

from nas import units
from nas.analysis.ablated import Ablated, ablated_of
from nas.analysis.confirmed import Confirmed, confirmed_of
from nas.analysis.course import busy, progress
from nas.analysis.draw_svg import arc_svg
from nas.analysis.effects import Effects, effects_of
from nas.analysis.figures import CURVES, against, curves, leads
from nas.analysis.marks import kinds, legend
from nas.analysis.page_sections import ablated_section, confirmed_section, effects_section
from nas.analysis.proxy_worth import proxy_correlations
from nas.analysis.ranking import best, failures, formats, leaderboard, shown, states, trained, unit_of
from nas.analysis.ranking_table import TIED
from nas.analysis.self_contained import render
from nas.analysis.words import in_words, listed
from nas.errors import RunError, TopologyError
from nas.files import write_whole
from nas.space import OBJECTIVES, Goals
from nas.study.states import STATE_WORDS
from nas.topology import Topology
from nas.topology.vocabulary import JOINS

if TYPE_CHECKING:
    from nas.study import Run

T = TypeVar("T")
UNSET: tuple[object, ...] = (None, {}, [])
# bounds of the page, which stays below 8 MB with 10,000 trials; plotly.js alone takes 4.8 MB
ROWS = 1000  # of the leaderboard, besides those of the front and the baselines
FRONT = 200  # rows of the front behind these, evenly spaced
DRAWN = 40  # rows of the leaderboard with a diagram, besides those of the front and the baselines
MOST_DRAWN = 100  # rows with a diagram in all
FAILED = 200  # failures of one kind that are listed
NO_PORTRAIT = {"svg": "", "words": ""}
MOST = 1000  # topologies from which effects are estimated
SEEDS, EXPECTED = "seeds", "expected"  # columns of the leaderboard, and their titles


@dataclass(frozen=True)
class Facts:
    """The facts about a run that the page shows besides its trials.

    size      the number of topologies in the space
    saved     trainings that a recorded result made unnecessary
    settings  the resolved configuration (run.yaml)
    confirmed what the last confirmation tells; None if there is none
    command   the command that repeats the search; empty if it is not known
    effects   what the decisions are worth for the metric; None if too few topologies were trained
    ablated   what the last ablation tells; None if there is none
    """

    name: str
    task: str
    goals: Goals
    size: int | None = None
    saved: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    confirmed: Confirmed | None = None
    command: str = ""
    effects: Effects | None = None
    ablated: Ablated | None = None


def report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run and return its path: report.html in its folder, unless `path` is another file.

    Raises RunError if it cannot be written.
    """
    space, config, frame = run.space, run.config, run.frame()
    settings = {key: value for key, value in config.items() if key not in ("storage", "space")}  # a URL has passwords
    settings |= config["space"]
    effects = _unless_damaged(functools.partial(effects_of, run, most=MOST, frame=frame))
    confirmed = _unless_damaged(functools.partial(confirmed_of, run))
    ablated = _unless_damaged(functools.partial(ablated_of, run))
    about = (run.name, space.task.name, space.goals, space.size(), run.saved, settings)
    facts = Facts(*about, confirmed, _command(run), effects, ablated)
    target = run.path / "report.html" if path is None else path
    try:
        return write_whole(target, page(frame, facts))
    except OSError as error:
        elsewhere = ": -o writes it elsewhere" if path is None else ""
        raise RunError(f"{target} cannot be written ({error.strerror}){elsewhere}") from None


def _unless_damaged(find: Callable[[], T | None]) -> T | None:
    """Return what a section tells; None where its record is damaged or tells nothing: the page goes without it."""
    try:
        return find()
    except RunError:
        return None


def page(frame: pd.DataFrame, facts: Facts) -> str:
    """Return the HTML of the report on the trials in `frame` (see `Run.frame`)."""
    goals = facts.goals
    board = _bounded(leaderboard(frame, goals=goals, top=ROWS, front=True))
    candidates, tally = _candidates(board, frame, goals), states(frame)
    columns = shown(board, goals)
    costs = [
        name
        for name, objective in columns.items()
        if name != goals.metric and (name in goals.names or objective.in_every_report)
    ]
    plots = {cost: against(board, goals, cost) for cost in costs} | {"curves": curves(frame, board, goals)}
    plots |= {"progress": progress(frame, board, goals), "busy": busy(frame)}
    if facts.confirmed is not None and facts.confirmed.baseline is not None:
        plots["confirmed"] = leads(facts.confirmed)
    titles = _titles(board, goals)
    done = trained(frame)
    return render(
        "report.html.j2",
        facts=facts,
        states=tally,
        trained=int(done.sum()),
        repeats=int(frame.loc[done, "key"].dropna().duplicated().sum()),
        winner=candidates[0] if candidates and candidates[0]["rank"] else None,
        lead=_lead(board, goals),
        tied=_tied(board),
        headline=EXPECTED if EXPECTED in titles else goals.metric,
        confirmed=None if facts.confirmed is None else confirmed_section(facts.confirmed),
        effects=None if facts.effects is None else effects_section(facts.effects),
        ablated=None if facts.ablated is None else ablated_section(facts.ablated),
        candidates=candidates,
        finished=int((frame["state"] == "COMPLETE").sum()),
        rows=ROWS,
        curves=CURVES,
        with_curve=int(frame["epochs"].gt(0).sum()),
        failures=_by_reason(failures(frame)),
        command=facts.command,
        proxy_worth=proxy_correlations(frame, goals).to_dict("records"),
        columns=titles,
        took=_took(frame),
        settings=_sections(facts.settings),
        costs=costs,
        plots=plots,
        words={"states": STATE_WORDS, "objectives": listed(goals.titles())},
        joins=JOINS,
        legend=legend(board["skips"]),
        large=units.large,
    )


def _bounded(board: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a leaderboard without most members of a long front that are not among the best."""
    behind = board.index[(board["rank"] > ROWS) & (board["name"] == "")]
    if len(behind) <= FRONT:
        return board
    kept = behind[np.linspace(0, len(behind) - 1, FRONT).astype(int)]
    return board.drop(behind.difference(kept)).reset_index(drop=True)


def _candidates(board: pd.DataFrame, frame: pd.DataFrame, goals: Goals) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard for the page; the winner and the baselines with their diagrams."""
    shows = formats(board, goals)
    tops = {column: best(board, goals, column) for column in shows}
    titles = _titles(board, goals)
    topologies = dict(zip(frame["trial"], frame["topology"], strict=True))
    wanted = (board.index < DRAWN) | (board["name"] != "") | (board["pareto"] == 1).fillna(False)
    drawn = set(board.loc[wanted, "trial"].head(MOST_DRAWN))
    return [
        {name: row[name] for name in ("trial", "name", "topology", "state", "reason", "feasible")}
        | {name: None if pd.isna(row[name]) else int(row[name]) for name in ("rank", "pareto")}
        | {
            "skips": kinds(row["skips"]),
            "cells": {
                column: cell for column, cell in _cells(row, shows, tops, goals.metric).items() if column in titles
            },
        }
        | (_portrait(topologies[row["trial"]]) if row["trial"] in drawn or row["name"] else NO_PORTRAIT)
        for row in board.astype(dict.fromkeys(shows, "float64")).to_dict("records")
    ]


def _titles(board: pd.DataFrame, goals: Goals) -> dict[str, str]:
    """Return the titles of the columns with figures; after the metric the number of seeds where there are several, and
    what is expected where its interval is known.
    """
    titles: dict[str, str] = {}
    for column, objective in shown(board, goals).items():
        titles[column] = objective.title
        if column == goals.metric:
            titles |= {SEEDS: SEEDS} if board["seeds"].gt(1).any() else {}
            titles |= {EXPECTED: EXPECTED} if board["half_width"].notna().any() else {}
    return titles


def _cells(
    row: Mapping[Any, Any], shows: Mapping[str, units.Show], tops: Mapping[str, float], metric: str
) -> dict[str, dict[str, Any]]:
    """Return every cell of a row with a figure, in the order of `_titles`."""
    cells: dict[str, dict[str, Any]] = {}
    for column, show in shows.items():
        cells[column] = _cell(row, column, show, tops[column], metric)
        if column == metric:
            cells |= {SEEDS: _seeds(row), EXPECTED: _expected(row, show)}
    return cells


def _cell(row: Mapping[Any, Any], column: str, show: units.Show, top: float, metric: str) -> dict[str, Any]:
    value = row[column]
    is_best = row["state"] == "COMPLETE" and value == top and not (column == metric and row["half_width"] > 0)
    spread = f"± {show(row['sd'])}" if column == metric and row["seeds"] > 1 else ""
    return _figure(show(value), value, spread=spread, best=is_best)


def _seeds(row: Mapping[Any, Any]) -> dict[str, Any]:
    ended = row["state"] == "COMPLETE"
    return _figure(str(row["seeds"]) if ended else units.MISSING, row["seeds"] if ended else math.nan)


def _expected(row: Mapping[Any, Any], show: units.Show) -> dict[str, Any]:
    value, half = row[EXPECTED], row["half_width"]
    spread, mark = f"± {show(half)}" if half > 0 else "", TIED if row["tied"] else ""
    return _figure(show(value), value, spread=spread, mark=mark, best=row["behind"] == 0)


def _figure(text: str, value: float, *, spread: str = "", mark: str = "", best: bool = False) -> dict[str, Any]:
    """Return a cell: its text, with what follows it, and the value by which a click on the title sorts."""
    return {"text": text, "spread": spread, "mark": mark, "sort": None if math.isnan(value) else value, "best": best}


def _portrait(data: object) -> dict[str, Any]:
    """Return diagram and description of a recorded topology; empty where the record cannot be read."""
    try:
        topology = Topology.from_dict(data)
    except TopologyError:
        return NO_PORTRAIT
    return {"svg": Markup(arc_svg(topology)), "words": in_words(topology)}


def _lead(board: pd.DataFrame, goals: Goals) -> dict[str, str] | None:
    """Return the lead of a sampled winner over the best baseline, or of a baseline over the best sampled one.

    {name, metric, ahead, noise}: what the other one is and reached, by how much the winner is ahead, with half of the
    95 % interval, and in words whether that may be noise. A winner may be behind one that breaks a constraint.
    """
    done = board[board["state"] == "COMPLETE"]
    others = done[(done["name"] == "") != (done["name"].head(1) == "").all()]
    if others.empty:
        return None
    unit, other = unit_of(board, goals, goals.metric), others.iloc[0]
    ahead, half = float(other["behind"]), float(other["behind_half_width"])
    figures, noise = unit.amount(ahead), ""
    if not math.isnan(half):
        figures, noise = f"{figures} ± {unit.amount(half)}", "within noise" if abs(ahead) <= half else ""
    elif done["seeds"].max() == 1:
        noise = "single trainings: how much of that is noise is not known"
    return {
        "name": (other["name"] or f"trial {other['trial']}")
        + ("" if other["feasible"] else ", which breaks a constraint"),
        "metric": unit.show(other["expected"]),
        "ahead": f"{figures}{unit.word} {'behind' if ahead < 0 else 'ahead of'}",
        "noise": noise,
    }


def _tied(board: pd.DataFrame) -> dict[str, Any] | None:
    """Return how many candidates are not separated from the best, and the smallest of them; None if none is."""
    tied = board[board["tied"]]
    if tied.empty:
        return None
    smallest = tied.sort_values("params").iloc[0]
    return {"count": len(tied), "trial": smallest["trial"], "name": smallest["name"], "params": smallest["params"]}


def _by_reason(failed: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the failures by kind, the words of a reason before a colon or a number; the most frequent first."""
    groups: dict[str, list[Any]] = {}
    for row in failed.to_dict("records"):
        groups.setdefault(re.split(r"[:0-9]", row["reason"])[0].strip(), []).append(row)
    most = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [{"kind": kind, "count": len(rows), "rows": rows[:FAILED]} for kind, rows in most]


def _command(run: Run) -> str:
    """Return the command that repeats the search; empty where the file of its space is not known."""
    source, search = run.config.get("source"), run.space.search
    if not source:
        return ""
    return f"nas search {shlex.quote(str(source))} --trials {search.trials} --seed {search.seed}"


def _took(frame: pd.DataFrame) -> dict[str, str] | None:
    """Return the start of the search and its duration; None before a trial has started."""
    started, ended = pd.to_datetime(frame["started"]).min(), pd.to_datetime(frame["ended"]).max()
    if pd.isna(started) or pd.isna(ended):
        return None
    return {"day": f"{started:%-d %B %Y, %H:%M}", "time": units.duration((ended - started).total_seconds())}


def _sections(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the configuration as titled lists, with dots in nested keys and single values first; what is not set is
    left out.
    """
    sections: dict[str, dict[str, str]] = {"run": {}}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            sections[str(key)] = _flat(value)
        elif value not in UNSET:
            sections["run"][str(key)] = _written(str(key), value)
    return {title: section for title, section in sections.items() if section}


def _flat(settings: Mapping[Any, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        elif value not in UNSET:
            found[f"{before}{key}"] = _written(str(key), value)
    return found


def _written(key: str, value: object) -> str:
    if key in OBJECTIVES and isinstance(value, int | float):
        return OBJECTIVES[key].unit_format.show(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
