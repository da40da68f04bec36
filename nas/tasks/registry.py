"""The registry of tasks: `TASKS` merges the dicts of all files in nas/tasks/families, `get` makes a task by its name.

digits                          a name
fashion_mnist?train=4000        a name and its options
csv:house.csv?target=price      a family: the path that it reads, and its options
my_tasks.py:spirals             a function that returns a Task; so is package.module:function
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from urllib.parse import unquote

from nas.errors import TaskError, expected
from nas.tasks import families, function
from nas.tasks.data_files import user_path
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
    word = _word(name)
    if word in TASKS:
        return _make(word, name)
    if is_function(name):
        return function.make_task(name)
    raise TaskError(expected("task", name, (*map(usage, TASKS), "FILE.py:FUNCTION"), TASKS))


def is_function(name: str) -> bool:
    """Return whether a task is made by a function of the user, whose code runs when it is made."""
    return ":" in name and _word(name) not in TASKS


def _word(name: str) -> str:
    """Return the word for the task or the family in a name."""
    return re.split("[:?]", name, maxsplit=1)[0]


def usage(word: str) -> str:
    """Return the form in which the task `word` is written: `digits`, or `csv:PATH?target=…&kind=…`."""
    path, options = _parameters(word)
    query = "&".join(f"{option}=…" for option in options)
    return word + (f":{path.upper()}" if path else "") + (f"?{query}" if query else "")


def _parameters(word: str) -> tuple[str, list[str]]:
    """Return what the function that makes the task takes: a path ("" for none), and options, which have defaults."""
    given = inspect.signature(TASKS[word]).parameters.values()
    path = next((parameter.name for parameter in given if parameter.default is parameter.empty), "")
    return path, [parameter.name for parameter in given if parameter.default is not parameter.empty]


def _make(word: str, name: str) -> Task:
    """Return the task that `name` describes, WORD?option=value&… or, in a family, WORD:PATH?option=value&….

    In the name of the task the path is absolute and the options have the order of the function. Raises TaskError if the
    path is missing, or if an option is unknown or given twice.
    """
    path, options = _parameters(word)
    place, _, query = name.removeprefix(word).partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    given = {option: unquote(value) for option, _, value in pairs}
    no_place = len(place) < 2 if path else bool(place)
    if no_place or not given.keys() <= set(options) or len(given) < len(pairs):
        raise TaskError(f"task {word} must be written {usage(word)}, but got {name!r}")
    arguments = [user_path(place[1:], word)] if path else []
    query = "&".join("".join(pair) for pair in sorted(pairs, key=lambda pair: options.index(pair[0])))
    full = ":".join([word, *map(str, arguments)]) + (f"?{query}" if query else "")
    return replace(TASKS[word](*arguments, **given), name=full)
