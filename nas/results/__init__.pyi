from .for_task import evaluator as evaluator
