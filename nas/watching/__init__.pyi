from .boards import Board as Board
from .server import bind as bind
from .server import serve as serve
