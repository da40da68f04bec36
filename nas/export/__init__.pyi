from .card import ModelCard as ModelCard
from .reading import read_topology as read_topology
from .runs import export_run as export_run
from .verification import verify as verify
from .verification import verify_all as verify_all
from .write import export_code as export_code
from .write import export_topology as export_topology
