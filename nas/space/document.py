"""Read an untrusted YAML file as plain data and remember the line of every key.

The types of values follow the core schema of YAML 1.2: `5e-4` is a number and `no` is a word. A file is refused before
anything is built from it if it is too large or too deep, if its aliases resolve to too many values (aliases of
aliases), or if a key is given twice. Every YAML text that nas reads is read here: spaces, run.yaml, settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from nas.errors import SpaceError, message_of, quoted
from nas.space.faults import Fault, Path
from nas.units import printable

MAX_DIGITS = 40


@dataclass(frozen=True)
class TextLimits:
    """The largest file that is read, and how its words are.

    what    the name of such a file, for messages
    bytes   of the file
    depth   how many mappings and lists stand inside each other
    values  how many there are when aliases are resolved
    core    whether types follow YAML 1.2; if not they follow YAML 1.1, as PyYAML writes it
    """

    what: str
    bytes: int
    depth: int
    values: int
    core: bool = True


SPACE = TextLimits("a space", bytes=2**18, depth=20, values=20_000)
RUN = TextLimits("run.yaml", bytes=2**20, depth=30, values=100_000, core=False)  # a space with every default beside it


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
    return SpaceError(printable(": ".join(filter(None, (place, key, " ".join(message.split()))))))


def read(path: FilePath, limits: TextLimits = SPACE) -> Document:
    """Return the content of the YAML file at `path`. Raises SpaceError."""
    source = str(path)
    try:
        if not path.is_file():
            raise SpaceError(f"{source}: {'must be a file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            raw = file.read(limits.bytes + 1)
    except OSError as error:
        raise SpaceError(f"{source}: cannot be read: {error.strerror or error}") from None
    if len(raw) > limits.bytes:
        raise SpaceError(f"{source}: {limits.what} has at most {limits.bytes // 1024} KiB, but the file is larger")
    try:
        return parse(raw.decode("utf-8-sig"), source, limits)
    except UnicodeDecodeError as error:
        raise SpaceError(f"{source}: must be UTF-8 text, but byte {error.start} is not") from None


def parse(text: str, source: str = "", limits: TextLimits = SPACE) -> Document:
    """Return the content of a YAML text. Raises SpaceError."""
    nodes, plain = _Nodes(limits), _PlainData(limits)
    try:
        node = nodes.of(text)
    except Fault as fault:
        raise _located(source, nodes.line, (), str(fault)) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise _not_yaml(error, source) from None
    try:
        data = None if node is None else plain.value(node, ())
    except Fault as fault:
        raise _located(source, plain.line, fault.path, str(fault)) from None
    return Document(data, source, plain.lines)


def _not_yaml(error: Exception, source: str) -> SpaceError:
    """Return the error of a text that the parser refuses, with line and column and without its picture of the place."""
    parts = [getattr(error, name, None) for name in ("context", "problem")]
    problem = ", ".join(filter(None, parts)) or message_of(error)
    mark = getattr(error, "problem_mark", None)
    place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark and source else source
    return _located(place, None, (), f"is not YAML: {problem}")


_Parser: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


class _Nodes:
    """Composes the events of the parser into nodes, no deeper than allowed, and builds no objects from them."""

    def __init__(self, limits: TextLimits) -> None:
        self.line = 1
        self._limits = limits
        self._anchors: dict[str, yaml.Node] = {}

    def of(self, text: str) -> yaml.Node | None:
        """Return the only document of the text; None if it is empty. Raises Fault and YAMLError."""
        self._parser = (_Core if self._limits.core else _Parser)(text)
        self._parser.get_event()  # the start of the stream
        if self._parser.check_event(yaml.StreamEndEvent):
            return None
        self._parser.get_event()  # the start of the document
        node = self._node(self._parser.get_event(), 0)
        self._parser.get_event()
        if not self._parser.check_event(yaml.StreamEndEvent):
            self.line = self._parser.peek_event().start_mark.line + 1
            raise Fault("must be one document, but another one begins")
        return node

    def _node(self, event: Any, depth: int) -> yaml.Node:
        self.line = event.start_mark.line + 1
        if depth >= self._limits.depth:
            raise Fault(f"must be at most {self._limits.depth} levels deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Fault(f"must define the anchor {quoted(event.anchor)} before its alias")
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            node: yaml.Node = self._made(yaml.ScalarNode, event, event.value, event.implicit)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._made(yaml.SequenceNode, event, list(self._items(yaml.SequenceEndEvent, depth)), event.implicit)
        else:
            items = self._items(yaml.MappingEndEvent, depth)
            node = self._made(yaml.MappingNode, event, list(zip(items, items, strict=True)), event.implicit)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _items(self, end: type[yaml.Event], depth: int) -> Iterator[yaml.Node]:
        """Yield the nodes inside a list or a mapping, keys and values in turn."""
        while not isinstance(event := self._parser.get_event(), end):
            yield self._node(event, depth + 1)

    def _made(self, kind: type[Any], event: Any, value: Any, implicit: Any) -> yaml.Node:
        tag = event.tag if event.tag not in (None, "!") else self._parser.resolve(kind, value, implicit)
        node: yaml.Node = kind(tag, value, event.start_mark, event.end_mark)
        return node


class _Core(_Parser):  # type: ignore[misc,valid-type]
    """The parser with the types of the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # instead of the parent's YAML 1.1; filled below


_TAG = "tag:yaml.org,2002:"
_SCHEMA = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
for _name, _pattern in _SCHEMA.items():
    _Core.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"^(?:{_pattern})$"), None)

_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": int,
    f"{_TAG}float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


class _PlainData:
    """Turns nodes into dicts, lists and scalars. It counts the values, aliases resolved, and notes every key's line."""

    def __init__(self, limits: TextLimits) -> None:
        self._limits = limits
        self.lines: dict[Path, int] = {}
        self.line = 1
        self.count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.line = node.start_mark.line + 1
        self.lines.setdefault(path, self.line)
        self.count += 1
        if self.count > self._limits.values:
            raise Fault(f"must hold at most {self._limits.values} values when its aliases are resolved")
        if len(path) > self._limits.depth:
            raise Fault(f"must be at most {self._limits.depth} levels deep")
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
