"""The figures of a pilot as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from nas import units
from nas.analysis.pilot import Estimate, Pilot


def pilot_table(found: Pilot) -> Table:
    """Return a row for each figure, with its 95 % interval where it has one."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for title in ("", "95 % from", "to"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, value, low, high in _rows(found):
        table.add_row(name, value, low, high)
    return table


def _rows(found: Pilot) -> Iterator[tuple[str, str, str, str]]:
    drawn = "drawn uniformly" if found.uniform else "of the search, not drawn uniformly"
    yield f"topologies, {drawn}", f"{found.topologies}", "", ""
    yield "trainings of them", f"{found.trainings}", "", ""
    if found.failures:
        yield "of which failed, or were stopped", f"{found.failures}", "", ""
    yield f"sd of one training, {found.metric}", *_cells(found.noise)
    yield f"sd between topologies, {found.metric}", *_cells(found.between)
    if found.gain is not None:
        yield f"best of {found.trials} over {found.baseline}", *_cells(found.gain)
    if found.repeats is not None:
        yield "seeds of each to see that gain", f"{found.repeats:,}", "", ""
    if found.validation is not None:
        yield "validation samples to see it", f"{found.validation:,}", "", ""
    for one in found.early:
        yield f"rank correlation of epoch {one.epoch} with the last", *_cells(one.correlation)
    if found.seconds is not None and found.hours is not None:
        yield "seconds of a training", f"{found.seconds:.1f}", "", ""
        at_a_time = f"{found.slots} at a time" if found.slots > 1 else "one at a time"
        yield f"{found.trials} trials, {at_a_time}", units.duration(3600 * found.hours), "", ""


def _cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return units.MISSING, "", ""
    return units.number(estimate.value), units.number(estimate.low), units.number(estimate.high)
