"""`nas dashboard`: a port that cannot be served is one line."""

import socket
from pathlib import Path

from tests.helpers.command_line import Nas


def test_a_port_that_is_taken_is_one_line(folder: Path, nas: Nas) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = nas("dashboard", "--port", port)
    assert done.code == 2
    assert f"nas: --port {port} cannot be served on localhost: Address already in use" in done.err
