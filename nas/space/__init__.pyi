from .objectives import OBJECTIVES as OBJECTIVES
from .objectives import Goals as Goals
from .objectives import Objective as Objective
from .space import SearchSpace as SearchSpace
from .space import Trial as Trial
from .space import available as available
