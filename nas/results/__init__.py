"""Metrics that come from a table of results or from the user's own function, instead of a training. No torch."""

from nas.results.for_task import evaluator

__all__ = ["evaluator"]
