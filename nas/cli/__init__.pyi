from .entry_point import app as app
from .entry_point import main as main
