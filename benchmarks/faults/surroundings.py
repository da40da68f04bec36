"""What a search may need besides itself: nodes of Ray that come and die, and a PostgreSQL that comes and goes.

python -m benchmarks.faults.surroundings   a Ray cluster of a head node without cores and two nodes of one core;
                                           prints its address, and obeys `add` and `kill` on stdin
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.faults.victim import Victim


class Surroundings:
    """What the searches of a fault share: `options` of their command, and what can be done to it.

    cluster  the process that holds the nodes; None if there are none
    server   the PostgreSQL; None if there is none
    """

    def __init__(self) -> None:
        self.options: tuple[str, ...] = ()
        self.cluster: subprocess.Popen[str] | None = None
        self.server: Any = None

    def order(self, word: str) -> None:
        """Let a node come (`add`), or die (`kill`)."""
        assert self.cluster is not None
        assert self.cluster.stdin is not None
        assert self.cluster.stdout is not None
        self.cluster.stdin.write(f"{word}\n")
        self.cluster.stdin.flush()
        self.cluster.stdout.readline()


@contextlib.contextmanager
def nothing(victim: Victim) -> Iterator[Surroundings]:
    """Yield no surroundings: a local Ray, and SQLite in the folder of the run."""
    yield Surroundings()


@contextlib.contextmanager
def nodes(victim: Victim) -> Iterator[Surroundings]:
    """Yield a Ray cluster of two nodes with one core each."""
    around = Surroundings()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faults.surroundings"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=victim.environment | {"TMPDIR": str(victim.home), "RAY_USAGE_STATS_ENABLED": "0"},
        text=True,
        start_new_session=True,
    ) as around.cluster:
        assert around.cluster.stdout is not None
        around.options = ("--address", around.cluster.stdout.readline().strip())
        yield around
        around.cluster.kill()  # the kernel kills the nodes with it


@contextlib.contextmanager
def postgresql(victim: Victim) -> Iterator[Surroundings]:
    """Yield a PostgreSQL with an empty database."""
    from tests.helpers.postgresql import PostgresServer

    around = Surroundings()
    around.server = PostgresServer()
    try:
        around.server.start()
        around.options = ("--storage", around.server.new_database())
        victim.storage = around.options[1]
        yield around
    finally:
        around.server.remove()


def main() -> None:
    """Hold a cluster, and obey."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    added = [cluster.add_node(num_cpus=1) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "add":
            added.append(cluster.add_node(num_cpus=1))
        elif added:
            cluster.remove_node(added.pop(0), allow_graceful=False)
        print("done", flush=True)


if __name__ == "__main__":
    main()
