"""Write lines of code that `ruff format` does not change, at its default width of 88 and at every wider one.

The width of the repository that the file will be in is unknown. A formatter keeps a line of at most 88 characters at
every such width. A longer line is split into one argument per line, and the comma after the last argument keeps a
formatter from joining them again; a comment that does not fit moves above its line.
"""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
from itertools import pairwise

from nas.topology.geometry import Scalar

WIDTH = 88
OPEN, CLOSE = "([{", ")]}"


def literal(value: Scalar | tuple[int, ...]) -> str:
    """Return the value as Python source: strings in double quotes, 1e-6 rather than 1e-06."""
    if isinstance(value, str):
        quoted = repr(value)
        return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted else quoted
    return re.sub(r"e([+-])0+", r"e\1", repr(value)) if isinstance(value, float) else repr(value)


def wrap_text(text: str) -> str:
    """Return prose in lines of at most WIDTH characters."""
    return textwrap.fill(
        text,
        width=WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )


def split_line(line: str) -> list[str]:
    """Return one statement (or one argument) of any length as lines of at most WIDTH characters, where possible."""
    if len(line) <= WIDTH or not line.strip():
        return [line]
    code, comment = _split_comment(line)
    if comment.startswith("# type:"):  # a formatter does not count it, and it must stay on its line
        return [line]
    indent = " " * (len(code) - len(code.lstrip()))
    above = [indent + comment] if comment else []
    if len(code) <= WIDTH:
        return [*above, code]
    start, end = _last_group(code)
    lines = [f"{indent}    {argument}," for argument in _arguments(code[start + 1 : end])]
    opened = [short for long in lines for short in split_line(long)]
    return [*above, code[: start + 1], *opened, indent + code[end:]]


def _tokens(code: str) -> list[tokenize.TokenInfo]:
    """Return the tokens of a piece of a program, which may be incomplete."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code.strip()).readline):
            found.append(token)
    except tokenize.TokenError:  # the statement is incomplete
        pass
    return found


def _split_comment(line: str) -> tuple[str, str]:
    """Return the code and its trailing comment ("" if there is none)."""
    indent = len(line) - len(line.lstrip())
    for token in _tokens(line):
        if token.type == tokenize.COMMENT:
            start = indent + token.start[1]
            return line[:start].rstrip(), line[start:]
    return line, ""


def _last_group(code: str) -> tuple[int, int]:
    """Return where the last outermost bracket opens and closes. Raises ValueError if there is none."""
    indent = len(code) - len(code.lstrip())
    depth, start, group = 0, 0, None
    for token in _tokens(code):
        if token.string in OPEN and token.type == tokenize.OP:
            start = token.start[1] if depth == 0 else start
            depth += 1
        elif token.string in CLOSE and token.type == tokenize.OP:
            depth -= 1
            if depth == 0:
                group = indent + start, indent + token.start[1]
    if group is None:
        raise ValueError(f"a line that cannot be laid out: {code}")
    return group


def _arguments(inside: str) -> list[str]:
    """Return the arguments: the parts between the outermost commas."""
    depth, cuts = 0, [-1]
    for token in _tokens(f"({inside})"):
        if token.type != tokenize.OP:
            continue
        depth += (token.string in OPEN) - (token.string in CLOSE)
        if token.string == "," and depth == 1:
            cuts.append(token.start[1] - 1)
    cuts.append(len(inside))
    parts = [inside[a + 1 : b].strip() for a, b in pairwise(cuts)]
    return [part for part in parts if part]
