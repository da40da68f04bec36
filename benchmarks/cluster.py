"""How full a search keeps the slots of a simulated cluster, and what a candidate costs its driver.

Claim       With 4 nodes of 8 GPUs and 256 candidates of 2.5 s, and with 8 nodes of 8 GPUs and 640 candidates of 10 to
            20 s, the search takes at most 1 / 0.9 times as long as the ideal list schedule, all slots are taken within
            10 s of the first, and a candidate costs the driver at most 20 ms.
Conditions  The nodes are raylets of this machine with logical GPUs (ray.cluster_utils). A candidate sleeps, and reports
            four times. The ideal list schedule gives each candidate, in the order in which they began, to the slot that
            is free first, without any overhead; it begins with the first training. `settled` is the share of the ideal
            from the moment at which all slots were first taken. CPU time is that of the processes: of the driver from
            the end of the first training to the end of the last one; of each training process up to its first
            training, and from then on. A machine with c cores cannot start p processes of s seconds within less than
            p·s/c seconds: with few cores they are the bound, not the driver. Default sampler; study in SQLite.

    python -m benchmarks.cluster [--nodes 4] [--gpus 8] [--trials 256] [--seconds 2.5 2.5] [--sampler topology]
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dispatch import SPACE

REPORTS = 4  # epochs of a candidate


@dataclass(frozen=True, order=True)
class Training:
    """A training: when it began and ended (time.time), how long it slept, its process, and the CPU seconds of that."""

    began: float
    ended: float
    slept: float
    process: int
    cpu_before: float
    cpu_after: float


class Sleeper:
    """An evaluator whose trainings sleep for a time that follows from the topology, and write what they did to a file.

    seconds  the shortest and the longest training
    log      the folder of the files
    """

    network, epochs = None, REPORTS

    def __init__(self, seconds: tuple[float, float], log: str, *, device: str, threads: int) -> None:
        self.seconds, self.log = seconds, Path(log)
        self.measured = {"seconds": 0.0}

    def start(self, topology: Any, *, seed: int) -> Iterator[dict[str, Any]]:
        """Yield the record of each epoch."""
        began, cpu, share = time.time(), time.process_time(), int(topology.key[:8], 16) / 2**32
        shortest, longest = self.seconds
        duration = shortest + share * (longest - shortest)
        for epoch in range(1, REPORTS + 1):
            time.sleep(duration / REPORTS)
            if epoch == REPORTS:
                done = Training(began, time.time(), duration, os.getpid(), cpu, time.process_time())
                (self.log / f"{topology.key}-{seed}").write_text(json.dumps(vars(done)))
            yield {"epoch": epoch, "accuracy": share}


class DriverClock(threading.Thread):
    """Reads the CPU time of this process every tenth of a second, from the first file in a folder on.

    first, last  the times of the first and the last training that had ended then
    """

    def __init__(self, log: Path) -> None:
        super().__init__(daemon=True)
        self.log, self.first, self.last = log, 0.0, 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Read the clock."""
        count = 0
        while not self.over.wait(0.1):
            if (now := sum(1 for _ in self.log.iterdir())) > count:
                self.last = time.process_time()
                self.first = self.first or self.last
                count = now


def main() -> None:
    """Search on the simulated cluster and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--gpus", type=int, default=8, help="of a node")
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--seconds", type=float, nargs=2, default=(2.5, 2.5), help="of the shortest and the longest")
    parser.add_argument("--sampler", default="topology")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        log = Path(folder) / "log"
        log.mkdir()
        clock = DriverClock(log)
        clock.start()
        measure(options, Path(folder), log)
        clock.over.set()
        show([Training(**json.loads(path.read_text())) for path in log.iterdir()], options.nodes * options.gpus, clock)


def measure(options: argparse.Namespace, folder: Path, log: Path) -> None:
    """Search on the simulated cluster."""
    import ray
    from ray.cluster_utils import Cluster

    from nas.searching import environment
    from nas.searching.driver import search
    from nas.space import SearchSpace

    environment.prepare()
    cluster = Cluster()
    for node in range(options.nodes):
        head = {"include_dashboard": False} if node == 0 else {}
        cluster.add_node(num_cpus=options.gpus, num_gpus=options.gpus, object_store_memory=80 * 2**20, **head)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        evaluate = functools.partial(Sleeper, tuple(options.seconds), str(log))
        space = SearchSpace.from_dict(SPACE)
        search(space, trials=options.trials, sampler=options.sampler, root=folder, evaluate=evaluate, quiet=True)
    finally:
        ray.shutdown()
        cluster.shutdown()


def show(trainings: Sequence[Training], slots: int, clock: DriverClock) -> None:
    """Print a row of the table."""
    trainings = sorted(trainings)
    first, last = trainings[0].began, max(one.ended for one in trainings)
    ideal = list_schedule([one.slept for one in trainings], slots)
    full, most = filled(trainings, slots)
    starts = {one.process: one.cpu_before for one in reversed(trainings)}
    cpu = sum(one.cpu_after - one.cpu_before for one in trainings)
    settled = "–" if full is None else f"{after(trainings, full, slots):.0%}"
    print("| candidates | slots | most taken | all taken after | ideal | took | share | settled | processes |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {len(trainings)} | {slots} | {most} | {'–' if full is None else f'{full - first:.1f} s'} | {ideal:.1f} s "
        f"| {last - first:.1f} s | {ideal / (last - first):.0%} | {settled} | {len(starts)} |\n"
    )
    driver = (clock.last - clock.first) / len(trainings)
    print(
        f"CPU: driver {1e3 * driver:.1f} ms a candidate; a training process {sum(starts.values()) / len(starts):.1f} s "
    )
    print(f"to start, all together {sum(starts.values()):.0f} s; then {1e3 * cpu / len(trainings):.1f} ms a candidate")


def filled(trainings: Sequence[Training], slots: int) -> tuple[float | None, int]:
    """Return when all slots were first taken (None: never), and the most that were taken at a time."""
    changes = sorted([(one.began, 1) for one in trainings] + [(one.ended, -1) for one in trainings])
    busy, most, full = 0, 0, None
    for moment, change in changes:
        busy += change
        most = max(most, busy)
        full = moment if full is None and busy >= slots else full
    return full, most


def after(trainings: Sequence[Training], moment: float, slots: int) -> float:
    """Return the share of the ideal from a moment on: the trainings that run then are done for their part."""
    left = [min(one.slept, one.ended - moment) for one in trainings if one.ended > moment]
    return list_schedule(left, slots) / (max(one.ended for one in trainings) - moment)


def list_schedule(durations: Sequence[float], slots: int) -> float:
    """Return the span of a schedule that gives each task in turn to the slot that is free first."""
    free = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


if __name__ == "__main__":
    main()
