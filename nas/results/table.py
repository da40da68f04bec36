"""Evaluate topologies by a table of results, a JSON file: metrics are looked up, and nothing is trained.

    {"resnet20": {"accuracy": 0.917, "seconds": 310},
     "3f0c9a1be27d5544": {"accuracy": [0.921, 0.918, 0.924]}}

A topology is named by its canonical key (`nas show X --json` prints it) or as a reference; equal topologies have
one result. A metric is a number, or a list with one number for each seed: seed s takes number s modulo the length of
the list. Numbers are not converted: a table in percent gives a search in percent. `seconds` is how long the training
took. The published table of a benchmark is recognised by the form of its names: see READERS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from nas.errors import CandidateError, TaskError, TopologyError, expected, first_fault, quoted
from nas.tasks import Task
from nas.tasks.data_files import checked_file
from nas.topology import Topology, references

MAX_BYTES = 2**30
KEY = re.compile(r"[0-9a-f]{16}")

Finite = Annotated[float, Field(allow_inf_nan=False)]
ByMetric = dict[str, Finite | Annotated[list[Finite], Field(min_length=1)]]  # metric → number, or one for each seed
ResultTable = dict[str, ByMetric]  # name or canonical key of a topology → its metrics
SCHEMA = TypeAdapter(ResultTable)


def nas_bench_macro(table: ResultTable) -> ResultTable:
    """Return the table of NAS-Bench-Macro (Su et al. 2021) with references as names, and accuracy and std in percent.

    In the published file eight digits name a network; its accuracy is the mean of three seeds.
    """
    return {
        f"nas_bench_macro_{code}": {"accuracy": metrics["mean_acc"], "std": metrics["std"]}
        for code, metrics in table.items()
    }


# the regular expression that every name of a published table matches → the function that converts such a table
READERS: dict[str, Callable[[ResultTable], ResultTable]] = {"[012]{8}": nas_bench_macro}


def read(path: Path, task: Task) -> ResultTable:
    """Read the file and return canonical key → metrics. References have the input and the outputs of the task.

    Raises TaskError, one line with the file and the entry, if the file is not such a table or lacks the task's metric.
    """
    checked_file(path)
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
        raise TaskError(f"{path}: {first_fault(error.errors(include_url=False), depth=2)}") from None
    except KeyError as error:
        raise TaskError(f"{path}: {reader.__name__} needs {error} of every network, but one has none") from None
    found = {metric for metrics in table.values() for metric in metrics}
    if task.metric not in found:
        raise TaskError(f"{path}: {expected('the metric', task.metric, sorted(found))[:300]}")
    return _by_key(table, path, task)


def has_seeds(table: ResultTable) -> bool:
    """Return whether a table holds several results of a topology, one for each seed."""
    return any(isinstance(value, list) and len(value) > 1 for metrics in table.values() for value in metrics.values())


def _by_key(table: ResultTable, path: Path, task: Task) -> ResultTable:
    """Return the table with canonical keys for names. Raises TaskError if equal topologies have different results."""
    found: dict[str, tuple[str, ByMetric]] = {}
    for name, metrics in table.items():
        key = _key(name, path, task)
        first, same = found.setdefault(key, (name, metrics))
        if same != metrics:
            raise TaskError(f"{path}: {quoted(first)} and {quoted(name)} are one topology, but have different results")
    return {key: metrics for key, (_, metrics) in found.items()}


def _key(name: str, path: Path, task: Task) -> str:
    """Return the canonical key that `name` is or that the reference of this name has."""
    if KEY.fullmatch(name):
        return name
    try:
        return references.get(name, input=task.input, outputs=task.outputs).key
    except TopologyError as error:
        raise TaskError(f"{path}: {quoted(name)} is neither a canonical key nor a reference: {error}") from None


class TableEvaluator:
    """Evaluate topologies by looking them up in a table; the interface is that of nas.training.Evaluator.

    table            what `read` returns
    name             of the table, for messages
    epochs           the full training budget, which a result is said to have reached
    device, threads  not used
    """

    network = None

    def __init__(self, table: ResultTable, name: str, epochs: int, *, device: str = "cpu", threads: int = 1) -> None:
        self.table, self.name, self.epochs = table, name, epochs
        self.measured: dict[str, float] = {}

    def start(self, topology: Topology, *, seed: int) -> Iterator[dict[str, Any]]:
        """Yield {"epoch": epochs, metric: value, …} once: the metrics of the topology for this seed.

        Sets `measured` to {"seconds": …} if the table says how long the training took. Raises CandidateError if the
        table has no result of the topology.
        """
        if topology.key not in self.table:
            raise CandidateError(f"{self.name} has no result of topology {topology.key}")
        metrics = dict(_for_seed(self.table[topology.key], seed))
        self.measured = {"seconds": metrics.pop("seconds")} if "seconds" in metrics else {}
        yield {"epoch": self.epochs} | metrics | self.measured


def _for_seed(metrics: Mapping[str, float | list[float]], seed: int) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        yield name, value[seed % len(value)] if isinstance(value, list) else value
