"""Tasks: one file per family of data; TASKS is the list of all. Facts cost little, data is loaded on demand.

digits                          a name
csv:house.csv?target=price      a family of files: what it reads, and options of the family
my_tasks.py:spirals             a function that returns a Task; so is package.module:function
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from nas.errors import TaskError, expected
from nas.tasks import arrays, digits, function, image_folder, masks, scenes, tables, text, vision
from nas.tasks.recipe import Recipe
from nas.tasks.splits import UNLABELLED, Array, Split, Splits, Stream
from nas.tasks.task import LOSSES, METRICS, Task

__all__ = ["LOSSES", "METRICS", "TASKS", "UNLABELLED", "Array", "Split", "Splits", "Stream", "Task", "get"]

# a function whose first argument is a path makes a family: name:PATH?option=value&option=value
TASKS: dict[str, Callable[..., Task]] = {
    "digits": digits.task,
    "cifar10": vision.cifar10,
    "cifar100": vision.cifar100,
    "svhn": vision.svhn,
    "fashion_mnist": vision.fashion_mnist,
    "imagefolder": image_folder.imagefolder,
    "npz": arrays.npz,
    "digit_scenes": scenes.task,
    "pets": masks.pets,
    "masks": masks.masks,
    "pydoc": text.pydoc,
    "text": text.text,
    "breast_cancer": tables.breast_cancer,
    "wine": tables.wine,
    "diabetes": tables.diabetes,
    "csv": tables.csv,
    "parquet": tables.parquet,
}


def get(name: str) -> Task:
    """The task called `name`; paths are those of this folder, and absolute in the name of what is returned.

    Raises TaskError where there is none (with the closest name) and where its data is not what it must be.
    """
    word, colon, rest = name.partition(":")
    if word in TASKS:
        options = _options(TASKS[word])
        return _of_path(word, rest, options) if options or colon else TASKS[word]()
    if colon:
        return function.task(name)
    raise TaskError(expected("task", name, (*map(usage, TASKS), "FILE.py:FUNCTION")))


def without_data(results: tuple[Literal["table", "function"], str], **facts: Any) -> Task:
    """A task of which there is nothing but results. Raises TaskError where the facts cannot be true."""
    name = Path(results[1].rpartition(":")[0] or results[1]).stem

    def load() -> Splits:
        raise TaskError(f"task {name} has no data: its results come from a {results[0]}")

    return Task(name, load=load, recipe=Recipe(epochs=1), results=results, **facts)


def usage(word: str) -> str:
    """How the task is written: digits, or csv:PATH?target=…&kind=…"""
    path, *options = _options(TASKS[word]) or ("",)
    query = "&".join(f"{option}=…" for option in options)
    return word + (f":{path.upper()}" if path else "") + (f"?{query}" if query else "")


def _options(made: Callable[..., Task]) -> tuple[str, ...]:
    """What a family takes, `path` first; nothing where a name is all."""
    return tuple(inspect.signature(made).parameters)


def _of_path(word: str, rest: str, known: tuple[str, ...]) -> Task:
    path, _, query = rest.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    given = {option: unquote(value) for option, value in pairs}
    if not known or not path or not given.keys() <= set(known[1:]) or len(given) < len(pairs):
        raise TaskError(f"task {word} must be written {usage(word)}, but got {f'{word}:{rest}'.rstrip(':')!r}")
    place = Path(path).expanduser().absolute()
    name = f"{word}:{place}" + (f"?{query}" if query else "")
    return replace(TASKS[word](place, **given), name=name)
