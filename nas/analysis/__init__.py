"""What a search found: leaderboard, Pareto front, diagrams, report. Reads the study, never torch.

The names are imported when they are first used: `nas show` needs neither pandas nor a template.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
