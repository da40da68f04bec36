from .cost import measure as measure
from .errors import NasError as NasError
from .export import export_code as export_code
from .network import build as build
from .sampling import TopologySampler as TopologySampler
from .searching import confirm as confirm
from .searching import search as search
from .space import SearchSpace as SearchSpace
from .study import Run as Run
from .tasks import Task as Task
from .topology import Block as Block
from .topology import Head as Head
from .topology import Skip as Skip
from .topology import Stem as Stem
from .topology import Topology as Topology
from .topology import references as references

__version__: str
