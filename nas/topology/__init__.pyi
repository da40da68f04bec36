from . import references as references
from .block import Block as Block
from .block import Head as Head
from .block import Skip as Skip
from .block import Stem as Stem
from .topology import Topology as Topology
