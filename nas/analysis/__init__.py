"""Results of a search for people: leaderboard, Pareto front, diagrams, report. It reads the study, never torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
