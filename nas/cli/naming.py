"""Resolve the words of the command line: topology files, references, trials of a run (RUN/12), baselines, settings."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nas.errors import NasError

if TYPE_CHECKING:
    from nas.space import SearchSpace
    from nas.study import Run
    from nas.topology import Topology

TOPOLOGY_FILES = (".json", ".py")


def topology_named(word: str) -> Topology | None:
    """Return the topology in the file `word`, or the reference called `word`; None if the word is neither.

    A space of the same name takes precedence over a reference. Raises NasError if the file holds no topology.
    """
    from nas.space import available
    from nas.topology import references

    if Path(word).suffix in TOPOLOGY_FILES:
        from nas.export import read_topology

        return read_topology(word)
    return references.get(word) if references.known(word) and word not in available() else None


class NamedNetwork(NamedTuple):
    """A network that a word names.

    name      what it is called
    topology  None for the winner of the run
    run       None for a reference or a file
    """

    name: str
    topology: Topology | None
    run: Run | None


def network_named(word: str | None, task: str | None) -> NamedNetwork:
    """Return the network that a word names: a run (the latest for None), RUN/12, a reference, or a topology file.

    task  for a reference or a file: a reference has the inputs and outputs of the task

    Raises NasError.
    """
    from nas.study import Run

    if word is not None and (trial := trial_named(word)) is not None:
        run, number = trial
        return NamedNetwork(f"trial {number}", run.topology(number), run)
    topology = None if word is None else topology_named(word)
    if topology is None or word is None:
        if task is not None:
            raise NasError(f"--task is for a reference or a file, not for {'a run' if word is None else repr(word)}")
        return NamedNetwork("", None, Run.open(word))
    if task is None:
        raise NasError(f"{word} needs a task: --task digits, say")
    return NamedNetwork(Path(word).stem, _fitting(word, topology, task), None)


def _fitting(word: str, topology: Topology, task: str) -> Topology:
    """Return the topology, if it is a reference with the inputs and outputs of the task."""
    from nas import tasks
    from nas.topology import references

    known = tasks.get(task)
    is_file = Path(word).suffix in TOPOLOGY_FILES
    return topology if is_file else references.get(word, input=known.input, outputs=known.outputs)


def trial_named(word: str) -> tuple[Run, int] | None:
    """Return the run and the trial number of a word such as RUN/12 (/12: of the latest run); None for other words.

    Raises RunError if there is no such run.
    """
    from nas.study import Run

    name, _, number = word.rpartition("/")
    return (Run.open(name or None), int(number)) if number.isdecimal() else None


def baselines_named(words: list[str], space: SearchSpace, option: str = "--baseline") -> dict[str, Topology]:
    """Return name → topology for each word of an option: a topology file or a baseline that the space knows.

    A baseline from a file has the name of the file, or of its folder if the file is called network.py, as all exported
    networks are. Raises NasError if a word names no topology, or if two baselines have the same name.
    """
    found: dict[str, Topology] = {}
    for word in words:
        try:
            named = _baselines(word, space)
        except NasError as error:
            raise NasError(f"{option}: {error}") from None
        for name in named.keys() & found.keys():
            raise NasError(f"{option} {word}: there is a baseline {name!r} already")
        found |= named
    return found


def _baselines(word: str, space: SearchSpace) -> dict[str, Topology]:
    """Return the names and the topologies of what a word stands for."""
    from nas.cost import predict
    from nas.export import read_topology

    path = Path(word)
    if path.suffix not in TOPOLOGY_FILES:
        return space.baselines([word], functools.partial(predict, recipe=space.recipe))
    return {path.resolve().parent.name if path.name == "network.py" else path.stem: read_topology(path)}


def changes(words: list[str]) -> dict[str, object]:
    """Return key → value of each KEY=VALUE. Raises NasError for another form."""
    from nas.space.document import parse

    found: dict[str, object] = {}
    for word in words:
        key, sign, value = word.partition("=")
        try:
            found[key.strip()] = parse(value).data
        except NasError:
            sign = ""
        if not sign or not key.strip():
            raise NasError(f"--recipe must be KEY=VALUE, such as epochs=100, but got {word!r}")
    return found
