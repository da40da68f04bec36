"""The URL of a storage: whatever its password looks like, nobody sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import RunError
from nas.study import Run
from nas.study.storage_url import complete, parse_url, same_storage, shown, without_secrets, written
from tests.helpers.postgresql import PASSWORD, PostgresServer
from tests.helpers.runs import SPACE

SECRET = "s3/cr:e@t?%"
ENCODED = "s3%2Fcr%3Ae%40t%3F%25"


@pytest.mark.parametrize(
    ("url", "password", "host", "visible"),
    [
        (f"postgresql://me:{ENCODED}@host:5432/db", SECRET, "host", "postgresql+psycopg://me:***@host:5432/db"),
        (f"postgresql://me:{SECRET}@host:5432/db", SECRET, "host", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:a/b@host/db", "a/b", "host", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me:a:b@host/db?sslmode=require", "a:b", "host", "postgresql+psycopg://me:***@host/db?sslmode=require"),
        ("postgresql://:secret@host/db", "secret", "host", "postgresql+psycopg://:***@host/db"),
        ("mysql://me:100%sure@host/db", "100%sure", "host", "mysql+pymysql://me:***@host/db"),
    ],
)  # fmt: skip
def test_a_password_may_hold_every_character(url: str, password: str, host: str, visible: str) -> None:
    parsed = parse_url(url)
    assert (parsed.password, parsed.host, parsed.database) == (password, host, "db")
    assert shown(parsed) == visible
    assert password not in written(url) and ENCODED not in written(url)
    assert parse_url(complete(url)).password == password


@pytest.mark.parametrize("name", ["password", "passwd", "sslpassword", "PASSWORD"])
@pytest.mark.parametrize("value", ["secret", "se/cr@et", "se%40cret"])
def test_a_password_may_be_in_the_query(name: str, value: str) -> None:
    url = f"postgresql://host/db?user=me&{name}={value}&sslmode=require"
    assert f"{name}=***" in shown(parse_url(url))
    assert written(url) == "postgresql+psycopg://host/db?sslmode=require&user=me"
    said = without_secrets(f"option {name}={value} is se/cr@et, or se@cret", parse_url(url))
    assert value not in said


def test_the_file_of_passwords_is_none() -> None:
    assert "passfile=%2Fmine" in written("postgresql://host/db?passfile=/mine&password=x")


@pytest.mark.parametrize(
    "url", ["s3cret", "postgresql:s3cret@host", "postgresql://me:s3cret@host:port/db", "a b://s3cret"]
)
def test_what_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(RunError) as raised:
        parse_url(url)
    assert "s3cret" not in str(raised.value)


def test_a_short_password_is_hidden_where_it_is_a_word() -> None:
    url = parse_url("postgresql://me:a@host/db")
    assert without_secrets("password a failed at all", url) == "password *** failed at all"


def test_a_storage_is_the_same_whatever_its_password() -> None:
    assert same_storage("postgresql://me:a@host/db", "postgresql+psycopg://me:b@host/db")
    assert not same_storage("postgresql://me:a@host/db", "postgresql://you:a@host/db")


def test_files_are_as_they_were() -> None:
    url = "sqlite:////a folder/with@and:and%/study.db"
    assert complete(url) == written(url) == url
    assert shown(parse_url(url)).endswith("study.db")


def test_a_password_is_written_nowhere(postgresql: str, tmp_path: Path) -> None:
    run = Run.create(SPACE, "first", tmp_path, storage=postgresql)
    for path in run.path.rglob("*"):
        if path.is_file():
            assert PASSWORD not in path.read_text() and PASSWORD.replace("/", "%2F")[:6] not in path.read_text(), path
    attributes = str(run.storage.get_all_studies())
    assert PASSWORD not in attributes and "s3" not in attributes
    assert run.storage_url == complete(postgresql)


def test_a_password_comes_from_the_environment_or_with_the_url(
    postgresql: str, postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Run.create(SPACE, "first", tmp_path, storage=postgresql)

    def trials() -> int:
        return len(Run.open("first", tmp_path).study.get_trials())

    with pytest.raises(RunError) as raised:
        trials()
    message = str(raised.value)
    assert "\n" not in message and "no password supplied" in message
    assert message.endswith(
        "the password may stand in PGPASSWORD, in ~/.pgpass or in the URL of NAS_STORAGE or --storage"
    )
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        assert trials() == 0
    with monkeypatch.context() as patch:
        patch.setenv("NAS_STORAGE", postgresql)
        assert trials() == 0
    with monkeypatch.context() as patch:
        patch.setenv("NAS_STORAGE", "postgresql://of:another@host/db")
        with pytest.raises(RunError, match="no password supplied"):
            trials()
    file = tmp_path / ".pgpass"
    file.write_text("127.0.0.1:*:*:postgres:" + PASSWORD.replace(":", r"\:") + "\n")
    file.chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(file))
        assert trials() == 0
    again = Run.open("first", tmp_path)
    again.log_in(postgresql)
    assert again.study.get_trials() == []
    with pytest.raises(RunError, match="has its storage already"):
        again.log_in("postgresql://postgres@elsewhere/db")
    wrong = Run.open("first", tmp_path)
    wrong.log_in(postgres_server.url(postgresql.rpartition("/")[2], "wr0ng!"))
    with pytest.raises(RunError, match="password authentication failed") as raised:
        _ = wrong.study
    assert "wr0ng" not in str(raised.value)


def test_mysql_takes_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_PWD", "s3cret")
    assert parse_url(complete("mysql://me@host/db")).password == "s3cret"
    assert parse_url(complete("mysql://me:mine@host/db")).password == "mine"
    assert parse_url(complete("postgresql://me@host/db")).password is None
