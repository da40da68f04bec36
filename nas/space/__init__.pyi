from .settings import OBJECTIVES as OBJECTIVES
from .settings import PRICED as PRICED
from .space import SearchSpace as SearchSpace
from .space import Trial as Trial
from .space import available as available
