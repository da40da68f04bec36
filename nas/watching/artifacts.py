"""The files of studies and trials, in artifacts/ of the run: what a search publishes, and what people attach."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, TypeVar

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

T = TypeVar("T")


class FolderArtifacts:
    """An artifact store of Optuna over the folders of several runs; a folder is created with its first file.

    folders  returns the folders in which a file may be
    home     returns the folder that a new file belongs to
    """

    def __init__(self, folders: Callable[[], Iterable[Path]], home: Callable[[], Path]) -> None:
        self.folders = folders
        self.home = home

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return the open file. Raises ArtifactNotFound if no folder has it."""
        return self._first(lambda store: store.open_reader(artifact_id))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a new file."""
        folder = self.home()
        folder.mkdir(exist_ok=True)
        FileSystemArtifactStore(folder).write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove the file from the folder that has it. Raises ArtifactNotFound if none has it."""
        self._first(lambda store: store.remove(artifact_id))

    def _first(self, act: Callable[[FileSystemArtifactStore], T]) -> T:
        """Return act(store) of the first folder that has the file that it is about."""
        for folder in self.folders():
            with contextlib.suppress(ArtifactNotFound):
                return act(FileSystemArtifactStore(folder))
        raise ArtifactNotFound("not found")
