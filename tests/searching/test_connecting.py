"""Ray on this machine listens on loopback alone; a cluster that cannot be used is one line, soon."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.searching import connecting
from nas.searching.connecting import connect
from tests.helpers.ray_cluster import RayCluster, free_ports, ray_cluster

QUICK = os.environ | {"RAY_prestart_worker_first_driver": "0"}  # Ray would start a process for every core

LISTENING = """
import json
from nas.searching import environment
environment.prepare()
from nas.searching.connecting import start_ray
start_ray()
import ray, psutil
ray.get(ray.remote(lambda: None).remote())
family = [psutil.Process(), *psutil.Process().children(recursive=True)]
print(json.dumps([
    [process.name(), socket.laddr.ip]
    for process in family for socket in process.net_connections() if socket.status == "LISTEN"
]))
"""


def test_a_local_ray_listens_on_loopback_alone_and_its_token_is_private(tmp_path: Path) -> None:
    environment = QUICK | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING], capture_output=True, text=True, env=environment, timeout=200
    )
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600, done.stderr
    found = {(name, ipaddress.ip_address(address)) for name, address in json.loads(done.stdout)}
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert {str(address) for _, address in found if not is_loopback(address)} == set()


def is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("head", "address must be HOST:PORT of a Ray cluster, or auto, but got 'head'"),
        ("head:0", "address must be HOST:PORT of a Ray cluster, or auto, but got 'head:0'"),
        ("ray://head:10001", "from other machines: nas submit"),
        ("http://head:8265", "from other machines: nas submit"),
        ("head.invalid:6379", "the Ray cluster at head.invalid:6379 cannot be used: nothing answers there"),
    ],
)
def test_an_address_that_is_none(address: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        connect(address)


def test_a_port_that_nothing_listens_on() -> None:
    with pytest.raises(RunError, match="nothing answers there"):
        connect(f"127.0.0.1:{free_ports(1)[0]}")


def test_a_program_that_is_no_cluster_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "ANSWER_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"at 127.0.0.1:{port} cannot be used: it does not answer within 2 s"):
            connect(f"127.0.0.1:{port}")


def test_why_ray_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise Exception("The current node timed out\nduring startup.")  # as Ray does

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(RunError, match="Ray cannot be started on this machine: The current node timed out during"):
        connecting.start_ray()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with ray_cluster([tmp_path_factory.mktemp("head")]) as started:
        yield started


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory without a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("token", [{}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_TOKEN": "another" * 6}], ids=str)
def test_a_token_that_is_missing_or_wrong(
    cluster: RayCluster, token: dict[str, str], home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in token.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=f"the Ray cluster at {cluster.address} cannot be used: it asks for a token"):
        connect(cluster.address)


@pytest.mark.slow
def test_another_version_of_ray(cluster: RayCluster, home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(connecting, "ATTEMPT", "import ray\nray.__version__ = '2.1.0'\n" + connecting.ATTEMPT)
    with pytest.raises(RunError, match=r"Version mismatch: The cluster was started with: .* Ray: 2\.1\.0 Python"):
        connect(cluster.address)
