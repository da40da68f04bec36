"""Import a function of the user, `path/to/file.py:function` or `package.module:function`, and make its task.

The two forms are the location of a function. Importing a module runs its code: name only code that you trust. A task is
sent to other processes as the location of its function, and is made again there.
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

from nas.errors import NasError, TaskError, expected, message_of
from nas.files import is_file
from nas.tasks.checking import check_splits
from nas.tasks.here import here
from nas.tasks.splits import Splits
from nas.tasks.task import Task


def make_task(location: str, folder: Path | None = None) -> Task:
    """Return the task that the function at `location` returns, with its absolute location as its name.

    Files are relative to `folder` (None: the current one), and modules are looked for there too. Raises TaskError, one
    line that says what is missing or wrong: the file, the module, the function, or a fact of the task.
    """
    folder = folder or here()
    location, function = find(location, folder)
    with _errors_in_one_line(location):
        made = function()
    if not isinstance(made, Task):
        raise TaskError(f"{location} must return a nas.Task, but returned {_shown(made)}")
    return replace(made, name=location, load=functools.partial(_load, location, folder))


def find(location: str, folder: Path | None = None) -> tuple[str, Callable[..., Any]]:
    """Import the function at `location`; return its absolute location and the function. Raises TaskError."""
    folder = folder or here()
    location = absolute(location, folder)
    place, _, name = location.rpartition(":")
    return location, _function(place, name, location, folder)


def absolute(location: str, folder: Path | None = None) -> str:
    """Return the location with the absolute path of its file, and import nothing. Raises TaskError if it is none."""
    place, _, name = location.rpartition(":")
    if not place or not name:
        raise TaskError(f"a function must be written FILE.py:FUNCTION or package.module:function, but got {location!r}")
    return f"{(folder or here()) / place if place.endswith('.py') else place}:{name}"


def _load(location: str, folder: Path) -> Splits:
    """Make the task again, load its data, and return it after a check that it agrees with the facts of the task."""
    place, _, name = location.rpartition(":")
    with _errors_in_one_line(location):
        made = _function(place, name, location, folder)()
        splits = made.load()
    if not isinstance(splits, Splits):
        raise TaskError(f"load of {location} must return nas.tasks.Splits, but returned {_shown(splits)}")
    return check_splits(splits, replace(made, name=location))


def _function(place: str, name: str, location: str, folder: Path) -> Callable[..., Any]:
    """Import the file or the module `place` and return its function `name`."""
    module = _file(Path(place), location) if place.endswith(".py") else _module(place, location, folder)
    if not hasattr(module, name):
        public = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        raise TaskError(f"task {location}: {expected('the function', name, public)}")
    function: Callable[..., Any] = getattr(module, name)
    return function


def _file(path: Path, location: str) -> ModuleType:
    """Return the file as a module, imported once in a process unless its content changes."""
    if not is_file(path):
        raise TaskError(f"task {location}: there is no file {path}")
    try:
        word = f"nas_task_{hashlib.sha256(bytes(path.resolve()) + path.read_bytes()).hexdigest()[:16]}"
    except OSError as error:
        raise TaskError(f"task {location}: {path} cannot be read: {error.strerror}") from None
    if word not in sys.modules:
        found = importlib.util.spec_from_file_location(word, path)
        assert found is not None and found.loader is not None  # because the path ends in .py
        module = sys.modules[word] = importlib.util.module_from_spec(found)
        try:
            with _errors_in_one_line(location):
                found.loader.exec_module(module)
        except NasError:
            del sys.modules[word]
            raise
    return sys.modules[word]


def _module(word: str, location: str, folder: Path) -> ModuleType:
    """Import the module `word` from Python's path or from `folder`."""
    sys.path.insert(0, str(folder))
    try:
        with _errors_in_one_line(location):
            return importlib.import_module(word)
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _errors_in_one_line(location: str) -> Iterator[None]:
    """Convert every exception of the user's code into a TaskError of one line with the location, file and line."""
    try:
        yield
    except NasError as error:
        raise TaskError(f"task {location}: {error}") from None
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything
        message = message_of(error)
        lines = [line for line in traceback.extract_tb(error.__traceback__) if _is_users(Path(line.filename))]
        where = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
        raise TaskError(f"task {location}: {type(error).__name__}: {message}{where}") from None


def _is_users(path: Path) -> bool:
    """Return whether a line of a traceback is in a file of the user, neither here nor in Python's import system."""
    return path.is_file() and path != Path(__file__) and "importlib" not in path.parts


def _shown(value: object) -> str:
    return f"the {type(value).__name__} {value!r}"[:100]
