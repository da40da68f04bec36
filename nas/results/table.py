"""A table of results, a JSON file: what is known of a topology is looked up, and nothing is trained.

    {"resnet20": {"accuracy": 0.917, "seconds": 310},
     "3f0c9a1be27d5544": {"accuracy": [0.921, 0.918, 0.924]}}

A topology is named by its canonical key (`nas show X --json` prints it) or as a reference; equal topologies have
one result. A metric is a number, or a list with one number for each seed: seed s has the one at s modulo their
count. Numbers are taken as they are: a table in percent gives a search in percent. `seconds` is what the training
took. Tables of benchmarks in a form of their own are known by their names: see READERS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from nas.errors import CandidateError, TaskError, TopologyError, expected
from nas.tasks import Task
from nas.topology import Topology, references

MAX_BYTES = 2**30
KEY = re.compile(r"[0-9a-f]{16}")

Number = Annotated[float, Field(allow_inf_nan=False)]
Metrics = dict[str, Number | Annotated[list[Number], Field(min_length=1)]]
Table = dict[str, Metrics]
SCHEMA = TypeAdapter(Table)


def nas_bench_macro(table: Table) -> Table:
    """NAS-Bench-Macro (Su et al. 2021): eight digits name a network; its accuracy, %, is the mean of three seeds."""
    return {
        f"nas_bench_macro_{code}": {"accuracy": metrics["mean_acc"], "std": metrics["std"]}
        for code, metrics in table.items()
    }


# what every name of the table looks like → the reader of such tables
READERS: dict[str, Callable[[Table], Table]] = {"[012]{8}": nas_bench_macro}


def read(path: Path, task: Task) -> Table:
    """canonical key → metrics. Raises TaskError of one line with the file and the entry."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TaskError(f"{path}: a table has at most {MAX_BYTES // 2**20} MiB, but the file is larger")
        table = SCHEMA.validate_json(path.read_bytes(), strict=True)
        for names, reader in READERS.items():
            if table and all(re.fullmatch(names, name) for name in table):
                table = reader(table)
    except OSError as error:
        raise TaskError(f"{path}: the table cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        raise TaskError(f"{path}: {_first(error)}") from None
    except KeyError as error:
        raise TaskError(f"{path}: {reader.__name__} needs {error} of every network, but one has none") from None
    found = {metric for metrics in table.values() for metric in metrics}
    if task.metric not in found:
        raise TaskError(f"{path}: {expected('what the table tells', task.metric, sorted(found))[:300]}")
    return _by_key(table, path, task)


def _first(error: ValidationError) -> str:
    """The first fault: the entry, the metric, and what is wrong."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"][:2])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _by_key(table: Table, path: Path, task: Task) -> Table:
    found: dict[str, tuple[str, Metrics]] = {}
    for name, metrics in table.items():
        key = _key(name, path, task)
        first, same = found.setdefault(key, (name, metrics))
        if same != metrics:
            raise TaskError(f"{path}: {first} and {name} are one topology, but have different results")
    return {key: metrics for key, (_, metrics) in found.items()}


def _key(name: str, path: Path, task: Task) -> str:
    if KEY.fullmatch(name):
        return name
    try:
        return references.get(name, input=task.input, outputs=task.outputs).key
    except TopologyError as error:
        raise TaskError(f"{path}: {name[:80]} is neither a canonical key nor a reference: {error}") from None


class Lookup:
    """Evaluates by the table (see nas.searching.trainable.Evaluator): one record, that of the last epoch.

    Raises CandidateError for a topology that the table does not hold.
    """

    network = None

    def __init__(self, table: Table, name: str, epochs: int, *, device: str = "cpu", threads: int = 1) -> None:
        self.table, self.name, self.epochs = table, name, epochs
        self.measured: dict[str, float] = {}

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]:
        if topology.key not in self.table:
            raise CandidateError(f"{self.name} has no result of topology {topology.key}")
        metrics = dict(_of_seed(self.table[topology.key], seed))
        self.measured = {"seconds": metrics.pop("seconds")} if "seconds" in metrics else {}
        yield {"epoch": self.epochs} | metrics | self.measured


def _of_seed(metrics: Mapping[str, float | list[float]], seed: int) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        yield name, value[seed % len(value)] if isinstance(value, list) else value
