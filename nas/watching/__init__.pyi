from .boards import Board as Board
from .publisher import attach_best as attach_best
from .server import bind as bind
from .server import serve as serve
