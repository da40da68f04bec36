"""The environment variables that Ray reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.searching import connecting, environment


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without variables of Ray, a home folder without a token."""
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path)})


def test_what_the_user_has_set_stays() -> None:
    os.environ["RAY_AIR_NEW_OUTPUT"] = "1"
    environment.prepare("head:6379")
    assert os.environ["RAY_AIR_NEW_OUTPUT"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize("where", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"])
def test_a_token_is_shown_to_who_asks_for_it(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where.startswith("RAY"):
        os.environ[where] = "a-token"
    else:
        environment.token_file().parent.mkdir()
        environment.token_file().touch()
    environment.prepare()
    assert "RAY_AUTH_MODE" not in os.environ  # a Ray of this machine
    monkeypatch.setattr(connecting, "asks_for_token", lambda address: address == "strict:6379")
    environment.prepare("open:6379")
    assert "RAY_AUTH_MODE" not in os.environ  # nothing that this cluster sends would be accepted
    environment.prepare("strict:6379")
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_a_token_is_not_shown_where_the_user_forbids_it() -> None:
    os.environ |= {"RAY_AUTH_TOKEN": "a-token", "RAY_AUTH_MODE": "disabled"}
    environment.prepare("head:6379")
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
