"""The devices on which a search trains, as nodes come, go and fail. Does not import Ray."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from nas.searching.candidate import Candidate
from nas.searching.nodes import Node
from nas.searching.packing import Placements, node_of
from nas.searching.slots import Machine

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 600.0  # before a node that cannot train is asked again
PATIENCE_S = 600.0  # without any node that could train, where nodes may come
DEATHS = 3  # processes in a row that died on a node before they trained: it cannot train


class KnowsNodes(Protocol):
    """Knows the nodes that are alive: nas.searching.nodes.NodeWatch."""

    elastic: bool
    nodes: Mapping[str, Node]
    lost: str | None


@dataclass
class Refusal:
    """Why a node cannot train, and when it is asked again (time.monotonic)."""

    reason: str
    pause: float
    until: float


@dataclass(eq=False)
class Cluster:
    """The devices that can take candidates, and the candidates on them.

    machine     its devices are those that can take candidates now
    watch       knows the nodes; None if they stay as they are
    placements  which candidate is on which device

    A node that cannot train is left out for a while, then asked again. It is forgiven when a candidate trains on it.
    """

    machine: Machine
    watch: KnowsNodes | None = None
    placements: Placements[Candidate] = field(init=False)
    _nodes: Mapping[str, Node] = field(init=False)
    _refused: dict[str, Refusal] = field(default_factory=dict)
    _deaths: dict[str, int] = field(default_factory=dict)
    _idle_since: float | None = None  # when the last device went

    def __post_init__(self) -> None:
        self.placements = Placements(self.machine.devices)
        hosts = {node_of(device) for device in self.machine.devices}
        self._all = self.machine
        self._nodes = {host: Node(host, {}) for host in hosts} if self.watch is None else self.watch.nodes

    def host(self, node: str) -> str:
        """Return the name of the host of a node."""
        return self._nodes[node].host if node in self._nodes else node

    @property
    def lost(self) -> str | None:
        """Why Ray cannot be used any more; None while it can."""
        return None if self.watch is None else self.watch.lost

    def is_alive(self, node: str) -> bool:
        """Return whether a node takes part."""
        return node in self._nodes

    def follow(self) -> list[str]:
        """Take the nodes that there are now; return a line about each that came or went."""
        lines = [] if self.watch is None else self._changes(self.watch.nodes)
        now = time.monotonic()
        closed = {node for node, refusal in self._refused.items() if refusal.until > now}
        devices = {name: slots for name, slots in self._all.devices.items() if node_of(name) not in closed}
        if devices != self.machine.devices:
            self.machine = replace(self._all, devices=devices)
            self.placements.follow(devices)
        self._idle_since = None if devices else self._idle_since or now
        return lines

    def works(self, node: str) -> None:
        """Note that a candidate trains on a node."""
        self._deaths.pop(node, None)
        self._refused.pop(node, None)

    def refuse(self, node: str, reason: str) -> str:
        """Leave a node that cannot train out for a while; return a line about it."""
        before = self._refused.get(node)
        pause = FIRST_PAUSE_S if before is None else min(2 * before.pause, LONGEST_PAUSE_S)
        self._refused[node] = Refusal(reason, pause, time.monotonic() + pause)
        self._deaths.pop(node, None)
        self.follow()
        return f"{self.host(node)} cannot train, it is asked again in {pause:g} s: {reason}"

    def died_early(self, node: str, reason: str) -> str | None:
        """Note that a process died on a node before it trained; return a line if the node is left out therefore."""
        self._deaths[node] = self._deaths.get(node, 0) + 1
        return self.refuse(node, reason) if self._deaths[node] >= DEATHS else None

    @property
    def dead_end(self) -> str | None:
        """Why no candidate can be trained any more; None as long as one can, or may soon."""
        if self.machine.devices:
            return None
        reasons = {node: refusal.reason for node, refusal in self._refused.items() if node in self._nodes}
        if reasons and reasons.keys() >= {node_of(device) for device in self._all.devices}:
            where = ", ".join(sorted(self.host(node) for node in reasons))
            said = next(iter(reasons.values()))
            return f"no candidate can be trained: {said}" + (f" (on {where})" if len(reasons) > 1 else "")
        waited = 0.0 if self._idle_since is None else time.monotonic() - self._idle_since
        may_come = self.watch is not None and self.watch.elastic
        return None if may_come and waited < PATIENCE_S else "no node is left on which candidates could be trained"

    def _changes(self, nodes: Mapping[str, Node]) -> list[str]:
        """Take other nodes; return a line about each that came or went with its slots."""
        if nodes is self._nodes:
            return []
        before, known = self._all, self._nodes
        self._all = self._all.on({name: node.resources for name, node in nodes.items()})
        self._nodes = nodes
        gone = [f"{known[one].host} is gone: {_slots(before, one)} fewer" for one in known if one not in nodes]
        come = [f"{nodes[one].host} has come: {_slots(self._all, one)} more" for one in nodes if one not in known]
        for node in known.keys() - nodes.keys():
            self._refused.pop(node, None)
            self._deaths.pop(node, None)
        return gone + come


def _slots(machine: Machine, node: str) -> str:
    count = sum(slots for device, slots in machine.devices.items() if node_of(device) == node)
    return f"{count} slot{'s' * (count != 1)}"
