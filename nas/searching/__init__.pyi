from .confirmation import confirm as confirm
from .driver import search as search
