"""Read an untrusted YAML file as plain data and remember the line of every key.

The types of values follow the core schema of YAML 1.2: `5e-4` is a number and `no` is a word. A file is refused before
anything is built from it if it is too large or too deep, if its aliases resolve to too many values (aliases of
aliases), or if a key is given twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from nas.errors import SpaceError
from nas.space.faults import Fault, Path, quoted

MAX_BYTES = 2**18
MAX_DEPTH = 20
MAX_VALUES = 20_000
MAX_DIGITS = 40


@dataclass(frozen=True)
class Document:
    """The content of a file.

    data    plain data: mappings, lists and scalars
    source  the path of the file; empty for data that came from no file
    lines   the path of a key or a list value → its line in the file
    """

    data: Any
    source: str = ""
    lines: Mapping[Path, int] = field(default_factory=dict)

    def error(self, fault: Fault) -> SpaceError:
        """Return the error of a fault: `file:line: key: message`."""
        path = tuple(self._written(fault.path))
        line = next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), None)
        return _located(self.source, line, path, str(fault))

    def _written(self, path: Path) -> Iterator[str | int]:
        """Yield the steps of a model's path that the file has, too.

        The models turn a single value into a tuple of one, and keep the options of an op in a field of their own.
        """
        data = self.data
        for step in path:
            inside = data if isinstance(data, Mapping) else dict(enumerate(data)) if isinstance(data, list) else {}
            if step in inside:
                yield step
                data = inside[step]
            elif isinstance(data, Mapping) and isinstance(step, str) and step != "options":
                yield step  # a missing key, which has nothing below it
                return


def _located(source: str, line: int | None, path: Path, message: str) -> SpaceError:
    """Return the error `file:line: key: message` on one line."""
    place = f"{source}:{line}" if source and line else source
    key = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return SpaceError(": ".join(filter(None, (place, key, " ".join(message.split())))))


def read(path: FilePath) -> Document:
    """Return the content of the YAML file at `path`. Raises SpaceError."""
    source = str(path)
    try:
        if not path.is_file():
            raise SpaceError(f"{source}: {'must be a file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpaceError(f"{source}: cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise SpaceError(f"{source}: a space has at most {MAX_BYTES // 1024} KiB, but the file is larger")
    try:
        return parse(raw.decode("utf-8-sig"), source)
    except UnicodeDecodeError as error:
        raise SpaceError(f"{source}: must be UTF-8 text, but byte {error.start} is not") from None


def parse(text: str, source: str = "") -> Document:
    """Return the content of a YAML text. Raises SpaceError."""
    try:
        node = _Composer(text).get_single_node()
    except Fault as fault:
        raise _located(source, None, (), str(fault)) from None
    except yaml.YAMLError as error:
        raise _not_yaml(error, source) from None
    plain = _PlainData()
    try:
        data = None if node is None else plain.value(node, ())
    except Fault as fault:
        raise _located(source, plain.line, fault.path, str(fault)) from None
    return Document(data, source, plain.lines)


def _not_yaml(error: yaml.YAMLError, source: str) -> SpaceError:
    parts = [getattr(error, name, None) for name in ("context", "problem")]
    problem = ", ".join(filter(None, parts)) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return _located(source, mark and mark.line + 1, (), f"is not YAML: {problem}")


class _Composer(yaml.SafeLoader):
    """Parses YAML text into nodes, at most MAX_DEPTH levels deep, and builds no objects from them."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # instead of the parent's YAML 1.1; filled below
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.depth >= MAX_DEPTH:
            raise Fault(f"must be at most {MAX_DEPTH} levels deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_TAG = "tag:yaml.org,2002:"
_SCHEMA = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
for _name, _pattern in _SCHEMA.items():
    _Composer.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"^(?:{_pattern})$"), None)

_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": int,
    f"{_TAG}float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


class _PlainData:
    """Turns nodes into dicts, lists and scalars. It counts the values, aliases resolved, and notes every key's line."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.line = 1
        self.count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.line = node.start_mark.line + 1
        self.lines.setdefault(path, self.line)
        self.count += 1
        if self.count > MAX_VALUES:
            raise Fault(f"must hold at most {MAX_VALUES} values when its aliases are resolved")
        if len(path) > MAX_DEPTH:
            raise Fault(f"must be at most {MAX_DEPTH} levels deep")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]
        return _scalar(node, path)

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            self.line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or len(key) > 200:
                raise Fault("a key must be a word", *path)
            if key in seen:
                raise Fault(f"the key {quoted(key)} is given twice, first in line {seen[key]}", *path)
            seen[key] = self.line
            self.lines[(*path, key)] = self.line
            yield key, self.value(value_node, (*path, key))


def _scalar(node: yaml.Node, path: Path) -> Any:
    if node.tag not in _SCALARS or not isinstance(node, yaml.ScalarNode):
        raise Fault(f"must be plain data, but got the tag {quoted(node.tag.replace(_TAG, '!!'))}", *path)
    if node.tag == f"{_TAG}int" and len(node.value) > MAX_DIGITS:
        raise Fault(f"must be a number of at most {MAX_DIGITS} digits, but got {quoted(node.value)}", *path)
    try:
        return _SCALARS[node.tag](node.value)
    except ValueError:  # `!!int word`
        raise Fault(f"must be of the type that its tag says, but got {quoted(node.value)}", *path) from None
