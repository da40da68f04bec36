"""Call a WSGI application without a socket."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults


@dataclass
class Answer:
    """What the application answered: the status code and the body."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(app: WSGIApplication, method: str, path: str, data: Any = None) -> Answer:
    """Send a request; `data` is its body, as JSON."""
    body = b"" if data is None else json.dumps(data).encode()
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    status: list[str] = []
    content = app(environ, lambda line, headers, error=None: status.append(line))  # type: ignore[arg-type,misc]
    return Answer(int(status[0].split()[0]), b"".join(content))
