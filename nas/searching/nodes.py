"""The nodes of Ray, watched on a thread as they come and go."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

LOOK_S = 2.0  # seconds between two looks
ANSWER_S = 2.0  # seconds for a node to answer
SILENCE_S = 12.0  # without an answer Ray is lost: Ray itself ends the process of a search 15 to 60 seconds later


@dataclass(frozen=True)
class Node:
    """A node: the name of its host, and what it has for Ray (CPU, GPU, memory in bytes)."""

    host: str
    resources: Mapping[str, float]


class RayLost(BaseException):
    """Ray's head node does not answer any more.

    Not an Exception: Tune would handle that, and wait for the head node while it cleans up.
    """


class NodeWatch:
    """Watches the nodes of the cluster in a `with` statement.

    elastic  whether nodes may come: those of a Ray that this process has started cannot

    nodes    identifier → node of all that are alive; another mapping whenever one came or went
    lost     why Ray cannot be used any more; None while it can
    """

    def __init__(self, *, elastic: bool) -> None:
        self.elastic = elastic
        self.lost: str | None = None
        self.nodes: Mapping[str, Node] = alive_nodes()
        self._parties, self._over = dict(_parties()), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nodes", daemon=True)

    def __enter__(self) -> NodeWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(ANSWER_S + LOOK_S)  # it cannot be joined where Ray hangs

    def _watch(self) -> None:
        answered = dict.fromkeys(self._parties, time.monotonic())
        while self.lost is None and not self._over.wait(LOOK_S):
            silent = [name for name, place in self._parties.items() if not _answers(place)]
            now = time.monotonic()
            answered |= dict.fromkeys(self._parties.keys() - set(silent), now)
            late = [name for name in silent if now - answered[name] > SILENCE_S]
            if late:
                self.lost = f"{late[0]} does not answer any more"
            elif not silent:
                self._look()

    def _look(self) -> None:
        with contextlib.suppress(Exception):  # Ray raises many kinds; the next look tells more
            nodes = alive_nodes()
            if nodes.keys() != self.nodes.keys():
                self.nodes = nodes


def alive_nodes() -> dict[str, Node]:
    """Return identifier → node of every node of Ray that is alive."""
    import ray

    alive: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    return {node["NodeID"]: Node(node["NodeManagerHostname"], node["Resources"]) for node in alive}


def _parties() -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the names and places (host, port) of what a search needs of Ray: the head node, and its own node."""
    import ray

    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    yield f"Ray's head node at {context.gcs_address}", (host.strip("[]"), int(port))
    for node in ray.nodes():
        if node["NodeID"] == context.get_node_id():
            yield "Ray on this machine", (node["NodeManagerAddress"], node["NodeManagerPort"])


def _answers(place: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(place, timeout=ANSWER_S):
        return True
    return False
