"""A Ray cluster on this machine, started by `ray start` as its users do, each node in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray  # noqa: F401  # makes psutil importable

RAY = Path(sys.executable).parent / "ray"
TOKEN = "a-token-of-the-tests-0123456789abcdef"  # of a cluster that asks for one
# a space whose task is in rating.py beside it, for so many trials
RATED = """
task: {function: rating.py:rate, input: [1, 8, 8], outputs: 10}
network:
  stem: {op: conv3x3, width: 4}
  stages: [{blocks: 4, op: basic, width: 4}]
  head: classify
skips: {kinds: [none, add, concat]}
search: {baselines: [], sampler: random, repeats: 1, trials: %d}
"""
PORTS = (
    "node-manager-port",
    "object-manager-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)


@dataclass(frozen=True)
class RayCluster:
    """The addresses of a cluster, and the environment variables that a program needs to reach it.

    address  of its head, HOST:PORT
    jobs     of the job API, http://HOST:PORT
    """

    address: str
    jobs: str
    environment: dict[str, str]


@contextlib.contextmanager
def ray_cluster(folders: list[Path], *, token: str | None = TOKEN, path: str | None = None) -> Iterator[RayCluster]:
    """Start a node of one core in each folder, the first of them the head; stop all their processes afterwards.

    token  which the cluster asks for; None for a cluster that asks for none
    path   PYTHONPATH of the nodes
    """
    host = socket.gethostbyname(socket.gethostname())
    ports = free_ports(3 + len(folders) * len(PORTS))
    gcs, web, client = (ports.pop() for _ in range(3))
    security = {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
    environment |= security | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    environment["PATH"] = f"{RAY.parent}:{environment['PATH']}"
    environment |= {} if path is None else {"PYTHONPATH": path}
    head = [
        *("--head", f"--port={gcs}", f"--ray-client-server-port={client}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={web}"),
    ]
    with contextlib.ExitStack() as stack:
        for number, folder in enumerate(folders):
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            options = head if number == 0 else [f"--address={host}:{gcs}"]
            options += [f"--{name}={ports.pop()}" for name in PORTS]
            options += ["--num-cpus=1", "--num-gpus=0", "--object-store-memory=80000000", f"--temp-dir={scratch}"]
            stack.enter_context(running([str(RAY), "start", "--block", *options], folder, environment))
            wait_for(f"http://127.0.0.1:{web}/api/version", security.get("RAY_AUTH_TOKEN"))
        yield RayCluster(f"{host}:{gcs}", f"http://127.0.0.1:{web}", security)


@contextlib.contextmanager
def running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder, and end it and all its descendants afterwards."""
    log = folder / "ray-start.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it has started."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for left in psutil.wait_procs(family, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
    process.kill()
    process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(url: str, token: str | None) -> None:
    """Wait until the job API answers."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5).close()
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")
