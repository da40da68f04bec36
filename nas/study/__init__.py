"""The durable record of a search: its folder and its Optuna study, and what both of them say."""

from nas.study.run import Run

__all__ = ["Run"]
