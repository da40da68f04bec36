from .network import Network as Network
from .network import build as build
