"""One candidate from its topology to its metrics: data, augmentation, optimiser, precision, and the loop over steps."""

from nas.training.evaluate import Evaluator

__all__ = ["Evaluator"]
