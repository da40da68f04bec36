"""The leaderboard: every candidate that was trained to the end, best first, beside the baselines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.analysis.beliefs import COLUMNS, with_beliefs
from nas.analysis.marks import marks
from nas.errors import Dismissed, OverLimits, RunError, TopologyError, expected
from nas.space import Goals, Objective
from nas.space.quantities import Unit
from nas.study.pareto import distances_to_ideal, pareto_rank
from nas.study.states import KNOWN, REFUSED, STATE_WORDS
from nas.topology import Topology
from nas.units import Show

if TYPE_CHECKING:
    from nas.study import Run

KNEE = "knee"  # a way to sort: the members of the front by their distance to the best value of every objective


def leaderboard(
    run: Run | pd.DataFrame,
    *,
    goals: Goals | None = None,
    by: str | None = None,
    top: int | None = None,
    front: bool = False,
) -> pd.DataFrame:
    """Return the finished candidates, best first, and every baseline, finished or not.

    Columns: rank, trial, name (of a baseline, else ""), topology, skips, those of `goals.columns` (the task's metric;
    params, memory [bytes], flops (per sample), latency [s], seconds; what the space declares), pareto (1 is the
    non-dominated front), state, reason, key, feasible (it violates no constraint; a row that does comes after others
    and is on no front), seeds, sd, expected, half_width, behind, behind_half_width, tied. A topology that was evaluated
    with several seeds is one row, that of its first trial, with the means over the seeds and the standard deviation sd
    of the metric. `expected` is what all results tell of the metric (nas.surrogate.expected), by which candidates are
    ranked, and half_width half of its 95 % interval; `behind` is how much worse it is than that of the best candidate,
    with behind_half_width, and `tied` says that the two are not separated. Without repeats `expected` is the metric,
    and no interval is known. `by` is one of `goals.columns` (the metric is the default), `pareto`, or `knee` (the
    members of the front by their distance to the best value of every objective); ties go to fewer parameters, then to
    the earlier trial. Only COMPLETE trials have a rank; baselines beyond `top`, with `front` also the members of the
    front, and baselines that did not finish follow the ranked rows. `goals` are needed where a frame is given. Raises
    RunError for an unknown `by`.
    """
    frame = _frame_of(run)
    if goals is None:
        if isinstance(run, pd.DataFrame):
            raise TypeError("a frame does not know its goals: leaderboard(frame, goals=...)")
        goals = run.space.goals
    board, ranked = leaderboard_rows(frame, goals), ranked_rows(frame, goals, by)
    unfinished = board[(board["state"] != "COMPLETE") & (board["name"] != "") & ~board["name"].isin(ranked["name"])]
    unfinished = unfinished.drop_duplicates("name", keep="last")
    if top is not None:
        beyond = (ranked["name"] != "") | (front & (ranked["pareto"] == 1).fillna(False))
        ranked = ranked[(ranked["rank"] <= top) | beyond]
    return with_marks(pd.concat([ranked, unfinished], ignore_index=True), frame)


def ranked_rows(frame: pd.DataFrame, goals: Goals, by: str | None = None) -> pd.DataFrame:
    """Return all ranked rows of a leaderboard, the best first; their skips, which take time, are left empty."""
    board = leaderboard_rows(frame, goals)
    board = board[board["state"] == "COMPLETE"]
    results, whose = board[goals.metric].astype("float64"), _whose(board)
    rows = with_beliefs(_over_seeds(board, whose, goals), results, frame["topology"], whose, goals)
    return _ranked(rows, goals, by or goals.metric)


def states(run: Run | pd.DataFrame) -> dict[str, int]:
    """Return state → number of trials, in the order of STATE_WORDS, for every state that occurs.

    A FAIL that was over the limits, and therefore never trained, counts as REFUSED; what a person ended counts as FAIL.
    """
    frame = _frame_of(run)
    by_hand = _text(frame["reason"]) == Dismissed.reason
    counts = frame["state"].where(~_refused(frame), REFUSED).where(~by_hand, "FAIL").value_counts()
    return {state: int(counts[state]) for state in STATE_WORDS if state in counts}


def failures(run: Run | pd.DataFrame) -> pd.DataFrame:
    """Return trial, name, topology and reason of the candidates whose training failed, in the order of their trials."""
    frame = _frame_of(run)
    failed = frame[(frame["state"] == "FAIL") & ~_refused(frame)]
    named = {"trial": failed["trial"], "name": _text(failed["baseline"]), "topology": _text(failed["line"])}
    return pd.DataFrame(named | {"reason": _text(failed["reason"])}).sort_values("trial", ignore_index=True)


def trained(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return which trials of a frame were trained in their own run, to whatever end."""
    ended = frame["state"].isin(["COMPLETE", "PRUNED", "FAIL"]) & frame["key"].notna()  # without: of another program
    others = _text(frame["reason"]).str.startswith((OverLimits.reason, Dismissed.reason, KNOWN))
    return ended & ~others & frame.get("reused", pd.Series(index=frame.index, dtype="object")).isna()


def _refused(frame: pd.DataFrame) -> pd.Series[bool]:
    return (frame["state"] == "FAIL") & _text(frame["reason"]).str.startswith(OverLimits.reason)


def shown(board: pd.DataFrame, goals: Goals) -> dict[str, Objective]:
    """Return the columns that a table shows: the metric, the objectives, and what else is known of any candidate."""
    wanted = {goals.metric, *goals.names}
    return {name: row for name, row in goals.columns.items() if name in wanted or board[name].notna().any()}


def unit_of(board: pd.DataFrame, goals: Goals, column: str) -> Unit:
    """Return the unit of a column; only a metric may turn out to be a share."""
    objective = goals.columns[column]
    return objective.unit_of(board[column].dropna()) if column == goals.metric else objective.unit_format


def formats(board: pd.DataFrame, goals: Goals) -> dict[str, Show]:
    """Return how the values of every column that a table shows are written."""
    return {column: unit_of(board, goals, column).show for column in shown(board, goals)}


def best(board: pd.DataFrame, goals: Goals, column: str) -> float:
    """Return the best value that a finished candidate reached in a column; NaN where there is none."""
    values = board.loc[board["state"] == "COMPLETE", column].astype("float64")
    return float(values.max() if goals.columns[column].direction == "maximize" else values.min())


def _frame_of(run: Run | pd.DataFrame) -> pd.DataFrame:
    return run if isinstance(run, pd.DataFrame) else run.frame()


def with_marks(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a leaderboard with their skips; to read a topology takes longer than all else of its row."""
    topologies = dict(zip(frame["trial"], frame["topology"], strict=True))
    marked = [_marks(topologies[trial]) for trial in rows["trial"]]
    return rows.assign(skips=pd.Series(marked, index=rows.index, dtype="str"))


def leaderboard_rows(frame: pd.DataFrame, goals: Goals) -> pd.DataFrame:
    """Return the columns of a leaderboard for all trials, in the order of the record; without their skips."""
    numbers = {column: _numbers(frame, objective) for column, objective in goals.columns.items()}
    return pd.DataFrame(
        {
            "rank": pd.Series(pd.NA, index=frame.index, dtype="Int64"),
            "trial": frame["trial"].astype("int64"),
            "name": _text(frame["baseline"]),
            "topology": _text(frame["line"]),
            "skips": pd.Series("", index=frame.index, dtype="str"),
            **numbers,
            "pareto": pd.Series(pd.NA, index=frame.index, dtype="Int64"),
            "state": frame["state"].astype("str"),
            "reason": _text(frame["reason"]),
            "key": _text(frame["key"]),
            "feasible": _feasible(frame, goals),
            "seeds": pd.Series(1, index=frame.index, dtype="int64"),
            **{column: pd.Series(math.nan, index=frame.index, dtype="float64") for column in ("sd", *COLUMNS)},
            "tied": pd.Series(False, index=frame.index, dtype="bool"),
        }
    )


def _numbers(frame: pd.DataFrame, objective: Objective) -> pd.Series[Any]:
    """Return the column of an objective: whole where it is known before training; missing where the frame has none."""
    column = frame[objective.name] if objective.name in frame else pd.Series(math.nan, index=frame.index)
    values = pd.to_numeric(column).astype("float64")
    # a record may hold any number, but a cost that is not told from its neighbours is none
    return values.where(values.abs() < 2**53).round().astype("Int64") if objective.before_training else values


def _feasible(frame: pd.DataFrame, goals: Goals) -> pd.Series[bool]:
    """Return whether nothing that is known of a candidate breaks a constraint."""
    kept = pd.Series(True, index=frame.index)
    for objective, bound in goals.bounds():
        values = _numbers(frame, objective).astype("float64")
        kept &= pd.Series([not objective.excess(value, bound) > 0 for value in values], index=frame.index, dtype="bool")
    return kept


def _over_seeds(board: pd.DataFrame, whose: pd.Series[str], goals: Goals) -> pd.DataFrame:
    """Return one row for each topology, with means over its seeds."""
    if whose.is_unique:
        return board
    same, first = board.groupby(whose, sort=False), ~whose.duplicated()
    trained = [name for name, objective in goals.columns.items() if not objective.before_training]
    means = {column: same[column].transform("mean") for column in trained}
    spread = {"seeds": same["trial"].transform("size"), "sd": same[goals.metric].transform("std")}
    return board.assign(**means, **spread, feasible=same["feasible"].transform("all"))[first]


def _whose(board: pd.DataFrame) -> pd.Series[str]:
    """Return the canonical key of each row, or its trial where none was recorded."""
    return board["key"].where(board["key"] != "", board["trial"].astype("str"))


def _ranked(board: pd.DataFrame, goals: Goals, by: str) -> pd.DataFrame:
    columns = (*goals.columns, "pareto", KNEE)
    if by not in columns:
        raise RunError(expected("--by", by, columns))
    points = board.assign(**{goals.metric: board["expected"]})[goals.names].astype("float64").where(board["feasible"])
    fronts = pd.Series(pareto_rank(points, goals.directions), board.index, dtype="Int64")
    board = board.assign(pareto=fronts.where(fronts > 0))
    if by == KNEE:
        on_front = fronts == 1
        far = pd.Series(distances_to_ideal(points[on_front], goals.directions), board.index[on_front])
        board = board.assign(**{KNEE: far.reindex(board.index)})
    keys = dict.fromkeys(["feasible", "expected" if by == goals.metric else by, "expected", "params", "trial"])
    falling = {"feasible"} | {name for name, row in goals.columns.items() if row.direction == "maximize"}
    falling |= {"expected"} if goals.target.direction == "maximize" else set()
    rising = [key not in falling for key in keys]
    board = board.sort_values([*keys], ascending=rising, na_position="last", ignore_index=True)
    return board.drop(columns=KNEE, errors="ignore").assign(rank=pd.array(range(1, len(board) + 1), dtype="Int64"))


def _text(column: pd.Series[Any]) -> pd.Series[str]:
    return column.astype("object").where(column.notna(), "").astype("str")


def _marks(data: object) -> str:
    """Return the skips of a recorded topology; empty where the record cannot be read."""
    try:
        return marks(Topology.from_dict(data))
    except TopologyError:
        return ""
