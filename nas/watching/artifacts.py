"""The files that people attach to studies and trials in the dashboard: in the folder artifacts/ of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound


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
        for folder in self.folders():
            try:
                return FileSystemArtifactStore(folder).open_reader(artifact_id)
            except ArtifactNotFound:
                continue
        raise ArtifactNotFound("not found")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a new file."""
        folder = self.home()
        folder.mkdir(exist_ok=True)
        FileSystemArtifactStore(folder).write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Remove the file from the folder that has it. Raises ArtifactNotFound if none has it."""
        for folder in self.folders():
            try:
                return FileSystemArtifactStore(folder).remove(artifact_id)
            except ArtifactNotFound:
                continue
        raise ArtifactNotFound("not found")
