"""The registry of tasks: `TASKS` merges the dicts of all files in nas/tasks/families, `get` makes a task by its name.

digits                          a name
csv:house.csv?target=price      a family: the path that it reads, and its options
my_tasks.py:spirals             a function that returns a Task; so is package.module:function
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

from nas.errors import TaskError, expected
from nas.tasks import families, function
from nas.tasks.task import Task


def family_modules() -> list[ModuleType]:
    """Import every file of nas/tasks/families and return the modules."""
    found = pkgutil.iter_modules(families.__path__)
    return [importlib.import_module(f"{families.__name__}.{module.name}") for module in found]


def merged(modules: Iterable[ModuleType]) -> dict[str, Callable[..., Task]]:
    """Return name → function that makes the task, sorted by name, of all modules.

    Raises TaskError if a module declares no TASKS or if two declare the same name.
    """
    found: dict[str, Callable[..., Task]] = {}
    declared_in: dict[str, str] = {}
    for module in modules:
        if not getattr(module, "TASKS", None):
            raise TaskError(f"{module.__name__} must declare its tasks, TASKS = {{name: function}}, but declares none")
        for name, make in module.TASKS.items():
            first = declared_in.setdefault(name, module.__name__)
            if name in found:
                raise TaskError(f"task {name!r} must be declared once, but is in {first} and {module.__name__}")
            found[name] = make
    return dict(sorted(found.items()))


TASKS = merged(family_modules())


def get(name: str) -> Task:
    """Return the task called `name`. A relative path in it is relative to this folder; in the task it is absolute.

    Raises TaskError if there is no such task (with the closest name) or if its data is not valid.
    """
    word, colon, rest = name.partition(":")
    if word in TASKS:
        takes_path = bool(_parameters(word))
        return _of_path(word, rest) if takes_path or colon else TASKS[word]()
    if colon:
        return function.make_task(name)
    raise TaskError(expected("task", name, (*map(usage, TASKS), "FILE.py:FUNCTION")))


def usage(word: str) -> str:
    """Return the form in which the task `word` is written: `digits`, or `csv:PATH?target=…&kind=…`."""
    path, *options = _parameters(word) or ("",)
    query = "&".join(f"{option}=…" for option in options)
    return word + (f":{path.upper()}" if path else "") + (f"?{query}" if query else "")


def _parameters(word: str) -> tuple[str, ...]:
    """Return the parameters of the function that makes the task: the path, then the options; () for a mere name."""
    return tuple(inspect.signature(TASKS[word]).parameters)


def _of_path(word: str, rest: str) -> Task:
    """Return the task of family `word` for `rest`, PATH?option=value&…; its name holds the absolute path."""
    known = _parameters(word)
    path, _, query = rest.partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    given = {option: unquote(value) for option, value in pairs}
    if not known or not path or not given.keys() <= set(known[1:]) or len(given) < len(pairs):
        raise TaskError(f"task {word} must be written {usage(word)}, but got {f'{word}:{rest}'.rstrip(':')!r}")
    place = Path(path).expanduser().absolute()
    name = f"{word}:{place}" + (f"?{query}" if query else "")
    return replace(TASKS[word](place, **given), name=name)
