"""The command line as a person uses it: `nas(words…)` and what it gives, a small space, and the form of a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TINY = """
task: digits
network:
  stem: {op: conv3x3, width: 4}
  stages:
    - {blocks: 3, op: conv, width: 4}
  head: classify
skips: {kinds: [none, add, concat, gate, long]}
train: {epochs: 1}
search: {trials: 2, objectives: [accuracy, params, memory], baselines: [plain, resnet]}
"""


@dataclass
class Done:
    """A command that has ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


Nas = Callable[..., Done]


def check_mistake(done: Done, message: str) -> None:
    """A mistake of the user is one line on stderr and exit code 2."""
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
