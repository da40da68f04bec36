"""Read the topology in an exported network.py, or in a JSON file, without running any code of it. No torch."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from nas.errors import NasError, TopologyError, message_of
from nas.topology import Topology

LARGEST = 16 * 2**20  # bytes: the text of a network of 4096 blocks is far smaller


def read_topology(path: Path | str) -> Topology:
    """Return the topology in the literal TOPOLOGY of an exported network.py, or in a JSON file of the topology alone.

    Raises TopologyError, which names the file.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise TopologyError(f"{path} cannot be read: {error.strerror}") from None
    try:
        if len(data) > LARGEST:
            raise TopologyError("the file is too large for a topology")
        return Topology.from_dict((_literal if Path(path).suffix == ".py" else _json)(data.decode()))
    except UnicodeDecodeError:
        raise TopologyError(f"{path}: the file is not UTF-8 text") from None
    except NasError as error:
        raise TopologyError(f"{path}: {error}") from None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TopologyError(f"the file is not valid JSON: {str(error)[:120]}") from None


def _literal(text: str) -> object:
    """Return the data of the JSON string TOPOLOGY in the program, which is parsed and never executed."""
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["TOPOLOGY"]:
                return json.loads(ast.literal_eval(node.value))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise TopologyError(f"its TOPOLOGY cannot be read: {message_of(error, 120)}") from None
    raise TopologyError("the file has no TOPOLOGY, so it is not an exported network")
