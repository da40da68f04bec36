"""The URL of a storage: its driver, and its password, which is never shown and never written."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from nas.errors import RunError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

VARIABLE = "NAS_STORAGE"  # of the environment: a URL whose password is that of the runs in this storage
MYSQL_PASSWORD = "MYSQL_PWD"  # of the environment; what libpq takes (PGPASSWORD, ~/.pgpass) it takes by itself
HIDDEN = "***"
SECRET = re.compile(r"pass(?!file)|pwd|secret|token|odbc_connect", re.IGNORECASE)  # names in the query of a URL
SHORT = 4  # characters: a shorter password is looked for as a whole word, since it is a part of many words

# database → its driver, where the URL names none, and the extra of the package that installs it
DRIVERS = {"postgresql": ("psycopg", "postgresql"), "mysql": ("pymysql", "mysql"), "mariadb": ("pymysql", "mysql")}


def parse_url(text: str) -> URL:
    """Return the URL with the driver of its database, if it names none.

    The password may hold every character, percent-encoded or as it is. Raises RunError, without a word of the text that
    may be a password.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, sign, rest = text.partition("://")
    if not sign or not re.fullmatch(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?", scheme):
        raise RunError("the URL of a storage must be sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://…")
    try:
        url = make_url(f"{scheme}://{_encoded(rest)}")
    except (ArgumentError, ValueError):
        form = f"{scheme}://USER:PASSWORD@HOST:PORT/DATABASE, special characters of the password percent-encoded"
        raise RunError(f"the URL of the storage cannot be read: it must be {form}") from None
    driver, _ = DRIVERS.get(scheme, ("", ""))
    return url.set(drivername=f"{scheme}+{driver}") if driver else url


def _encoded(rest: str) -> str:
    """Return what follows `scheme://` with its user and password percent-encoded."""
    if rest.startswith("/"):  # a file
        return rest
    place, _, query = rest.partition("?")
    if "@" in query and not re.match(r"\w+=", query):  # a question mark in the password
        place, query = rest, ""
    if "@" in query and ":" in place and not re.search("[@/]", place):
        raise ValueError("either a password with a question mark or a port without a database")
    login, sign, host = place.rpartition("@")
    if not sign:
        return rest
    user, colon, password = login.partition(":")
    again = quote(unquote(user), safe="") + (colon and ":" + quote(unquote(password), safe=""))
    return f"{again}@{host}" + (f"?{query}" if query else "")


def without_password(url: URL) -> URL:
    """Return the URL without what must stay secret: what run.yaml holds, and what two URLs of a storage share."""
    from sqlalchemy.engine import URL

    kept = url.difference_update_query([name for name in url.query if SECRET.search(name)])
    return URL.create(kept.drivername, kept.username, None, kept.host, kept.port, kept.database, kept.query)


def with_password(url: URL) -> URL:
    """Return the URL with the password that the environment holds for it, if it has none itself."""
    if secrets_of(url):
        return url
    given = os.environ.get(VARIABLE, "")
    if given and without_password(known := parse_url(given)) == url:
        return known
    if url.get_backend_name() in ("mysql", "mariadb") and MYSQL_PASSWORD in os.environ:
        return url.set(password=os.environ[MYSQL_PASSWORD])
    return url


def complete(text: str) -> str:
    """Return the URL as libraries take it: with its driver, and with the password if that is known here."""
    url = with_password(parse_url(text))
    return text if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=False)


def written(text: str) -> str:
    """Return the URL as run.yaml holds it: without a password."""
    url = parse_url(text)
    return without_password(url).render_as_string(hide_password=False) if secrets_of(url) else text


def same_storage(left: str, right: str) -> bool:
    """Return whether two URLs, with passwords or without, are those of the same storage."""
    return without_password(parse_url(left)) == without_password(parse_url(right))


def shown(url: URL) -> str:
    """Return the URL as people may see it."""
    hidden = url.update_query_dict({name: HIDDEN for name in url.query if SECRET.search(name)})
    return hidden.render_as_string(hide_password=True).replace(quote(HIDDEN), HIDDEN)


def secrets_of(url: URL) -> list[str]:
    """Return the passwords of the URL, the longest first."""
    query = (value for name, value in url.query.items() if SECRET.search(name))
    several = [[value] if isinstance(value, str) else list(value) for value in query]
    found = {str(url.password or ""), *(value for values in several for value in values)} - {""}
    return sorted(found, key=len, reverse=True)


def without_secrets(message: str, url: URL) -> str:
    """Return a message, of a driver say, with the passwords of the URL hidden."""
    for secret in secrets_of(url):
        for form in sorted({secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}):
            bound = r"\b" if len(secret) < SHORT else ""
            message = re.sub(bound + re.escape(form) + bound, HIDDEN, message)
    return message
