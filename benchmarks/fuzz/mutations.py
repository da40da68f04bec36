"""Damage bytes, texts, plain data and SQLite files, each by a random generator: the same seed, the same damage."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

DEEP = 3000  # levels of a nested list: more than Python's recursion allows
WORDS = [
    *(
        "",
        " ",
        "null",
        "~",
        "true",
        "no",
        "-1",
        "0",
        "0.0",
        "1e400",
        "-1e-400",
        "nan",
        ".nan",
        ".inf",
        "9" * 30,
        "9" * 400,
    ),
    *("'", '"', "{", "}", "[", "]", ":", "- ", "? ", "&a", "*a", "<<", "#", "%", "|", ">", "\t", "\r\n", "\n\n", ","),
    *("!!python/object/apply:os.system [id]", "!!binary AAAA", "!!int x", "&a [*a, *a]", "[" * DEEP, "{a: " * 50),
    *(
        "/",
        "/dev/zero",
        "/dev/null",
        "../../etc/passwd",
        "~nobody/x",
        "a\0b",
        "\x1b[31m",
        "\ufeff",
        "\u202e",
        "💥" * 40,
    ),
    *("é", "x" * 5000, "<script>alert(1)</script>", "{{ 7 * 7 }}", "${HOME}", "%s%n", "';DROP TABLE trials;--"),
    *("no_such_file.py:f", "os:system", "csv:/dev/zero?target=a", "npz:/", "imagefolder:/proc", "text:/dev", "digits"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf")),
    *("", "a", "x" * 5000, "\x1b[2J", "\x00", "💥", "add", "digits", "/dev/zero", "../..", "1e3", [], {}, [[]], [None]),
    *([1] * 3000, ["add", "add"], {"": None}, {"op": None}, {"op": "conv3x3", "width": -1}, {"choice": [1, 2]}),
]


def bytes_damaged(rng: random.Random, content: bytes) -> bytes:
    """Return the content with bits flipped, parts cut, doubled, overwritten or moved, or with a nasty word in it."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 4, 8, 100, 5000)))
        match rng.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end]
            case 4:
                data[at:end] = bytes(rng.choice((0, 255, rng.randrange(256))) for _ in range(end - at))
            case 5:
                data[at:at] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
            case 6:
                data[at:end] = rng.randbytes(end - at)
            case 7:
                other = rng.randrange(len(data) + 1)
                data[at:end] = data[other : other + end - at]
    return bytes(data)


def words_damaged(rng: random.Random, content: bytes) -> bytes:
    """Return the text with some of its words or numbers replaced by nasty ones, or by other words of it."""
    text = content.decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = list(re.finditer(r"[\w.+-]+|[^\w\s]", text))
        if not found:
            break
        place = rng.choice(found)
        new = rng.choice(WORDS) if rng.random() < 0.8 else rng.choice(found)[0]
        text = text[: place.start()] + new + text[place.end() :]
    return text.encode("utf-8", "replace")


def data_damaged(rng: random.Random, data: Any) -> Any:
    """Return a copy of plain data in which some values are nasty ones, keys are renamed, doubled or missing."""
    data = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not (places := list(_places(data))):
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0 | 1 | 2:
                holder[key] = _value(rng)
            case 3:
                del holder[key]
            case 4 if isinstance(holder, dict):
                holder[rng.choice(WORDS)[:200]] = holder.pop(key)
            case _:
                other, name = rng.choice(places)
                if name in other if isinstance(other, dict) else name < len(other):
                    holder[key] = json.loads(json.dumps(other[name]))
    return data


def _value(rng: random.Random) -> Any:
    if rng.random() < 0.03:
        nested: Any = 0
        for _ in range(rng.choice((30, 100))):
            nested = [nested]
        return nested
    return rng.choice(VALUES)


def _places(data: Any) -> Any:
    """Yield every (container, key or index) of plain data."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(pairs):
        yield data, key
        yield from _places(value)


def yaml_damaged(rng: random.Random, content: bytes) -> bytes:
    """Return a YAML text that is damaged as bytes, as words, or as what it means."""
    if (damage := _bytes_or_words(rng)) is not None:
        return damage(rng, content)
    return yaml.safe_dump(data_damaged(rng, yaml.safe_load(content)), allow_unicode=True, sort_keys=False).encode()


def json_damaged(rng: random.Random, content: bytes) -> bytes:
    """Return a JSON text that is damaged as bytes, as words, or as what it means."""
    if (damage := _bytes_or_words(rng)) is not None:
        return damage(rng, content)
    return json.dumps(data_damaged(rng, json.loads(content))).encode()


def _bytes_or_words(rng: random.Random) -> Callable[[random.Random, bytes], bytes] | None:
    return rng.choice((bytes_damaged, words_damaged, words_damaged, None, None, None))


def database_damaged(rng: random.Random, path: Path) -> None:
    """Damage a SQLite file: its bytes, or values, rows and tables in it."""
    if rng.random() < 0.4:
        path.write_bytes(bytes_damaged(rng, path.read_bytes()))
        return
    database = sqlite3.connect(path)
    try:
        tables = [
            name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        for _ in range(rng.choice((1, 1, 2, 4))):
            _damage_table(rng, database, rng.choice(tables))
        database.commit()
    except sqlite3.Error:
        pass  # a constraint forbids this damage: the mutant is the file as far as it came
    finally:
        database.close()


def _damage_table(rng: random.Random, database: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table} ORDER BY 1")]
    if rng.random() < 0.05 or not rows:
        database.execute(f"DROP TABLE {table}")
    elif rng.random() < 0.15:
        database.execute(f"DELETE FROM {table} WHERE rowid = ?", (rng.choice(rows),))
    else:
        column, row = rng.choice(columns), rng.choice(rows)
        [[old]] = database.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchall()
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_sql_value(rng, old), row))


def _sql_value(rng: random.Random, old: object) -> object:
    if isinstance(old, str) and old[:1] in ("{", "[") and rng.random() < 0.7:
        return json_damaged(rng, old.encode()).decode("utf-8", "replace")
    return rng.choice(
        [None, 0, -1, 2**62, 1.5, 1e308, "nan", "", "x" * 5000, b"\xff\x00", "{}", "[]", "null", "NEW", "é"]
    )
