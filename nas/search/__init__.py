"""The search: the only place that imports Ray. `nas.search(space)` is nas.search.driver.search."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nas.search import environment

if TYPE_CHECKING:
    from nas.search.driver import search as search
    from nas.study import Run

__all__ = ["search"]

environment.prepare()


class _Callable(ModuleType):
    """A package and the function in it have one name: `nas.search` is both."""

    def __call__(self, *arguments: Any, **options: Any) -> Run:
        from nas.search.driver import search

        return search(*arguments, **options)


def __getattr__(name: str) -> Any:
    if name == "search":
        from nas.search.driver import search

        return search
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Callable
