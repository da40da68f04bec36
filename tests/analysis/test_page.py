"""report.html: whole, offline, and harmless whatever the record says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from nas.analysis.figures import against, curves
from nas.analysis.page import Facts, page
from nas.analysis.ranking import leaderboard
from nas.space import Objective
from tests.helpers.analysis_trials import BASELINES, GOALS, chain, failed, frame, repeated, trial
from tests.helpers.analysis_trials import goals as goals_of

SETTINGS = {
    "seed": 0,
    "train": {"epochs": 8, "lr": 0.1, "grad_clip": None},
    "space": {"network": {"stem": {"op": "conv3x3", "width": 16}, "stages": [{"blocks": [3, 4]}]}},
    "versions": {"torch": "2.15.0"},
}
FACTS = Facts("digits-0105", "digits", GOALS, size=123_456_789_012, saved=3, settings=SETTINGS)
OWNED = "document.documentElement.dataset.owned=1"
HOSTILE = f"</script><script>{OWNED}</script><img src=x onerror={OWNED}>\"'&{{{{ 1234567 * 3 }}}}"


class Page(HTMLParser):
    """The tags of a page with their attributes, its texts, and what its scripts hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._in: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._in and self._in[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def html() -> str:
    return page(frame(), FACTS)


def test_it_tells_what_was_found(html: str) -> None:
    text = Page(html).text
    board = leaderboard(frame(), goals=GOALS)
    for told in ("digits-0105", "1.2 × 10¹¹", "44 candidates", "trainings saved", *BASELINES):
        assert told in text
    assert f"best accuracy: trial {board['trial'].iloc[0]}" in text
    assert board["topology"].iloc[0] in text
    assert "failed: diverged" in text
    assert "out of memory: it needs 3.2 GiB, but 2.0 GiB are free" in text
    assert "stem.width" in text and "grad_clip" not in text


def test_every_candidate_and_baseline_has_its_row(html: str) -> None:
    assert html.count("<tr data-trial=") == len(leaderboard(frame(), goals=GOALS))


def test_winner_and_baselines_have_their_diagrams(html: str) -> None:
    shown = re.sub(r"<template.*?</template>", "", html.split("<script")[0], flags=re.DOTALL)
    diagrams = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert len(diagrams) == 1 + len(BASELINES)
    for diagram in diagrams:
        ET.fromstring(diagram)


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    for tag, attributes in Page(html).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        for name in ("src", "href", "srcset", "data", "action"):
            assert name not in attributes
    assert "@import" not in html.split("<script")[0] and "url(" not in html.split("<script")[0]
    assert html.count("* plotly.js v") == 1


def test_only_its_own_scripts_may_run(html: str) -> None:
    parsed = Page(html)
    policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy and "unsafe-eval" not in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy.split("script-src")[1]))
    kinds = [attributes.get("type") for tag, attributes in parsed.tags if tag == "script"]
    running = [script for script, kind in zip(parsed.scripts, kinds, strict=True) if kind is None]
    assert {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in running} == allowed
    assert len(running) == 2


def hostile_page() -> str:
    """A page with a hostile string wherever one can come from outside."""
    plain = chain([None] * 3)
    rows = [
        trial(0, plain, HOSTILE, line=HOSTILE, reason=HOSTILE, key=HOSTILE),
        trial(1, chain([None] * 4), line=HOSTILE),
        failed(2, plain, HOSTILE, f"{HOSTILE}2"),
        trial(3, plain) | {"topology": {"stem": HOSTILE}},
    ]
    trials = pd.DataFrame(rows).rename(columns={"accuracy": HOSTILE})
    for curve in trials["curve"]:
        for record in curve:
            record[HOSTILE] = record.pop("accuracy")
    goals = goals_of(HOSTILE, "params", metric=HOSTILE)
    settings = {HOSTILE: HOSTILE, "train": {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}}
    return page(trials, Facts(HOSTILE, HOSTILE, goals, settings=settings))


def test_hostile_strings_are_only_read() -> None:
    html = hostile_page()
    parsed = Page(html)
    names = {tag for tag, _ in parsed.tags}
    assert "img" not in names
    assert sum(tag == "script" for tag, _ in parsed.tags) == 3
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert HOSTILE in " ".join(parsed.texts)
    assert "3703701" not in html
    plots = json.loads(next(script for script in parsed.scripts if script.startswith("{")))
    shown = json.dumps(plots)
    assert "<img" not in shown and "&lt;img" in shown


def test_figures_are_valid_plotly() -> None:
    board = leaderboard(frame(), goals=GOALS)
    for figure in (against(board, GOALS, "params"), against(board, GOALS, "memory"), curves(frame(), board, GOALS)):
        go.Figure(_with_colours(figure))


def _with_colours(part: Any) -> Any:
    """The figure as the page's script draws it: a name of a colour is that colour."""
    if isinstance(part, dict):
        return {
            key: "#123456" if key.endswith("color") and isinstance(value, str) else _with_colours(value)
            for key, value in part.items()
        }
    return [_with_colours(item) for item in part] if isinstance(part, list) else part


def test_the_front_of_the_plot_is_not_dominated() -> None:
    board = leaderboard(frame(), goals=GOALS)
    front = next(trace for trace in against(board, GOALS, "params")["data"] if trace["name"] == "Pareto front")
    points = board.dropna(subset="rank")
    for x, y in zip(front["x"], front["y"], strict=True):
        assert not ((points["params"] < x) & (points["accuracy"] >= y)).any()
        assert not ((points["params"] <= x) & (points["accuracy"] > y)).any()
    assert front["x"] == sorted(front["x"]) and front["y"] == sorted(front["y"])


def test_the_front_of_what_is_to_be_maximised_falls() -> None:
    """The step from one point to the next goes down before it goes right: what lies between is reached by the next."""
    goals = goals_of("accuracy", Objective("flops", "maximize", "count"))
    board = leaderboard(frame(), goals=goals)
    front = next(trace for trace in against(board, goals, "flops")["data"] if trace["name"] == "Pareto front")
    assert front["line"]["shape"] == "vh"
    assert front["x"] == sorted(front["x"]) and front["y"] == sorted(front["y"], reverse=True)
    assert max(front["x"]) == board.loc[board["state"] == "COMPLETE", "flops"].max()


def test_what_breaks_a_constraint_is_on_no_front_of_a_plot() -> None:
    goals = replace(GOALS, constraints={"params": float(frame()["params"].median())})
    board = leaderboard(frame(), goals=goals)
    plot = {trace["name"]: trace for trace in against(board, goals, "params")["data"]}
    assert max(plot["Pareto front"]["x"]) <= goals.constraints["params"] < min(plot["break a constraint"]["x"])
    free = leaderboard(frame(), goals=GOALS)
    assert "break a constraint" not in {trace["name"] for trace in against(free, GOALS, "params")["data"]}


def test_the_front_fills_the_plot_and_a_note_names_the_baselines_outside() -> None:
    far = frame()
    far.loc[far["baseline"] == "plain", "accuracy"] = 0.31
    board = leaderboard(far, goals=GOALS)
    layout = against(board, GOALS, "params")["layout"]
    low, high = layout["yaxis"]["range"]
    front = board[board["pareto"] == 1]["accuracy"]
    assert 0.31 < low < front.min() and front.max() < high
    assert layout["annotations"][0]["text"].startswith("outside: ")
    assert "plain 31.00%" in layout["annotations"][0]["text"]
    losses = goals_of("accuracy", direction="minimize")
    rising = against(leaderboard(far.assign(accuracy=1 - far["accuracy"]), goals=losses), losses, "params")
    assert rising["layout"]["yaxis"]["range"] == pytest.approx([1 - high, 1 - low])


def test_intervals_are_drawn_where_they_are_known() -> None:
    known = against(leaderboard(repeated(), goals=GOALS), GOALS, "params")["data"]
    front = next(trace for trace in known if trace["name"] == "Pareto front")
    assert len(front["error_y"]["array"]) == len(front["x"]) and max(front["error_y"]["array"]) > 0
    assert not any("error_y" in trace for trace in against(leaderboard(frame(), goals=GOALS), GOALS, "params")["data"])


def test_every_point_says_which_trial_it_is_and_leaders_have_a_diagram(html: str) -> None:
    board = leaderboard(frame(), goals=GOALS)
    for trace in against(board, GOALS, "params")["data"]:
        assert len(trace["customdata"]) == len(trace["x"])
        assert set(trace["customdata"]) <= set(board["trial"])
    drawn = set(map(int, re.findall(r'<template data-trial="(\d+)"', html)))
    assert set(board[board["pareto"] == 1]["trial"]) <= drawn


def test_failures_stand_by_their_reason(html: str) -> None:
    text = Page(html).text
    assert text.index("3 × out of memory") < text.index("1 × diverged")


def test_what_is_not_set_is_left_out_and_sizes_are_readable() -> None:
    settings = {"limits": {"memory": 268435456, "params": None}, "search": {"time": None, "trials": 30}}
    text = Page(page(frame(), replace(FACTS, settings=settings, command="nas search digits --seed 3"))).text
    assert "256 MiB" in text and "268435456" not in text and "null" not in text
    assert "The same search again: nas search digits --seed 3" in text


@pytest.mark.parametrize(
    "trials",
    [
        frame().iloc[:0],
        pd.DataFrame([failed(0, chain([None]), "diverged")]),
        pd.DataFrame([trial(0, chain([None]))]),
        pd.DataFrame([trial(0, chain([None]), state="RUNNING", accuracy=None, curve=[], ended=None)]),
    ],
    ids=["nothing", "one failure", "one candidate", "one running"],
)
def test_a_young_or_unlucky_run_has_a_page_too(trials: pd.DataFrame) -> None:
    assert "</html>" in page(trials, FACTS)


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium to render the page")
def test_a_browser_draws_it_and_runs_nothing_else(tmp_path: Path) -> None:
    """The plots are there, drawn by plotly under the page's policy; of hostile strings nothing ran."""
    assert BROWSER is not None
    (tmp_path / "report.html").write_text(hostile_page(), encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
    quiet = ("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000")
    log = ("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}")
    command = [BROWSER, *flags, *quiet, *log, "--dump-dom", (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    dom = done.stdout
    assert dom.count('class="main-svg"') >= 3, done.stderr[-2000:]
    assert not re.search(r"CONSOLE.*(Uncaught|Refused|violates)", done.stderr)
    assert "<img" not in dom and "data-owned" not in dom


def test_a_lead_carries_its_interval_or_says_that_none_is_known() -> None:
    def said(trials: pd.DataFrame) -> str:
        text = " ".join(" ".join(Page(page(trials, FACTS)).texts).split())
        return text[text.index("Which blocks should") : text.index("What accuracy costs")]

    once = said(frame())
    assert re.search(r"best accuracy: trial 2, the baseline densenet \d\.\d\d points ahead of trial \d+", once)
    assert "how much of that is noise is not known" in once
    again = said(repeated())
    assert re.search(r"expected accuracy: trial \d+.* ± 0\.\d\d points ahead of", again)
    assert "within noise" in again
    assert "44 candidates" in again
    assert f"trainings, {len(repeated()) - 44} of them repeats: " in again
    assert re.search(r"\d+ others are not separated from it by what was measured; the smallest of them is", again)


def test_a_winner_may_be_behind_what_breaks_a_constraint() -> None:
    goals = replace(GOALS, constraints={"params": 160_000.0})  # below every baseline
    for trials in (frame(), repeated()):
        text = " ".join(" ".join(Page(page(trials, replace(FACTS, goals=goals))).texts).split())
        assert re.search(r"\d points behind densenet, which breaks a constraint", text)
        assert not re.search(r"-\d\S* (± \S+ )?points", text)


def test_equal_results_of_two_seeds_are_no_single_trainings() -> None:
    again = frame().query("trial == 2").assign(trial=len(frame()), seed=99)
    text = " ".join(Page(page(pd.concat([frame(), again], ignore_index=True), FACTS)).texts)
    assert "points ahead of" in text
    assert "single trainings" not in text


def test_the_plots_go_by_what_is_expected_and_draw_a_baseline_once() -> None:
    goals = goals_of("accuracy", "params")
    board = leaderboard(repeated(), goals=goals)
    front = next(trace for trace in against(board, goals, "params")["data"] if trace["name"] == "Pareto front")
    members = board[board["pareto"] == 1].sort_values("params")
    assert front["x"] == members["params"].tolist()
    assert front["y"] == pytest.approx(members["expected"].tolist(), rel=1e-5)  # six digits are drawn
    lines = [trace["name"] for trace in curves(repeated(), board, goals)["data"]]
    assert len(lines) == len(set(lines))
