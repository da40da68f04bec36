"""The search itself, from a space to a finished run. The only wing that imports ray."""

from nas.searching.driver import search

__all__ = ["search"]
