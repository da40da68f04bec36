"""The Optuna dashboard of one run, or of all runs in a folder, as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage

from nas.errors import RunError
from nas.study import Run
from nas.study.folder import ROOT
from nas.watching import compat
from nas.watching.artifacts import FolderArtifacts
from nas.watching.identifiers import split
from nas.watching.refusal import Rule, no_new_studies, only_reads, refusing
from nas.watching.storages import ARTIFACTS, Storages, storage_of
from nas.watching.union import UnionStorage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

uploading: ContextVar[int] = ContextVar("uploading")  # the study for which a request brings or removes a file


@dataclass(frozen=True)
class Board:
    """The studies and files that a dashboard shows, and what it refuses.

    title      of what it is the dashboard
    path       of its first page
    storage    the storage with the studies
    artifacts  the store of the files
    rules      what it refuses
    """

    title: str
    path: str
    storage: BaseStorage
    artifacts: FolderArtifacts
    rules: Sequence[Rule] = ()

    @classmethod
    def of_run(cls, run: Run, read_only: bool = False) -> Board:
        """Return the dashboard of a run. Raises RunError if its study is missing or cannot be read."""
        storage = storage_of(run, read_only)
        try:
            study = storage.get_study_id_from_name(run.study_name)
        except KeyError:
            raise RunError(f"the storage of run {run.name!r} holds no study {run.study_name!r}") from None
        except StorageInternalError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise RunError(f"the study of run {run.name!r} cannot be read: {reason}") from None
        folder = run.path / ARTIFACTS
        artifacts = FolderArtifacts(lambda: [folder], lambda: folder)
        return cls(run.name, f"/dashboard/studies/{study}", storage, artifacts, (only_reads,) if read_only else ())

    @classmethod
    def of_all(
        cls, report: Callable[[str], None], run: Run | None = None, read_only: bool = False, root: Path | str = ROOT
    ) -> Board:
        """Return the dashboard of all runs in `root`; its first page is the list of studies, or the study of `run`.

        report  is told, in one line, of each run that is left out

        Raises RunError if there is no run that can be read.
        """
        storages = Storages(Path(root), read_only, report)
        if not list(storages):
            raise RunError(f"there is no run in {root} that can be shown")
        storage = UnionStorage(storages)
        study = storage.identifier(storages.holding(run), run.study_name) if run else None
        path = "/dashboard" if study is None else f"/dashboard/studies/{study}"
        artifacts = FolderArtifacts(lambda: _folders(storages), lambda: _folder_of(storages, uploading.get()))
        rules = (only_reads,) if read_only else (no_new_studies,)
        return cls(f"all runs in {root}", path, storage, artifacts, rules)

    def app(self) -> WSGIApplication:
        """Return the WSGI application."""
        import optuna_dashboard

        compat.speed_up_dashboard()
        made = cast("WSGIApplication", optuna_dashboard.wsgi(self.storage, artifact_store=self.artifacts))
        return refusing(_naming_the_study(made), *self.rules)


def _folders(storages: Storages) -> Iterable[Path]:
    """Yield the folders of all runs in which there may be files."""
    return (run.path / ARTIFACTS for one in storages for run in one.runs)


def _folder_of(storages: Storages, study: int) -> Path:
    """Return the folder for the files of a study."""
    slot, local = split(study)
    return storages.at(slot).run_of(local).path / ARTIFACTS


def _naming_the_study(app: WSGIApplication) -> WSGIApplication:
    """Return the application with a layer that keeps the study of an upload, which an artifact store is not told."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if found := compat.TAKES_A_FILE.match(environ.get("PATH_INFO", "")):
            uploading.set(int(found[1]))
        return app(environ, start_response)

    return answer
