"""The machine that Ray offers to a search."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nas.searching import gpu
from nas.searching.packing import CONTEXT_BYTES
from nas.space import SearchSpace

GIB = 2**30
QUICK = os.environ | {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for every core


ASKING = """
import ray
from nas.errors import RunError, TaskError
from nas.searching.machine import ray_cluster
from nas.searching.shared_data import SharedData
from nas.searching.slots import ResourceRequest
from nas.space import SearchSpace

quiet = dict(include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
ray.init(address="local", num_cpus=8, num_gpus=2, **quiet)
load = SearchSpace.load("digits").task.load
def nowhere():
    raise TaskError("there is no file")
for memory, data in ((None, None), ("24GiB", SharedData(load)), ("24GiB", SharedData(nowhere))):
    try:
        with ray_cluster(None, ResourceRequest(None, "auto", memory), 60, data) as cluster:
            machine = cluster.machine
            print(tuple(machine.devices.values()), machine.device.memory, machine.device.resident)
    except RunError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_node_reports_the_memory_of_its_gpus() -> None:
    """The node has no GPU, but it reads the data."""
    done = subprocess.run([sys.executable, "-c", ASKING], capture_output=True, text=True, env=QUICK, timeout=200)
    splits = SearchSpace.load("digits").task.load()
    assert done.stdout.splitlines() == [
        "gpus_per_trial=auto: torch finds no GPU where Ray has one; give its memory: gpu_memory=24GiB",
        f"(4, 4) {24 * GIB} {CONTEXT_BYTES + gpu.resident_bytes(splits)}",
        "the memory of a GPU or of its data is unknown: there is no file",
    ], done.stderr
