"""Start Ray on this machine, or connect to a cluster; each way in which that fails is one line, within a minute."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

from nas.errors import RunError, message_of, quoted
from nas.searching.detached import detached
from nas.searching.environment import token_file
from nas.searching.shared_data import SHARE
from nas.tasks.data_files import memory

CONNECT_S = 10  # seconds for the head of a cluster to accept a connection
ANSWER_S = 60  # seconds for a cluster to accept a driver
HEED_S = 0.02  # seconds between two calls of `heed`
SHUTDOWN_S = 5  # seconds to wait for the end of Ray, which never comes where its head node is gone
QUIET: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
STORE = 128 * 2**20  # bytes of the object store of a local Ray besides data: results are small
STORE_SHARE = 0.3  # of the memory of a machine, which the object store may take; it is Ray's own default
REFUSED = "InvalidAuthToken"  # in what Ray writes where the token is missing or wrong
TOKEN = (
    "it asks for a token, and this process has none or another one: "
    "`ray get-auth-token` prints that of its head; put it into ~/.ray/auth_token, "
    "or into RAY_AUTH_TOKEN with RAY_AUTH_MODE=token"
)

# run in a process of its own: where a cluster does not answer, ray.init retries for many minutes and writes warnings
# that no setting turns off
ATTEMPT = """
import sys
import ray
try:
    ray.init(address=sys.argv[1], logging_level="CRITICAL", log_to_driver=False)
except ray.exceptions.AuthenticationError:
    sys.exit("InvalidAuthToken")
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""


@contextlib.contextmanager
def started_ray(address: str | None, heed: Callable[[], None], sent: int = 0) -> Iterator[None]:
    """Start Ray or connect to a cluster, without its log output, and shut it down in the end. A Ray that runs in this
    process already is used and left running.

    address  of a Ray cluster; None starts Ray on this machine
    sent     the bytes that all processes of a local Ray will share
    heed     handles the signals; called again and again, since Ray takes SIGTERM for itself in the middle of its start

    Ray starts on a thread of its own: on the main thread it would replace the handler of SIGTERM, and a signal could
    end its start in the middle, which leaves it unusable. The thread lives as long as Ray, because the kernel kills
    the processes of a local Ray when the thread that started them ends, so that none outlives this process.

    Raises RunError.
    """
    import ray

    with _quiet():
        if ray.is_initialized():
            yield
            return
        started, leave = Future[None](), threading.Event()
        left = detached(functools.partial(_live, address, sent, started, leave))
        try:
            while not started.done():
                wait([started], HEED_S)
                heed()
            started.result()
            yield
        finally:
            leave.set()
            wait([left], SHUTDOWN_S)


def _live(address: str | None, sent: int, started: Future[None], leave: threading.Event) -> None:
    """Start Ray or connect to a cluster, and shut it down when it is to leave."""
    import ray

    try:
        start_ray(sent) if address is None else connect(address)
        started.set_result(None)
        leave.wait()
    except BaseException as error:  # noqa: BLE001  # raised on the thread that asked for Ray
        started.set_exception(error)
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let the loggers of Ray print nothing but the worst."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def start_ray(sent: int = 0) -> None:
    """Start Ray on this machine, listening on its loopback interface alone. Raises RunError.

    sent  the bytes that all its processes will share; there is no room for more than STORE_SHARE of its memory
    """
    room = int(sent / SHARE) if sent / SHARE < STORE_SHARE * memory() else 0
    options = {"include_dashboard": False, "object_store_memory": STORE + room}
    from nas.searching.compat import loopback_only

    _make_private_token()
    with loopback_only():
        _init("Ray cannot be started on this machine", address="local", **options)


def _make_private_token() -> None:
    """Make the token that a local Ray asks for, unless there is one: Ray's own can be read by every user."""
    path = token_file()
    with contextlib.suppress(OSError):  # Ray says what is wrong
        path.parent.mkdir(exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))


def connect(address: str) -> None:
    """Connect to the Ray cluster at `address`: HOST:PORT of its head, or auto for that of this machine.

    Raises RunError if there is none, if it asks for a token that this process does not have, if its version of Ray or
    of Python is another one, or if this machine is no node of it.
    """
    fault = _find(address)
    if (reason := _attempt(address)) is not None:
        raise RunError(f"{fault}: {reason}")
    _init(fault, address=address)


def _find(address: str) -> str:
    """Return how every error about a cluster begins. Raises RunError if nothing answers at the address."""
    fault = f"the Ray cluster at {quoted(address)[1:-1]} cannot be used"
    if "://" in address:
        raise RunError(
            "address must be HOST:PORT of a Ray cluster that this machine is a node of, or auto, "
            f"but got {quoted(address)}; from other machines: nas submit --address http://HEAD:8265"
        )
    if address != "auto":
        knock(*_host_and_port(address), fault)
    return fault


def _init(fault: str, **options: Any) -> None:
    import ray

    try:
        ray.init(**QUIET, **options)
    except Exception as error:  # noqa: BLE001  # of a node that does not start in time Ray raises Exception itself
        raise RunError(f"{fault}: {message_of(error)}") from None


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise RunError(f"address must be HOST:PORT of a Ray cluster, or auto, but got {quoted(address)}")
    return host.strip("[]"), int(port)


def knock(host: str, port: int, fault: str) -> None:
    """Raise RunError, which begins with `fault`, if nothing listens there."""
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise RunError(f"{fault}: nothing answers there ({error.strerror or error})") from None


def asks_for_token(address: str) -> bool:
    """Return whether a cluster refuses who shows no token. Its job API, http://…, takes a token in any case.

    Raises RunError if nothing answers at the address.
    """
    if address.startswith("http"):
        return True
    _find(address)
    return _attempt(address) == TOKEN


def _attempt(address: str) -> str | None:
    """Connect in another process, and return why that fails; None if it succeeds."""
    command, last = [sys.executable, "-c", ATTEMPT, address], ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        late = threading.Timer(ANSWER_S, process.kill)
        late.start()
        for last in process.stderr:
            if REFUSED in last:
                process.kill()
                break
        late.cancel()
    if REFUSED in last:
        return TOKEN
    if process.returncode < 0:
        return f"it does not answer within {ANSWER_S} s; is this machine a node of it?"
    return (" ".join(last.split())[:300] or "?") if process.returncode else None
