"""What the README says of a cluster, on two nodes that `ray start` starts here, each in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.study import Run
from tests.helpers.ray_cluster import RATED, RayCluster, ray_cluster

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SPACE = RATED % 6
RATING = """
import time
import ray
from package.where import note

def rate(topology, *, seed, report):
    note(ray.get_runtime_context().get_node_id())
    time.sleep(6)
    return {"accuracy": 0.5}
"""
WHERE = """
import os

def note(node):
    with open("NODES", "a") as file:
        print(node, os.getcwd(), file=file)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    folders = [tmp_path_factory.mktemp(name) for name in ("head", "node")]
    with ray_cluster(folders, path=str(ROOT)) as started:
        yield started


@pytest.fixture
def environment(cluster: RayCluster, tmp_path: Path) -> dict[str, str]:
    """That of a person who has the token of the cluster where Ray looks for it."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(cluster.environment["RAY_AUTH_TOKEN"])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    bin = Path(sys.executable).parent
    return clean | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": f"{bin}:{clean['PATH']}"}


def test_the_commands_that_start_a_cluster_are_those_of_the_readme() -> None:
    """ray_cluster() adds ports and folders to them, which differ on machines of their own."""
    started = re.findall(r"^\w+\$ (?:RAY_AUTH_MODE=token )?(ray start .*)$", README, re.MULTILINE)
    assert started == ["ray start --head --port=6379", "ray start --address=HEAD:6379"]


def test_a_search_on_the_cluster(cluster: RayCluster, environment: dict[str, str], tmp_path: Path) -> None:
    [command] = re.findall(r"^head\$ (nas search .*)$", README, re.MULTILINE)
    command = command.replace("HEAD:6379", cluster.address).replace("--trials 200", "--trials 2 --name demo")
    work = tmp_path / "work"
    work.mkdir()
    command += " --log-json events.jsonl"
    done = subprocess.run(command, shell=True, cwd=work, env=environment, capture_output=True, text=True, timeout=560)
    assert done.returncode == 0, done.stderr
    frame = Run.open("demo", work / "runs").frame()
    assert (frame["state"] == "COMPLETE").sum() >= 2
    events = [json.loads(line) for line in (work / "events.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "search_began"


def write_search(laptop: Path, nodes: Path) -> None:
    """Write a space, its task and a package into a folder; every rating adds a line to the file `nodes`."""
    (laptop / "package").mkdir(parents=True)
    (laptop / "space.yaml").write_text(SPACE)
    (laptop / "rating.py").write_text(RATING)
    (laptop / "package" / "where.py").write_text(WHERE.replace("NODES", str(nodes)))


def test_a_search_from_a_laptop(cluster: RayCluster, environment: dict[str, str], tmp_path: Path) -> None:
    """The folder travels to both nodes; Ctrl-C lets go of the search, and --follow comes back."""
    laptop, nodes, runs = tmp_path / "laptop", tmp_path / "nodes", tmp_path / "runs"
    write_search(laptop, nodes)
    nas = [sys.executable, "-m", "nas"]
    there = ["--address", cluster.jobs]
    submit = subprocess.Popen(
        [*nas, "submit", "space.yaml", "--name", "demo", "--root", str(runs), *there],
        cwd=laptop,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 200
    while not nodes.exists() and submit.poll() is None and time.monotonic() < until:
        time.sleep(0.5)
    submit.send_signal(signal.SIGINT)
    output, messages = submit.communicate(timeout=30)
    assert submit.returncode == 0, output + messages
    assert "the search goes on" in messages
    status = subprocess.run([*nas, "status", *there, "--json"], env=environment, capture_output=True, text=True)
    [job] = [job for job in json.loads(status.stdout) if job["run"] == "demo"]
    assert job["state"] == "RUNNING", status.stderr
    again = [*nas, "submit", *there, "--follow", job["id"]]
    followed = subprocess.run(again, env=environment, capture_output=True, text=True, timeout=300)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "all trials are finished" in followed.stdout
    assert (Run.open("demo", runs).frame()["state"] == "COMPLETE").sum() == 6
    assert "rating.py:rate" in (runs / "demo" / "run.yaml").read_text()
    used = [line.split() for line in nodes.read_text().splitlines()]
    assert len({node for node, _ in used}) == 2
    assert {Path(folder).name[:8] for _, folder in used} == {"_ray_pkg"}


def test_a_search_is_stopped_and_goes_on(cluster: RayCluster, environment: dict[str, str], tmp_path: Path) -> None:
    """It has the time to write its report, and the run is resumed by another job."""
    laptop, nodes, runs = tmp_path / "laptop", tmp_path / "nodes", tmp_path / "runs"
    write_search(laptop, nodes)

    def nas(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nas", "submit", "--address", cluster.jobs, "--root", str(runs), *words]
        return subprocess.run(command, cwd=laptop, env=environment, capture_output=True, text=True, timeout=250)

    nas("space.yaml", "--name", "stopped", "--detach")
    until = time.monotonic() + 120
    while not nodes.exists() and time.monotonic() < until:
        time.sleep(0.5)
    assert "is asked to end" in nas("--stop", "stopped").stderr
    ended = nas("--follow", "stopped")
    assert "nas search --resume stopped goes on" in ended.stdout
    assert "report" in ended.stdout
    assert ended.returncode in (1, 130, 143), ended.stdout + ended.stderr
    again = nas("--resume", "stopped")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (Run.open("stopped", runs).frame()["state"] == "COMPLETE").sum() == 6


def test_what_fails_on_the_cluster_is_one_line_and_its_exit_code(
    cluster: RayCluster, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "nas", "submit", "digits", "--task", "csv:rows.csv?target=y"]
    command += ["--address", cluster.jobs, "--root", str(tmp_path / "runs")]
    (tmp_path / "empty").mkdir()
    done = subprocess.run(command, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert re.search(r"^nas: .*rows\.csv", done.stdout, re.MULTILINE), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
