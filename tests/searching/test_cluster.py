"""The devices of a search as nodes come, go and fail, without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nas.searching import cluster as module
from nas.searching.cluster import Cluster
from nas.searching.nodes import Node
from nas.searching.slots import ResourceRequest, divide_into_slots

GPUS = {"CPU": 4.0, "GPU": 2.0}


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def watched(elastic: bool = True, **nodes: Mapping[str, float]) -> tuple[Cluster, Any]:
    """Return the cluster of these nodes, and a stand-in for what watches them."""
    watch: Any = SimpleNamespace(elastic=elastic, lost=None, nodes=alive(**nodes))
    return Cluster(divide_into_slots(dict(nodes), ResourceRequest(), 60), watch), watch


def alive(**nodes: Mapping[str, float]) -> dict[str, Node]:
    return {name: Node(f"host-{name}", resources) for name, resources in nodes.items()}


def test_slots_follow_the_nodes(clock: Clock) -> None:
    cluster, watch = watched(a=GPUS, b=GPUS)
    assert cluster.follow() == []
    assert cluster.machine.slots == 4
    watch.nodes = alive(b=GPUS, c={"CPU": 8.0, "GPU": 3.0})
    assert cluster.follow() == ["host-a is gone: 2 slots fewer", "host-c has come: 3 slots more"]
    assert cluster.machine.devices == {"b 0": 1, "b 1": 1, "c 0": 1, "c 1": 1, "c 2": 1}
    assert cluster.placements.capacity == cluster.machine.devices
    assert cluster.machine.resources(1) == {"CPU": 2, "GPU": 1}  # of the same size as before
    assert not cluster.is_alive("a")
    assert cluster.host("c") == "host-c"


def test_a_node_with_fewer_cores_has_fewer_slots() -> None:
    cluster, watch = watched(a=GPUS)
    watch.nodes = alive(a=GPUS, b={"CPU": 3.0, "GPU": 2.0}, head={"CPU": 16.0})
    cluster.follow()
    assert cluster.machine.devices == {"a 0": 1, "a 1": 1, "b 0": 1}


def test_slots_of_cores_follow_the_nodes() -> None:
    cluster, watch = watched(a={"CPU": 4.0, "memory": 4 * 2.0**30})
    watch.nodes = alive(a={"CPU": 4.0, "memory": 4 * 2.0**30}, b={"CPU": 8.0, "memory": 6 * 2.0**30})
    cluster.follow()
    assert cluster.machine.devices == {"a": 4, "b": 6}
    assert cluster.machine.max_candidates == 10


@pytest.mark.parametrize(("memory", "slots"), [(3.9, 4), (3.85, 4), (3.7, 3), (0.9, 1), (0.5, 0)])
def test_a_little_memory_may_be_missing(memory: float, slots: int) -> None:
    """Nodes of one kind report what was free when Ray was started, which is never quite the same."""
    cluster, watch = watched(a={"CPU": 4.0, "memory": 4 * 2.0**30})
    watch.nodes = alive(b={"CPU": 4.0, "memory": memory * 2**30})
    cluster.follow()
    assert sum(cluster.machine.devices.values()) == slots


def test_a_node_that_cannot_train_is_left_out_and_asked_again(clock: Clock) -> None:
    cluster, _ = watched(a=GPUS, b=GPUS)
    assert cluster.refuse("a", "no data") == "host-a cannot train, it is asked again in 60 s: no data"
    assert cluster.machine.devices == {"b 0": 1, "b 1": 1}
    assert cluster.dead_end is None
    clock.now += 61
    cluster.follow()
    assert cluster.machine.slots == 4
    assert "in 120 s" in cluster.refuse("a", "no data")
    clock.now += 121
    cluster.follow()
    cluster.works("a")
    assert "in 60 s" in cluster.refuse("a", "no data")


def test_the_search_ends_when_no_node_can_train(clock: Clock) -> None:
    cluster, _ = watched(a=GPUS, b=GPUS)
    cluster.refuse("a", "no data")
    cluster.refuse("b", "no driver")
    assert cluster.dead_end == "no candidate can be trained: no data (on host-a, host-b)"
    alone = Cluster(divide_into_slots({"n": {"CPU": 2.0}}, ResourceRequest(), 60))
    alone.refuse("n", "no data")
    assert alone.dead_end == "no candidate can be trained: no data"


def test_a_node_on_which_processes_die_before_they_train_cannot_train(clock: Clock) -> None:
    cluster, _ = watched(a=GPUS, b=GPUS)
    assert [cluster.died_early("a", "killed") for _ in range(2)] == [None, None]
    cluster.works("a")
    assert [cluster.died_early("a", "killed") for _ in range(2)] == [None, None]
    assert cluster.died_early("a", "killed") == "host-a cannot train, it is asked again in 60 s: killed"


def test_without_nodes_a_search_waits_for_some_where_they_may_come(clock: Clock) -> None:
    for elastic, waits in ((True, True), (False, False)):
        cluster, watch = watched(elastic, a=GPUS)
        watch.nodes = {}
        assert cluster.follow() == ["host-a is gone: 2 slots fewer"]
        assert (cluster.dead_end is None) == waits
        clock.now += 601
        cluster.follow()
        assert cluster.dead_end == "no node is left on which candidates could be trained"
        watch.nodes = alive(d=GPUS)
        cluster.follow()
        assert cluster.dead_end is None


def test_a_head_without_cores_is_no_node_that_cannot_train(clock: Clock) -> None:
    cluster, watch = watched(head={"CPU": 0.0}, a=GPUS)
    watch.nodes = alive(head={"CPU": 0.0})
    cluster.follow()
    assert cluster.machine.devices == {} and cluster.dead_end is None
    clock.now += 2000
    assert cluster.dead_end == "no node is left on which candidates could be trained"
