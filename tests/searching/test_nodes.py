"""A search on nodes that cannot train, go and come: a cluster in one process, with GPUs that exist for Ray alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = os.environ | {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for every core

PROGRAM = """
import json, logging, pathlib, sys, threading, time
from nas.searching import cluster as devices, environment
environment.prepare()
import ray
from ray.cluster_utils import Cluster
from nas.searching.driver import search
from tests.helpers import scripted

folder = pathlib.Path(sys.argv[1])
log, broken = folder / "log", folder / "broken"
log.mkdir()
devices.FIRST_PAUSE_S = 1.0

class OnNode(scripted.Scripted):
    network = None
    def __init__(self, *, device, threads):
        self.node = ray.get_runtime_context().get_node_id()
        if broken.exists() and broken.read_text() == self.node:
            raise FileNotFoundError("there is no data")
        super().__init__(device=device, threads=threads, seconds=0.4)
    def start(self, topology, *, seed):
        yield from super().start(topology, seed=seed)
        (log / f"{topology.key} {self.node}").touch()

def trained_on(node):
    return any(path.name.endswith(node) for path in log.iterdir())

def wait_for(node):
    deadline = time.monotonic() + 120
    while not trained_on(node):
        assert time.monotonic() < deadline, node
        time.sleep(0.1)

def node(cluster, **more):
    return cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=80 * 2**20, **more)

cluster = Cluster()
first, second = node(cluster, include_dashboard=False), node(cluster)
broken.write_text(second.node_id)
ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
runs = []
searching = threading.Thread(
    target=lambda: runs.append(search(scripted.space(trials=60), name="run", root=folder, evaluate=OnNode))
)
searching.start()
wait_for(first.node_id)
assert not trained_on(second.node_id)
broken.unlink()
wait_for(second.node_id)
cluster.remove_node(second, allow_graceful=False)
third = node(cluster)
wait_for(third.node_id)
searching.join()
print(json.dumps({"states": [trial.state.name for trial in runs[0].study.trials], "trained": len(list(log.iterdir()))}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_slots_follow_the_nodes_and_no_candidate_pays_for_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        env=QUICK | {"PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"states": ["COMPLETE"] * 60, "trained": 60}, done.stderr
    for sign in ("cannot train, it is asked again in 1 s", "is gone: 1 slot fewer", "has come: 1 slot more"):
        assert sign in done.stderr
