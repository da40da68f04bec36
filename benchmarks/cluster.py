"""How full a search keeps the slots of a simulated cluster, and what a candidate costs the driver.

Claim       With 4 nodes of 8 GPUs and 256 candidates of 2.5 s the search takes at most 1 / 0.9 times as long as the ideal
            list schedule; with 8 nodes of 8 GPUs and 640 candidates of 10 to 20 s as well, and all 64 slots are taken
            within 10 s of the first.
Conditions  The nodes are raylets of this machine with logical GPUs (ray.cluster_utils). A candidate sleeps, and reports four
            times. The ideal list schedule gives each candidate, in the order of their numbers, to the slot that is free
            first, from the moment at which the first training began, without any overhead. The default sampler; the
            study in SQLite. CPU time of the driver is that of its process between the first beginning and the last end.

    python -m benchmarks.cluster [--nodes 4] [--gpus 8] [--trials 256] [--seconds 2.5 2.5] [--sampler topology]
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import logging
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.dispatch import SPACE

REPORTS = 4  # epochs of a candidate


class Sleeper:
    """An evaluator whose trainings sleep for a time that follows from the topology.

    seconds  the shortest and the longest training
    log      a folder; each training writes into it a file of its beginning and its end (time.time())
    """

    network, epochs = None, REPORTS

    def __init__(self, seconds: tuple[float, float], log: str, *, device: str, threads: int) -> None:
        self.seconds, self.log = seconds, Path(log)
        self.measured = {"seconds": 0.0}
        (self.log / f"process-{os.getpid()}").touch()

    def start(self, topology: Any, *, seed: int) -> Iterator[dict[str, Any]]:
        """Yield the record of each epoch."""
        began, share = time.time(), int(topology.key[:8], 16) / 2**32
        shortest, longest = self.seconds
        duration = shortest + share * (longest - shortest)
        for epoch in range(1, REPORTS + 1):
            time.sleep(duration / REPORTS)
            yield {"epoch": epoch, "accuracy": share}
        self.measured = {"seconds": duration}
        line = json.dumps([began, time.time(), duration, resource.getrusage(resource.RUSAGE_SELF)[:2]])
        (self.log / f"{topology.key}-{seed}").write_text(line)


def main() -> None:
    """Search on the simulated cluster and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--gpus", type=int, default=8, help="of a node")
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=(2.5, 2.5), help="of the shortest and longest candidate"
    )
    parser.add_argument("--sampler", default="topology")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Search on the simulated cluster and print what was measured."""
    import ray
    from ray.cluster_utils import Cluster

    from nas.searching import environment
    from nas.searching.driver import search
    from nas.space import SearchSpace

    environment.prepare()
    (folder / "log").mkdir()
    cluster = Cluster()
    for node in range(options.nodes):
        head = {"include_dashboard": False} if node == 0 else {}
        cluster.add_node(num_cpus=options.gpus, num_gpus=options.gpus, object_store_memory=80 * 2**20, **head)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        space = SearchSpace.from_dict(SPACE)
        evaluate = functools.partial(Sleeper, tuple(options.seconds), str(folder / "log"))
        called = time.time()
        search(space, trials=options.trials, sampler=options.sampler, root=folder, evaluate=evaluate, quiet=True)
        show(options, called, folder / "log")
    finally:
        ray.shutdown()
        cluster.shutdown()


def show(options: argparse.Namespace, called: float, log: Path) -> None:
    """Print the span of the trainings, the ideal one, and when the slots were first taken."""
    processes = len(list(log.glob("process-*")))
    trainings = sorted(json.loads(path.read_text()) for path in log.iterdir() if not path.name.startswith("process"))
    slots = options.nodes * options.gpus
    first, last = trainings[0][0], max(end for _, end, *_ in trainings)
    ideal = list_schedule([duration for *_, duration, _ in trainings], slots)
    points = sorted([(began, 1) for began, *_ in trainings] + [(end, -1) for _, end, *_ in trainings])
    busy, most, full = 0, 0, None
    for at, change in points:
        busy += change
        most = max(most, busy)
        if busy == slots and full is None:
            full = at - first
    print(f"processes: {processes}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"first training after {first - called:.1f} s; {len(trainings)} trainings in {last - first:.1f} s, ideal {ideal:.1f} s"
    )
    print(
        f"share of the ideal: {ideal / (last - first):.0%}; most slots at a time: {most} of {slots}, all after {full} s"
    )
    print(
        f"CPU of the driver: {1e3 * (used.ru_utime + used.ru_stime) / len(trainings):.0f} ms a candidate, start included"
    )


def list_schedule(durations: Sequence[float], slots: int) -> float:
    """Return the span of a schedule that gives each task in turn to the slot that is free first."""
    free = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


if __name__ == "__main__":
    main()
