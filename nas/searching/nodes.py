"""The nodes of Ray, watched on a thread as they come and go."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

LOOK_S = 2.0  # seconds between two looks
ANSWER_S = 2.0  # seconds for the head node to answer
SILENCE_S = 20.0  # seconds without an answer after which the head node is given up; after 60 Ray ends the process


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
        import ray

        self.elastic, self.lost = elastic, None if ray.is_initialized() else "Ray does not run"
        self.nodes: Mapping[str, Node] = alive_nodes()
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head, self._over = (host.strip("[]"), int(port)), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nodes", daemon=True)

    def __enter__(self) -> NodeWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(ANSWER_S + LOOK_S)  # it cannot be joined where Ray hangs

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(LOOK_S):
            if self._head_answers():
                answered = time.monotonic()
                self._look()
            elif time.monotonic() - answered > SILENCE_S:
                self.lost = f"Ray's head node at {self._head[0]}:{self._head[1]} does not answer"
                return

    def _head_answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(self._head, timeout=ANSWER_S):
            return True
        return False

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
