"""The checkpoints of the trials that are being trained: `checkpoints/<trial>.checkpoint` in the folder of a run.

A file is two lines, the second of them JSON, and then the bytes with which an evaluator goes on. Whatever is in a file
can be read safely: it is bounded, nothing of it is run, and what does not fit is as good as no file.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.files import write_whole
from nas.study.plain import as_json

SUFFIX = ".checkpoint"
FIRST_LINE = b"skipnas checkpoint 1"
LARGEST = 2**31  # bytes of a file
LEFT_FREE = 2**28  # bytes that checkpoints leave free on their disk


class TrainedEpochs(BaseModel):
    """The epochs of a training so far.

    curve  the record of every epoch, as JSON has it: {epoch, <metric>, …}
    busy   seconds that the slot was busy with them
    bytes  how long the content is that follows
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    curve: list[dict[str, Any]] = Field(min_length=1)
    busy: float = Field(ge=0, allow_inf_nan=False)
    bytes: int


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    curve    the record of every epoch so far: {epoch, <metric>, …}
    busy     seconds that its slot was busy with them
    content  the bytes with which its evaluator goes on
    """

    curve: list[dict[str, Any]]
    busy: float
    content: bytes

    def to_bytes(self) -> bytes:
        """Return the content of its file."""
        known = TrainedEpochs(curve=as_json(self.curve), busy=self.busy, bytes=len(self.content))
        return b"\n".join((FIRST_LINE, json.dumps(known.model_dump()).encode(), self.content))

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint | None:
        """Return what a file holds; None if it is no whole checkpoint."""
        first, _, rest = content.partition(b"\n")
        line, _, content = rest.partition(b"\n")
        if first != FIRST_LINE:
            return None
        try:
            known = TrainedEpochs.model_validate(json.loads(line))
        except (ValidationError, ValueError, RecursionError):
            return None
        epochs = [record.get("epoch") for record in known.curve]
        if known.bytes != len(content) or epochs != [*range(1, len(epochs) + 1)]:
            return None
        return cls(known.curve, known.busy, content)


class CheckpointFolder:
    """A file for each trial that is being trained and has a checkpoint, which takes the place of the one before.

    path  the folder; it exists while it holds a file
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, number: int, checkpoint: Checkpoint) -> str | None:
        """Write the checkpoint of a trial, whole or not at all. Return None, or why there can be no more of them.

        One of more than LARGEST bytes is left out.
        """
        content = checkpoint.to_bytes()
        if len(content) > LARGEST:
            return None
        try:
            self.path.mkdir(exist_ok=True)
            if shutil.disk_usage(self.path).free < len(content) + LEFT_FREE:
                return f"the disk of {self.path} is full"
            write_whole(self._file(number), content)
        except OSError as error:
            return f"{self.path} cannot be written: {error.strerror}"
        return None

    def read(self, number: int) -> Checkpoint | None:
        """Return the checkpoint of a trial; None if there is none, or none that can be read."""
        path = self._file(number)
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                return None
            return Checkpoint.from_bytes(path.read_bytes())
        except (OSError, MemoryError):
            return None

    def drop(self, number: int) -> None:
        """Delete the checkpoint of a trial, if there is one."""
        self._delete(lambda one: one == number)

    def keep_only(self, numbers: Collection[int]) -> None:
        """Delete all checkpoints but those of these trials."""
        self._delete(lambda one: one not in numbers)

    def _file(self, number: int) -> Path:
        return self.path / f"{number}{SUFFIX}"

    def _delete(self, goes: Callable[[int], bool]) -> None:
        """Delete the checkpoints of some trials, and what killed processes left of theirs half written."""
        with contextlib.suppress(OSError):
            for path in self.path.iterdir():
                number = path.name.removeprefix(".").partition(SUFFIX)[0]
                if SUFFIX in path.name and number.isdecimal() and goes(int(number)):
                    path.unlink(missing_ok=True)
            self.path.rmdir()  # fails while it holds another file
