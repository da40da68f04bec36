"""The processes that train: which are reused, and which have to end. Without Ray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.searching import compat
from nas.searching.processes import Process, Processes


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return request → how many idle processes of it Tune may keep."""
    counts: dict[str, int] = {}

    def keep(controller: Any, request: str, change: int) -> None:
        counts[request] = counts.get(request, 0) + change

    monkeypatch.setattr(compat, "keep_process", keep)
    return counts


def started(processes: Processes, device: str, slots: int, capacity: int = 4) -> Process:
    """Return a process for a candidate, which Tune has been asked for."""
    process = processes.take(device, slots, capacity)
    trial: Any = SimpleNamespace(placement_group_factory=f"request {process.number}")
    processes.trial_added(None, trial, process)
    return process


def test_an_idle_process_serves_the_next_candidate_of_its_size_on_its_device(kept: dict[str, int]) -> None:
    processes = Processes()
    one, other = started(processes, "a", 1), started(processes, "b", 1)
    assert one is not other
    processes.rest(one)
    assert started(processes, "b", 1) not in (one, other)
    assert started(processes, "a", 1) is one
    assert started(processes, "a", 1) is not one
    assert set(kept.values()) == {1}


def test_an_idle_process_ends_only_where_another_needs_its_room(kept: dict[str, int]) -> None:
    processes = Processes()
    small = [started(processes, "a", 1) for _ in range(3)]
    for process in small[:2]:
        processes.rest(process)
    started(processes, "a", 1)  # one of the idle ones; with the other, three of four slots are taken
    assert sum(kept.values()) == 3
    processes.rest(small[2])
    started(processes, "a", 2)
    assert sum(kept.values()) == 3  # one of the two idle ones has ended: 1 + 1 + 2 slots
    started(processes, "a", 1)
    assert sum(kept.values()) == 3  # the other one serves


def test_a_process_that_died_is_never_taken_again(kept: dict[str, int]) -> None:
    processes = Processes()
    dead = started(processes, "a", 1)
    processes.end(dead)
    assert kept == {"request 0": 0}
    assert started(processes, "a", 1) is not dead


def test_a_process_may_turn_out_to_be_on_another_device(kept: dict[str, int]) -> None:
    processes = Processes()
    process = started(processes, "node 0", 1)
    processes.move(process, "node 1")
    processes.rest(process)
    assert started(processes, "node 0", 1) is not process
    assert started(processes, "node 1", 1) is process
