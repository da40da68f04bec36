"""A task of one's own: `package.module:function` or `path/to/file.py:function`, which returns a Task.

The module is imported, so that what it does when it is imported is done: name only code that you trust. A task
travels to other processes by its name, and is made again there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.errors import NasError, TaskError, expected
from nas.tasks.splits import Splits
from nas.tasks.task import Task, checked


def task(reference: str, folder: Path | None = None) -> Task:
    """The task that the function gives; modules are looked for in `folder` (by default this one) too.

    Raises TaskError of one line that says what is missing: the file, the module, the function, or part of the task.
    """
    folder = folder or Path.cwd()
    reference, function = named(reference, folder)
    with _located(reference):
        made = function()
    if not isinstance(made, Task):
        raise TaskError(f"{reference} must return a nas.Task, but returned {_kind(made)}")
    return replace(made, name=reference, load=functools.partial(_load, reference, folder))


def named(reference: str, folder: Path | None = None) -> tuple[str, Callable[..., Any]]:
    """The function that a reference means, and the same reference with an absolute path. Raises TaskError."""
    folder = folder or Path.cwd()
    reference = absolute(reference, folder)
    place, _, name = reference.rpartition(":")
    return reference, _function(place, name, reference, folder)


def absolute(reference: str, folder: Path | None = None) -> str:
    """The reference, the path of its file from the root. Raises TaskError where it is no reference."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise TaskError(
            f"a function must be written FILE.py:FUNCTION or package.module:function, but got {reference!r}"
        )
    return f"{(folder or Path.cwd()) / place if place.endswith('.py') else place}:{name}"


def _load(reference: str, folder: Path) -> Splits:
    """The data of the task that the function gives, if it is what the task says."""
    place, _, name = reference.rpartition(":")
    with _located(reference):
        made = _function(place, name, reference, folder)()
        splits = made.load()
    if not isinstance(splits, Splits):
        raise TaskError(f"load of {reference} must return nas.tasks.Splits, but returned {_kind(splits)}")
    return checked(splits, replace(made, name=reference))


def _function(place: str, name: str, reference: str, folder: Path) -> Callable[..., Any]:
    module = _file(Path(place), reference) if place.endswith(".py") else _module(place, reference, folder)
    if not hasattr(module, name):
        public = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        raise TaskError(f"task {reference}: {expected('the function', name, public)}")
    function: Callable[..., Any] = getattr(module, name)
    return function


def _file(path: Path, reference: str) -> ModuleType:
    """The file as a module, imported once a process and version."""
    if not path.is_file():
        raise TaskError(f"task {reference}: there is no file {path}")
    word = f"nas_task_{hashlib.sha256(bytes(path.resolve()) + path.read_bytes()).hexdigest()[:16]}"
    if word not in sys.modules:
        found = importlib.util.spec_from_file_location(word, path)
        assert found is not None and found.loader is not None  # it ends in .py
        module = sys.modules[word] = importlib.util.module_from_spec(found)
        try:
            with _located(reference):
                found.loader.exec_module(module)
        except NasError:
            del sys.modules[word]
            raise
    return sys.modules[word]


def _module(word: str, reference: str, folder: Path) -> ModuleType:
    sys.path.insert(0, str(folder))
    try:
        with _located(reference):
            return importlib.import_module(word)
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _located(reference: str) -> Iterator[None]:
    """Whatever the user's code raises becomes one line that says where."""
    try:
        yield
    except NasError as error:
        raise TaskError(f"task {reference}: {error}") from None
    except Exception as error:  # noqa: BLE001  # it is not our code
        said = " ".join(str(error).split())[:300]
        lines = [line for line in traceback.extract_tb(error.__traceback__) if _is_theirs(Path(line.filename))]
        where = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
        raise TaskError(f"task {reference}: {type(error).__name__}: {said}{where}") from None


def _is_theirs(path: Path) -> bool:
    return path.is_file() and path != Path(__file__) and "importlib" not in path.parts


def _kind(value: object) -> str:
    return f"the {type(value).__name__} {value!r}"[:100]
