"""Tasks: a task is the data, the loss, the metric and the recipe by which candidates are trained and evaluated.

`get` makes a task by its name; its facts cost little, and its data is loaded when a candidate needs it. A new task is
one new file in nas/tasks/families.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
