from .for_task import depends_on_seed as depends_on_seed
from .for_task import evaluator as evaluator
