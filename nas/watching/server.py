"""Serve a WSGI application: a thread for each request, no log of requests, and the next free port."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket
import socketserver
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from nas.errors import NasError
from nas.study.quiet import quiet_libraries

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

PORT = 8080
PORTS = 100  # how many are tried, from PORT on
EVERYWHERE = {"", "0.0.0.0", "::"}


class DashboardServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server that answers each request in a thread of its own.

    host  as it was asked for
    """

    daemon_threads = True  # a request that lasts does not hold up Ctrl-C
    request_queue_size = 128  # requests that arrive before the dashboard is loaded wait

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _QuietHandler)

    def server_bind(self) -> None:
        """Bind the socket, without the look-up of the full name of the host, which takes seconds in some networks."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the error of a request, unless the browser has gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address for a browser; a server on all addresses is named by its machine."""
        name = socket.gethostname() if self.host in EVERYWHERE else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.server_port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Do not log the request."""


def bind(host: str = "localhost", port: int | None = None) -> DashboardServer:
    """Return a server on a port; 0 is any free port, and None the first from 8080 on that is free.

    Browsers can connect at once, and are answered by `serve`. Raises NasError if the port cannot be had.
    """
    last = PORT + PORTS - 1 if port is None else port
    for number in range(PORT, last + 1) if port is None else [port]:
        try:
            return DashboardServer(host, number)
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise NasError(f"--host {host}: {error.strerror}") from None
            if error.errno != errno.EADDRINUSE or number == last:
                raise NasError(f"--port {number} cannot be served on {host}: {error.strerror}") from None
    raise AssertionError("the last port returns or raises")


def serve(server: DashboardServer, make: Callable[[], WSGIApplication], report: Callable[[str], None]) -> None:
    """Make the application and serve it until Ctrl-C; `report` is told of each kind of error of the dashboard once."""
    with server, quiet_libraries(), _first_lines(report), contextlib.suppress(KeyboardInterrupt):
        server.set_app(make())
        server.serve_forever()


@contextlib.contextmanager
def _first_lines(report: Callable[[str], None]) -> Iterator[None]:
    """Report what the dashboard logs by its first line, and only once, instead of a traceback at every request."""
    logger, handler = logging.getLogger("optuna_dashboard"), _Reporting(report)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


class _Reporting(logging.Handler):
    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.report = report
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Report the first line of a record that was not reported before."""
        line = (record.getMessage().splitlines() or [""])[0]
        if line not in self.said:
            self.said.add(line)
            self.report(f"the dashboard could not answer a request: {line}")
