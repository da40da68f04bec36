from .evaluate import Evaluator as Evaluator
