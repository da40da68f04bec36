"""The leaderboard: who is ranked, in which order, and what is shown of the others."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from nas.analysis.ranking import failures, leaderboard, states
from nas.analysis.ranking_table import leaderboard_table
from nas.errors import RunError
from nas.space import Goals
from tests.helpers.analysis_trials import BASELINES, GOALS, chain, failed, frame, goals, repeated, trial


def printed(board: pd.DataFrame, width: int, goals: Goals = GOALS) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(leaderboard_table(board, goals, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_only_finished_trials_are_ranked_and_best_comes_first() -> None:
    board = leaderboard(frame(), goals=GOALS)
    ranked = board[board["rank"].notna()]
    assert set(ranked["state"]) == {"COMPLETE"}
    assert len(ranked) == states(frame())["COMPLETE"]
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
    assert ranked["accuracy"].is_monotonic_decreasing


@pytest.mark.parametrize("column", ["params", "memory", "flops", "seconds", "pareto"])
def test_by_any_column_the_least_comes_first(column: str) -> None:
    ranked = leaderboard(frame(), goals=GOALS, by=column).dropna(subset="rank")
    assert ranked[column].is_monotonic_increasing


def test_by_an_unknown_column_names_the_known() -> None:
    known = "accuracy, params, memory, flops, latency, seconds, pareto.*did you mean 'params'"
    with pytest.raises(RunError, match=known):
        leaderboard(frame(), goals=GOALS, by="param")


def test_a_metric_to_minimise_ranks_the_smallest_first() -> None:
    trials = frame().rename(columns={"accuracy": "bits"})
    board = leaderboard(trials, goals=goals("bits", "params", metric="bits", direction="minimize"))
    assert board["bits"].dropna().head(30).is_monotonic_increasing


def test_every_baseline_is_shown_however_few_rows() -> None:
    board = leaderboard(frame(), goals=GOALS, top=1)
    assert set(board["name"]) - {""} == set(BASELINES)
    unfinished = board[board["name"] == "highway"].iloc[0]
    assert (unfinished["state"], unfinished["reason"]) == ("FAIL", "diverged")
    assert pd.isna(unfinished["rank"])


def test_a_baseline_that_finished_later_is_shown_once() -> None:
    plain = chain([None] * 4)
    trials = pd.DataFrame([failed(0, plain, "timed out", "plain"), trial(1, plain, "plain")])
    assert leaderboard(trials, goals=GOALS)[["name", "state"]].values.tolist() == [["plain", "COMPLETE"]]


def test_fronts_are_over_the_objectives_of_the_run() -> None:
    one = leaderboard(frame(), goals=goals("accuracy"))
    assert one.loc[one["pareto"] == 1, "accuracy"].nunique() == 1
    several = leaderboard(frame(), goals=GOALS)
    smallest = several.dropna(subset="rank").sort_values("params").iloc[0]
    assert smallest["pareto"] == 1


def test_a_finished_trial_without_the_metric_comes_last_and_on_no_front() -> None:
    trials = pd.DataFrame([trial(0, chain([None]), accuracy=float("nan")), trial(1, chain([None] * 2))])
    board = leaderboard(trials, goals=GOALS)
    assert board["trial"].tolist() == [1, 0]
    assert board["pareto"].isna().tolist() == [False, True]


def test_nothing_to_rank() -> None:
    empty = frame().iloc[:0]
    assert leaderboard(empty, goals=GOALS).empty
    assert states(empty) == {}
    assert failures(empty).empty
    assert "accuracy" in printed(leaderboard(empty, goals=GOALS), 80)


def test_failures_carry_their_reasons() -> None:
    told = failures(frame())
    assert told["reason"].iloc[0] == "diverged"
    assert told["name"].iloc[0] == "highway"
    assert len(told) == states(frame())["FAIL"]


def test_what_was_over_the_limits_did_not_fail_in_training() -> None:
    topology = chain([None])
    trials = pd.DataFrame(
        [trial(0, topology), failed(1, topology, "over the limits: 3.1M params"), failed(2, topology, "diverged")]
    )
    assert states(trials) == {"COMPLETE": 1, "FAIL": 1, "REFUSED": 1}
    assert failures(trials)["trial"].tolist() == [2]


def test_ties_go_to_fewer_parameters_then_to_the_earlier_trial() -> None:
    small, large = chain([None]), chain([None] * 6)
    rows = [trial(0, large), trial(1, small), trial(2, small) | {"key": "another"}]
    trials = pd.DataFrame([row | {"accuracy": 0.9} for row in rows])
    assert leaderboard(trials, goals=GOALS)["trial"].tolist() == [1, 2, 0]


def test_csv_and_json_hold_plain_numbers() -> None:
    board = leaderboard(frame(), goals=GOALS)
    back = pd.read_csv(io.StringIO(board.to_csv(index=False)))
    assert back["params"].dtype == "int64"
    assert back["memory"].tolist() == board["memory"].tolist()
    record = json.loads(board.to_json(orient="records"))[-1]
    assert record["name"] == "highway"
    assert record["rank"] is None and record["accuracy"] is None


def test_a_topology_that_cannot_be_read_is_still_ranked() -> None:
    row = trial(0, chain([None])) | {"topology": {"version": 99}}
    board = leaderboard(pd.DataFrame([row]), goals=GOALS)
    assert board["skips"].tolist() == [""]
    assert board["topology"].iloc[0].startswith("conv3x3")


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_the_table_keeps_to_its_width(width: int) -> None:
    text = printed(leaderboard(frame(), goals=GOALS, top=12), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "failed: diverged" in text
    for name in BASELINES:
        assert name in text


@pytest.mark.parametrize("width", [80, 140, 200])
def test_the_table_looks_as_it_did(width: int, golden: Callable[[str, str], None]) -> None:
    golden(f"leaderboard_{width}.txt", printed(leaderboard(frame(), goals=GOALS, top=12), width))


def test_the_best_of_each_column_is_bold() -> None:
    board = leaderboard(frame(), goals=GOALS)
    console = Console(width=160, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(leaderboard_table(board, GOALS, width=160))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    bold = [line for line in text.splitlines() if re.search(r"\x1b\[1m *\d+\.\d+%", line)]
    assert len(bold) == 1 and "densenet" in bold[0]


# ----------------------------------------------------------------------------------------------- observed and expected


def test_without_repeats_what_is_observed_is_expected() -> None:
    board = leaderboard(frame(), goals=GOALS).dropna(subset="rank")
    assert board["expected"].tolist() == board["accuracy"].tolist()
    assert board[["half_width", "behind_half_width"]].isna().all(axis=None)
    assert not board["tied"].any()
    assert "expected" not in printed(leaderboard(frame(), goals=GOALS), 120)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_repeats_rank_by_what_is_expected(direction: str) -> None:
    trials, own = repeated(), GOALS
    if direction == "minimize":
        trials = trials.rename(columns={"accuracy": "bits"}).assign(bits=1 - trials["accuracy"])
        own = goals("bits", "params", "memory", metric="bits", direction="minimize")
    board = leaderboard(trials, goals=own).dropna(subset="rank")
    sign = 1 if direction == "maximize" else -1
    assert (sign * board["expected"]).is_monotonic_decreasing
    assert board["half_width"].between(0.0005, 0.02).all()
    assert board["behind"].iloc[0] == 0
    assert (sign * (board["expected"].iloc[0] - board["expected"])).tolist() == pytest.approx(board["behind"].tolist())
    assert not board["tied"].iloc[0]
    others = board.iloc[1:]
    assert (others["tied"] == (others["behind"] <= others["behind_half_width"])).all()
    assert others["tied"].any()
    assert not others["tied"].all()
    once = board[board["seeds"] == 1]
    assert once["half_width"].mean() > board[board["seeds"] > 2]["half_width"].mean()


def test_a_lucky_training_does_not_win_over_four_good_ones() -> None:
    good, lucky = chain([None] * 6), chain([None] * 7)
    results = [0.906, 0.897, 0.910, 0.903]
    rows = [trial(seed, good, accuracy=accuracy, seed=seed) for seed, accuracy in enumerate(results)]
    others = [0.897, 0.903, 0.895, 0.899]
    rows += [trial(4 + n, chain([None] * (8 + n)), accuracy=accuracy) for n, accuracy in enumerate(others)]
    rows += [trial(8, lucky, accuracy=0.905)]
    board = leaderboard(pd.DataFrame(rows), goals=goals("accuracy"))
    assert board["key"].iloc[0] == good.key
    assert board.loc[board["key"] == lucky.key, "tied"].all()


def test_a_topology_that_cannot_be_read_has_its_observed_value() -> None:
    trials = repeated()
    broken = trials.index[trials["trial"] == 5]
    trials.loc[broken, "topology"] = pd.Series([{"version": 99}] * len(broken), index=broken, dtype="object")
    board = leaderboard(trials, goals=GOALS)
    assert board.loc[board["trial"] == 5, "expected"].notna().all()


def test_the_table_shows_both_and_marks_what_is_not_separated() -> None:
    board = leaderboard(repeated(), goals=GOALS, top=12)
    for width in (80, 120):
        lines = printed(board, width).splitlines()
        assert max(map(cell_len, lines)) <= width
        first = next(line for line in lines if line.split()[:1] == ["1"])
        assert first.count("±") == 2
        assert str(board["seeds"].iloc[0]) in first.split()
        assert "≈" not in first
        assert sum("≈" in line for line in lines[:-4]) == int(board["tied"].sum())
        assert "not separated from the best" in " ".join(" ".join(lines).split())


def test_equal_results_of_two_seeds_tell_no_interval() -> None:
    again = frame().query("trial == 2").assign(trial=len(frame()), seed=99)
    text = printed(leaderboard(pd.concat([frame(), again], ignore_index=True), goals=GOALS), 120)
    assert "over n seeds" in text
    assert "expected" not in text


def test_by_knee_the_front_comes_first_the_balanced_one_ahead() -> None:
    """Of three on the front: the middle one gives up little of one objective for much of the other."""
    figures = [(0.99, 1000), (0.97, 300), (0.60, 100), (0.59, 900)]
    rows = [
        trial(number, chain([None] * (number + 1)), accuracy=accuracy, params=params)
        for number, (accuracy, params) in enumerate(figures)
    ]
    board = leaderboard(pd.DataFrame(rows), goals=goals("accuracy", "params"), by="knee")
    assert board["trial"].tolist() == [1, 0, 2, 3]  # the ends are equally far: more accuracy first
    assert board["pareto"].tolist() == [1, 1, 1, 2]
    assert "knee" not in board
