"""The status of a search as text for a terminal, and as plain data for JSON."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas import units
from nas.analysis.marks import coloured, fitted
from nas.analysis.search_status import DEAD, OVER, SEARCHING, STARTING, STOPPED, SearchStatus, TrainingStatus
from nas.study.states import REFUSED, STATE_WORDS

Row = dict[str, Any]

MOST_CAUSES = 4
MOST_PROCESSES = 4
INDENT = 13  # columns of the labels and around them
LEAST, ENOUGH = 8, 24  # columns for the skips before another column, or that of the parameters, has to leave
STYLES = {"trial": "dim", "baseline": "bold bright_blue"}  # of columns
STATE_STYLES = {STARTING: "yellow", SEARCHING: "green", DEAD: "bold red", STOPPED: "yellow", OVER: "dim"}


def status_view(status: SearchStatus, width: int, most: int | None = None) -> Group:
    """Return the status in `width` columns: how far the search is, then a table of the candidates in training.

    most  the rows of that table; None for all
    """
    facts = Table.grid(padding=(0, 2, 0, 0), expand=True)
    facts.add_column(justify="right", style="dim", no_wrap=True, min_width=8)
    facts.add_column(ratio=1, overflow="fold")
    for label, words in (
        ("trials", _in_lines(_counts(status), width - INDENT)),
        ("failed", _in_lines(_causes(status), width - INDENT, "red")),
        ("best", _best(status)),
        ("time", _in_lines(_hours(status), width - INDENT)),
        ("process", _in_lines(_process(status), width - INDENT)),
    ):
        if words:
            facts.add_row(label, words)
    parts: list[RenderableType] = [_bar(status), Text(), facts]
    if (sentence := last_words(status)) is not None:
        parts += [Text(), Text(sentence, STATE_STYLES[status.state])]
    if status.running:
        parts.append(_table(status, width, most))
    return Group(*parts)


def last_words(status: SearchStatus) -> str | None:
    """Return a sentence about a search that does not go on, and what to do; None for one that goes on."""
    go_on = f"nas search --resume {status.run} goes on"
    if status.state == DEAD:
        silence = units.duration(status.silence)
        return f"no sign of life for {silence}: the search has ended without a word; {go_on}"
    said = status.pulse.ended if status.pulse is not None else None
    if status.state == STOPPED:
        return said if said and "--resume" in said else f"{said or 'the search has stopped'}; {go_on}"
    if status.state == OVER:
        return said or "all trials are finished"
    return "nothing was trained yet" if status.state == STARTING else None


def _bar(status: SearchStatus) -> Table:
    """Return the line with the name of the run, how many of its trials have ended, and the time that is left."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for ratio in (None, 1, None, None):
        grid.add_column(ratio=ratio, no_wrap=True)
    under_way = sum(one.epoch / one.epochs for one in status.running if not one.name and one.epochs)
    bar = ProgressBar(total=max(1, status.asked), completed=min(status.asked, status.ended + under_way))
    left = "over" if status.state == OVER else status.state
    if status.state == SEARCHING and status.seconds_left is not None:
        left = f"{units.duration(status.seconds_left)} left"
    name = Text(status.run, "bold", overflow="ellipsis")
    grid.add_row(name, bar, f"{status.ended}/{status.asked}", Text(left, STATE_STYLES[status.state]))
    return grid


def _in_lines(words: list[str], width: int, style: str = "") -> Text:
    """Return the words with dots between them, in lines of at most `width` columns that break at the dots."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}  ·  {word}" if lines[-1] else word
        lines = [*lines[:-1], longer] if len(longer) <= width or not lines[-1] else [*lines, word]
    return Text("\n".join(lines), style)


def _counts(status: SearchStatus) -> list[str]:
    counts = {**status.counts, "RUNNING": len(status.running)}
    shown = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
    words = [
        f"{counts.get(state, 0)} {STATE_WORDS[state]}" for state in shown if counts.get(state) or state == "COMPLETE"
    ]
    words += [f"{counts[REFUSED]} refused ({STATE_WORDS[REFUSED]})"] if counts.get(REFUSED) else []
    words += [f"{status.saved} saved (known before)"] if status.saved else []
    return words


def _causes(status: SearchStatus) -> list[str]:
    words = [f"{count} {cause}" for cause, count in list(status.causes.items())[:MOST_CAUSES]]
    others = sum(list(status.causes.values())[MOST_CAUSES:])
    return [*words, f"{others} for other reasons"] if others else words


def _best(status: SearchStatus) -> Text | None:
    """Return the best candidate beside the best baseline, and how much better it is."""
    best, baseline, unit = status.best, status.baseline, status.unit
    if best is None:
        return None
    whose = f", the baseline {best.name}" if best is baseline else ""
    text = Text.assemble((f"{unit.show(best.expected)} {status.metric}", "bold green"), f"  trial {best.trial}{whose}")
    if baseline is None or status.challenger is None or status.ahead is None:
        return text
    amount = f"{unit.amount(status.ahead)}{unit.word}"
    if best is baseline:
        other = status.challenger
        return text.append(f";  the best candidate, trial {other.trial}, is {amount} worse")
    how = "better" if status.ahead >= 0 else "worse"
    return text.append(f";  {amount} {how} than {baseline.name} ({unit.show(baseline.expected)})")


def _hours(status: SearchStatus) -> list[str]:
    if not status.spent and status.left is None:
        return []
    hours = max(status.spent, status.left or 0.0) >= 1
    scale, word = (1, "hours") if hours else (60, "minutes")
    words = [f"{scale * status.spent:,.1f} {status.resource}-{word} spent"]
    if status.left is not None:
        words.append(f"about {scale * status.left:,.1f} left")
    pulse = status.pulse
    if pulse is not None and pulse.slots and status.state == SEARCHING:
        slots = f"{pulse.slots} slot{'' if pulse.slots == 1 else 's'}"
        words.append(f"{slots} {100 * pulse.utilisation:.0f}% busy")
    return words


def _process(status: SearchStatus) -> list[str]:
    pulse = status.pulse
    if pulse is None or status.silence is None:
        return []
    ago = f"{status.silence:.0f}s" if status.silence < 59.5 else units.duration(status.silence)
    processes = [f"{one.pid} on {one.host}" for one in status.members or (pulse,)]
    beyond = [f"and {len(processes) - MOST_PROCESSES} more"] if len(processes) > MOST_PROCESSES else []
    return [*processes[:MOST_PROCESSES], *beyond, f"last sign of life {ago} ago"]


def _table(status: SearchStatus, width: int, most: int | None) -> Table:
    """Return the table of the candidates in training, with as many of their skips as there is room for."""
    running = status.running[:most]
    beyond = len(status.running) - len(running)
    rows = [_cells(status, one) for one in running]
    named, placed = (any(row[title] for row in rows) for title in ("baseline", "on"))
    titles = [title for title in rows[0] if (title != "baseline" or named) and (title != "on" or placed)]
    widths = {title: 2 + max(len(title), *(len(row[title]) for row in rows)) for title in titles}
    room, wanted = width - sum(widths[title] for title in titles) - 1, max(len(one.skips) for one in running)
    for title, enough in (("params", ENOUGH), ("on", LEAST), ("for", LEAST), ("baseline", LEAST)):
        if room < min(enough, wanted) and title in titles:
            titles.remove(title)
            room += widths[title]
    room = max(1, room)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    for title in titles:
        table.add_column(title, justify="left" if title in ("baseline", "on") else "right", no_wrap=True)
    table.add_column("skips", no_wrap=True, overflow="ellipsis")
    for one, row in zip(running, rows, strict=True):
        table.add_row(*(Text(row[title], STYLES.get(title, "")) for title in titles), coloured(fitted(one.skips, room)))
    table.caption = Text(f"and {beyond} more", "dim") if beyond else None
    return table


def _cells(status: SearchStatus, one: TrainingStatus) -> dict[str, str]:
    seconds_left = one.seconds_left if status.state == SEARCHING else None
    return {
        "trial": str(one.trial),
        "baseline": one.name,
        "on": one.node + (f" ×{one.slots}" if one.slots > 1 else ""),
        "epoch": f"{one.epoch}/{one.epochs}" if one.epochs else f"step {one.epoch}",
        status.metric: status.unit.show(one.value),
        "for": units.duration(one.seconds),
        "left": units.duration(seconds_left),
        "params": units.count(one.params),
    }


def status_dict(status: SearchStatus) -> Row:
    """Return the status as plain data, for JSON; what is not known is null.

    run, task, metric, started
    state          starting, searching, dead, stopped or over
    asked, ended   trials that the run is to have, and how many of them have ended; baselines do not count
    finished, stopped_early, failed, refused, waiting, reused, saved: numbers of trials, baselines included
    causes         {why trainings failed, shortened: how many}
    running        [{trial, name (of a baseline), skips, params, node, slots, epoch, epochs, value (of the metric),
                   seconds, seconds_left}]
    best, best_candidate, best_baseline: {trial, name, expected (of the metric)}; best is one of the other two
    ahead          how much better the best candidate is than the best baseline, in the unit of the metric
    resource       GPU or slot; hours_spent and hours_left are hours of that
    seconds_left   until the last trial ends
    slots, utilisation, host, pid: those of the search, with its last sign of life; `processes` are all that search
                   together now, [{host, pid, slots, utilisation}]
    last_sign      its time, in UTC; silence is the seconds since then
    """
    pulse, counts = status.pulse, status.counts
    return {
        **{name: getattr(status, name) for name in ("run", "task", "metric", "started", "state", "asked", "ended")},
        "finished": counts.get("COMPLETE", 0),
        "stopped_early": counts.get("PRUNED", 0),
        "failed": counts.get("FAIL", 0),
        "refused": counts.get(REFUSED, 0),
        "waiting": counts.get("WAITING", 0),
        "reused": status.reused,
        "saved": status.saved,
        "causes": dict(status.causes),
        "running": [vars(one) for one in status.running],
        "best": vars(status.best) if status.best else None,
        "best_candidate": vars(status.challenger) if status.challenger else None,
        "best_baseline": vars(status.baseline) if status.baseline else None,
        "ahead": status.ahead,
        "resource": status.resource,
        "hours_spent": status.spent,
        "hours_left": status.left,
        "seconds_left": status.seconds_left,
        **{name: getattr(pulse, name, None) for name in ("slots", "utilisation", "host", "pid")},
        "processes": [
            {name: getattr(one, name) for name in ("host", "pid", "slots", "utilisation")} for one in status.members
        ],
        "last_sign": None if pulse is None else pulse.model_dump(mode="json")["alive"],
        "silence": status.silence,
    }
