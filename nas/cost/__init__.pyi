from .cost import Cost as Cost
from .cost import itemise as itemise
from .cost import measure as measure
from .cost import predict as predict
