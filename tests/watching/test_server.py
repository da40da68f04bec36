"""The server: ports, addresses, threads, and what it says."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from nas.errors import NasError
from nas.watching import bind, serve, server

READY = threading.Event()


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers /slow when /fast was answered, which a server of one thread cannot."""
    if environ["PATH_INFO"] == "/slow":
        READY.wait(10)
    elif environ["PATH_INFO"] == "/error":
        logging.getLogger("optuna_dashboard._bottle_util").error("Exception: it broke\n  File x, line 1")
    else:
        READY.set()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


@contextlib.contextmanager
def served(said: list[str]) -> Iterator[str]:
    one = bind(port=0)
    thread = threading.Thread(target=serve, args=(one, lambda: hello, said.append))
    thread.start()
    try:
        yield one.url
    finally:
        one.shutdown()
        thread.join()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


def test_requests_are_answered_at_the_same_time_and_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    READY.clear()
    with served(said) as url:
        slow: list[bytes] = []
        waiting = threading.Thread(target=lambda: slow.append(get(f"{url}/slow")))
        waiting.start()
        assert get(f"{url}/fast") == b"/fast"
        waiting.join()
        assert slow == [b"/slow"]
        get(f"{url}/error")
        get(f"{url}/error")
    assert said == ["the dashboard could not answer a request: Exception: it broke"]
    assert capfd.readouterr() == ("", "")


def test_control_c_ends_it_quietly() -> None:
    def interrupted() -> Any:
        raise KeyboardInterrupt

    one = bind(port=0)
    serve(one, interrupted, print)
    assert one.socket.fileno() == -1


def test_port_0_is_a_real_one() -> None:
    with bind(port=0) as one:
        assert one.server_port > 0
        assert one.url == f"http://localhost:{one.server_port}"
        socket.create_connection(("localhost", one.server_port)).close()


def test_the_next_free_port_is_taken_unless_one_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        number = taken.getsockname()[1]
        monkeypatch.setattr(server, "PORT", number)
        with bind() as one:
            assert number < one.server_port < number + 100
        with pytest.raises(NasError, match=f"--port {number} cannot be served on localhost: Address already in use"):
            bind(port=number)
        monkeypatch.setattr(server, "PORTS", 1)
        with pytest.raises(NasError, match="Address already in use"):
            bind()


def test_an_address_that_is_not_of_this_machine_is_one_line() -> None:
    with pytest.raises(NasError, match=r"^--host 192\.0\.2\.1: "):
        bind("192.0.2.1")


@pytest.mark.parametrize(("host", "local"), [("localhost", True), ("127.0.0.1", True), ("0.0.0.0", False)])
def test_who_can_reach_it(host: str, local: bool) -> None:
    with bind(host, 0) as one:
        assert one.is_local is local
        name = socket.gethostname() if host == "0.0.0.0" else host
        assert one.url == f"http://{name}:{one.server_port}"


def test_addresses_of_ipv6() -> None:
    try:
        one = bind("::1", 0)
    except NasError:
        pytest.skip("this machine has no IPv6")
    with one:
        assert one.is_local and one.url == f"http://[::1]:{one.server_port}"
