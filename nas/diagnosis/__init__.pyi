from .measured import Diagnosis as Diagnosis
from .measured import diagnose as diagnose
