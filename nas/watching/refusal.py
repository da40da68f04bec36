"""A layer around a WSGI application that answers what is not allowed with 403 and the reason, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nas.watching import compat

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Rule = Callable[[str, str], str | None]  # method, path → the reason why it is refused, or None
READS = {"GET", "HEAD", "OPTIONS"}


def only_reads(method: str, path: str) -> str | None:
    """Return why a request is refused by a dashboard that is read only: it would change the study."""
    return None if method in READS else "this dashboard is read only: nas dashboard --read-only started it"


def no_new_studies(method: str, path: str) -> str | None:
    """Return why a request is refused by a dashboard of all runs: it would create or rename a study."""
    if method != "POST" or not compat.CREATES_A_STUDY.fullmatch(path):
        return None
    return "a dashboard of all runs neither creates nor renames studies: a study belongs to a run, which knows its name"


def refusing(app: WSGIApplication, *rules: Rule) -> WSGIApplication:
    """Return the application with a layer that refuses what one of the rules gives a reason against."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        for rule in rules:
            if (reason := rule(method, path)) is not None:
                body = json.dumps({"reason": reason}).encode()
                headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
                start_response("403 Forbidden", headers)
                return [body]
        return app(environ, start_response)

    return answer
