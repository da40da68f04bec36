"""The files of deploy/, as far as they can be tested without a cloud."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import ray
import yaml
from pydantic import BaseModel, ConfigDict, Field

from nas.space import SearchSpace
from nas.study import Run
from tests.helpers.ray_cluster import RATED, end

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SLURM = DEPLOY / "slurm.sbatch"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Source(Strict):
    secretKeyRef: dict[Literal["name", "key"], str]


class Variable(Strict):
    name: str
    value: str | None = None
    valueFrom: Source | None = None


class Mount(Strict):
    name: str
    mountPath: str


class Container(Strict):
    name: str
    image: str
    env: list[Variable]
    ports: list[dict[str, Any]] = []
    resources: dict[Literal["requests", "limits"], dict[str, str]] = {}
    volumeMounts: list[Mount] = []


class Pod(Strict):
    containers: list[Container]
    volumes: list[dict[str, Any]] = []
    restartPolicy: Literal["Never"] | None = None
    terminationGracePeriodSeconds: int | None = None


class Template(Strict):
    spec: Pod


class Group(Strict):
    rayStartParams: dict[str, str]
    template: Template


class Workers(Group):
    groupName: str
    replicas: int
    minReplicas: int
    maxReplicas: int


class RayClusterSpec(Strict):
    rayVersion: str
    headGroupSpec: Group
    workerGroupSpecs: list[Workers]


class RayJobSpec(Strict):
    """The fields of a RayJob (ray.io/v1) that the file uses."""

    entrypoint: str
    backoffLimit: int
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: int
    submitterPodTemplate: Template
    rayClusterSpec: RayClusterSpec


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: dict[Literal["name"], str] = Field(min_length=1)
    spec: RayJobSpec


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text()))


def test_the_rayjob_has_the_fields_of_kuberay(documents: list[dict[str, Any]]) -> None:
    cluster = (job := RayJob.model_validate(documents[0]).spec).rayClusterSpec
    pods = [group.template.spec for group in (cluster.headGroupSpec, *cluster.workerGroupSpecs)]
    for pod in pods:
        assert {mount.name for container in pod.containers for mount in container.volumeMounts} == {
            volume["name"] for volume in pod.volumes
        }
    for pod in (*pods, job.submitterPodTemplate.spec):
        assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= {variable.name for variable in pod.containers[0].env}
    made = {(document["kind"], document["metadata"]["name"]) for document in documents[1:]}
    assert made == {("PersistentVolumeClaim", "nas-runs"), ("ConfigMap", "nas-space")}


def test_the_rayjob_searches_a_valid_space_with_the_ray_of_the_image(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(documents[2]["data"]["space.yaml"])
    assert SearchSpace.load(tmp_path / "space.yaml").size() > 10**6
    version = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version is not None
    assert documents[0]["spec"]["rayClusterSpec"]["rayVersion"] == version[1]


def test_the_rayjob_goes_on_with_a_run_that_is_there(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "nas").write_text('#!/bin/sh\necho "nas $*"\n')
    (tmp_path / "nas").chmod(0o755)
    entrypoint = documents[0]["spec"]["entrypoint"].replace("/runs/", f"{tmp_path}/")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run() -> str:
        return subprocess.run(entrypoint, shell=True, env=environment, capture_output=True, text=True).stdout

    (tmp_path / "space.yaml").touch()
    first = run()
    (tmp_path / "nas").rename(tmp_path / "program")
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "run.yaml").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "program").rename(tmp_path / "bin" / "nas")
    environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert "nas search /spaces/space.yaml --name nas --address auto" in first
    assert run() == "nas search --resume nas --address auto\n"


def test_the_cluster_file_is_valid_for_ray() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    file = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    jsonschema.validate(file, schema)
    assert file["head_node_type"] in file["available_node_types"]
    assert all("RAY_AUTH_MODE=token ray start" in file[f"{role}_start_ray_commands"][-1] for role in ("head", "worker"))


def test_the_image_copies_what_is_there_and_installs_extras_that_exist() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied and all((ROOT / word).exists() for word in copied)
    extras = re.search(r'"\.\[(.*)\]"', "\n".join(lines))
    assert extras is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    needed = {"pyproject.toml", project["readme"], *project["license-files"], "nas", "search_spaces"}
    assert needed <= set(copied)


# ----------------------------------------------------------------------------------------------------------- Slurm

SRUN = """#!{python}
import json, os, sys
words, options = sys.argv[1:], []
while words[0].startswith("-"):
    options.append(words.pop(0))
with open(os.environ["STEPS"], "a") as file:
    print(json.dumps([options, words]), file=file)
node = next((option.split("=")[1] for option in options if option.startswith("--nodelist=")), None)
if node is not None:  # a node has a folder of its own
    os.makedirs(os.path.join(os.environ["NODES"], node), exist_ok=True)
    os.chdir(os.path.join(os.environ["NODES"], node))
if words[:2] == ["ray", "start"]:
    words += ["--object-store-memory=80000000", "--dashboard-agent-listen-port=0", "--num-gpus=0"]
os.execvp(words[0], words)
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf 'one\\ntwo\\n'; else echo "$*" >> "$REQUEUED"; fi
"""
RAY = """#!/bin/bash
# symmetric-run as Ray does it on the head: the command after --
[ "$2" = --help ] && exit 0
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
NAS = """#!/bin/bash
trap 'echo stopped; exit 143' TERM
echo "nas $*"
echo "$RAY_AUTH_MODE ${#RAY_AUTH_TOKEN}"
touch "$NAS_RUNS/started"
for second in {1..100}; do sleep 0.1; done
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job of two nodes, with a srun and a scontrol that start processes here."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (tmp_path / "work").mkdir()
    tools = {"srun": SRUN.replace("{python}", sys.executable), "scontrol": SCONTROL}
    for name, text in tools.items():
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    yield clean | {
        "PATH": f"{bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "STEPS": str(tmp_path / "steps"),
        "NODES": str(tmp_path),
        "REQUEUED": str(tmp_path / "requeued"),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_ON_NODE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def test_the_slurm_script_is_valid_bash_and_asks_for_a_signal_before_the_end() -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    options = re.findall(r"^#SBATCH (\S+)$", SLURM.read_text(), re.MULTILINE)
    assert {"--signal=B:TERM@120", "--requeue", "--exclusive", "--open-mode=append"} <= set(options)


def test_slurm_with_symmetric_run(slurm: dict[str, str], tmp_path: Path) -> None:
    """The search is told to stop, not Ray; the job is queued again, and resumes."""
    for name, text in {"ray": RAY, "nas": NAS}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    run = f"slurm-{slurm['SLURM_JOB_ID']}"
    started = tmp_path / "work" / "runs" / "started"
    code, output = stopped_job(slurm, tmp_path / "work", started)
    [options, words] = json.loads((tmp_path / "steps").read_text())
    address = words[words.index("--address") + 1]
    assert "--nodes=2" in options
    assert words[:6] == ["ray", "symmetric-run", "--address", address, "--min-nodes", "2"]
    assert f"nas search digits --trials 3 --name {run} --address {address}\ntoken 64\nstopped\n" in output
    assert code == 143
    assert (tmp_path / "requeued").read_text() == f"requeue {slurm['SLURM_JOB_ID']}\n"
    (tmp_path / "work" / "runs" / run).mkdir()
    (tmp_path / "work" / "runs" / run / "run.yaml").touch()
    started.unlink()
    _, output = stopped_job(slurm, tmp_path / "work", started)
    assert f"nas search --resume {run} --address {address}\n" in output


def stopped_job(environment: dict[str, str], folder: Path, started: Path) -> tuple[int, str]:
    """Run the script, and send it SIGTERM once the file `started` is there; return its exit code and output."""
    command = ["bash", str(SLURM), "digits", "--trials", "3"]
    job = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until = time.monotonic() + 60
        while not started.exists() and job.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        job.send_signal(signal.SIGTERM)
        output, _ = job.communicate(timeout=60)
    finally:
        end(job)
    return job.returncode, output


SPACE = RATED % 12
RATING = """
import os, time
import ray

def rate(topology, *, seed, report):
    with open(os.environ["NODES"] + "/rated", "a") as file:
        print(ray.get_runtime_context().get_node_id(), os.getcwd(), file=file)
    time.sleep(4)
    return {"accuracy": 0.5}
"""


@pytest.mark.slow
def test_a_search_on_two_nodes_of_slurm_stops_and_goes_on(slurm: dict[str, str], tmp_path: Path) -> None:
    """Two raylets on this machine, each in a folder of its own, with Ray started by `ray start`."""
    environment = slurm | {"NAS_SHARED_NODES": "1", "NAS_RUNS": str(tmp_path / "runs")}
    (tmp_path / "work" / "space.yaml").write_text(SPACE)
    (tmp_path / "work" / "rating.py").write_text(RATING)
    for stop in (True, False):
        log = (tmp_path / f"log-{stop}").open("wb")
        job = subprocess.Popen(
            ["bash", str(SLURM), "space.yaml"], cwd=tmp_path / "work", env=environment, stdout=log, stderr=log
        )
        try:
            until = time.monotonic() + 120
            while stop and job.poll() is None and time.monotonic() < until and rated(tmp_path) < 4:
                time.sleep(0.2)
            if stop:
                job.send_signal(signal.SIGTERM)
            job.wait(timeout=200)
        finally:
            end(job)
        text = (tmp_path / f"log-{stop}").read_text()
        assert (tmp_path / "requeued").exists() if stop else job.returncode == 0, text
    frame = Run.open(f"slurm-{slurm['SLURM_JOB_ID']}", tmp_path / "runs").frame()
    assert (frame["state"] == "COMPLETE").sum() == 12
    lines = {tuple(line.split()) for line in (tmp_path / "rated").read_text().splitlines()}
    assert {folder for _, folder in lines} >= {str(tmp_path / "one"), str(tmp_path / "two")}
    assert not Path(f"/tmp/nas-{slurm['SLURM_JOB_ID']}").exists()


def rated(folder: Path) -> int:
    return len((folder / "rated").read_text().splitlines()) if (folder / "rated").exists() else 0
