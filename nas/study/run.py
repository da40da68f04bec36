"""Run: one search, with its folder and its Optuna study.

    runs/<name>/
      run.yaml      the resolved space with its task, recipe and search settings; versions, seed, git commit
      study.db      the Optuna storage, unless run.yaml names another
      weights/      <trial>.safetensors of the leaders
      journal/      results that could not be written into the storage, until the run is resumed (nas.study.journal)
      checkpoints/  of the trials that are being trained (nas.study.checkpoints)
      artifacts/    the pictures of trials and the best network, for the Optuna dashboard (nas.watching.publisher)
      confirm/      <trial>.safetensors of a confirmation (nas.study.confirmation)

The study is the only record of the trials (see nas.study.attributes).
"""

from __future__ import annotations

import contextlib
import difflib
import math
import shutil
import signal
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas import tasks
from nas.errors import DamagedRecord, NasError, RunError, TaskError, quoted
from nas.files import is_file
from nas.space import SearchSpace
from nas.study.attributes import KEY, REUSED, SAVED, TOPOLOGY, recorded, value_of, was_trained
from nas.study.description import describe_study
from nas.study.folder import ROOT, locked, new_config, new_folder, read_config, write_config
from nas.study.reader import StudyReader
from nas.study.storage import open_storage, sqlite_url
from nas.study.storage_url import complete, same_storage, written
from nas.tasks import Task
from nas.tasks.facts import task_of
from nas.tasks.registry import is_function
from nas.topology import Topology

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

    from nas.study.leaders import Standing


class Run:
    """One search: its folder, and its Optuna study.

    path         the folder
    interrupted  the signal that stopped the last search of the run in this process; None if none did
    """

    interrupted: signal.Signals | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._login: str | None = None  # the URL of the storage with its password, where that was given

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The name of the run, which is that of its folder."""
        return self.path.resolve().name

    # ------------------------------------------------------------------------------------- create, open, list

    @classmethod
    def create(
        cls,
        space: SearchSpace,
        name: str | None = None,
        root: Path | str = ROOT,
        storage: str | None = None,
    ) -> Run:
        """Create a run of `space` in the folder `root/<name>`.

        name     letters, digits, '.', '_' and '-'; the default is the name of the space and the time
        storage  the URL of an Optuna storage (postgresql://…, mysql://…) for a team; the default is study.db in the
                 folder

        Raises RunError if the name is taken or not valid, or if the storage cannot be opened.
        """
        run = cls(new_folder(Path(root), name, space))
        try:
            run.weights_folder.mkdir()
            run._create_study(space, storage)
            write_config(run.path / "run.yaml", new_config(run.name, space, storage and written(storage)))
            run._login = storage and complete(storage)
            describe_study(run)
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return run

    @classmethod
    def open(cls, name: str | Path | None = None, root: Path | str = ROOT) -> Run:
        """Return the run of that name or in that folder; None is the latest run. Raises RunError if there is none."""
        if name is None:
            runs = cls.list(root)
            if not runs:
                raise RunError(f"there is no run in {root}")
            return runs[-1]
        for path in (Path(root) / name, Path(name)):
            if is_file(path / "run.yaml"):
                return cls(path)
        close = difflib.get_close_matches(str(name), [run.name for run in cls.list(root)], n=1)
        raise RunError(
            f"there is no run {quoted(str(name))} in {root}" + (f" (did you mean {close[0]!r}?)" if close else "")
        )

    @classmethod
    def list(cls, root: Path | str = ROOT) -> Sequence[Run]:
        """Return all runs in `root`, the oldest first."""
        runs = [cls(path.parent) for path in Path(root).glob("*/run.yaml")]
        return sorted(runs, key=lambda run: (run.created, run.name))

    # ---------------------------------------------------------------------------------------------- the folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of run.yaml. Raises RunError if it cannot be read."""
        return read_config(self.path / "run.yaml")

    @property
    def created(self) -> str:
        """The time at which the run was created, in ISO 8601; empty if run.yaml cannot be read."""
        with contextlib.suppress(RunError):
            return str(self.config.get("created", ""))
        return ""

    @cached_property
    def space(self) -> SearchSpace:
        """The search space, as it was resolved when the run was created.

        Nothing that run.yaml names is imported or read until the data of the task is loaded, in order to train. Raises
        RunError if run.yaml is damaged.
        """
        try:
            return SearchSpace.from_dict(self.config["space"], get_task=self._recorded_task)
        except NasError as error:
            raise RunError(f"{self.path / 'run.yaml'}: space: {error}") from None

    def _recorded_task(self, name: str) -> Task:
        """Return the task of the run, from its recorded facts."""
        facts = self.config.get("task")
        if facts is None and is_function(name):
            raise TaskError(f"the facts of {name} are not on record: add task: {{input: [1, 8, 8], outputs: 10, …}}")
        return tasks.get(name) if facts is None else task_of(name, facts)

    def update(self, space: SearchSpace) -> None:
        """Replace the search space by the same space with other search settings, in run.yaml too."""
        if space.to_dict() != self.config["space"]:
            self.config["space"] = space.to_dict()
            write_config(self.path / "run.yaml", self.config)
        self.space = space
        describe_study(self)

    @property
    def weights_folder(self) -> Path:
        """The folder of the weights."""
        return self.path / "weights"

    @property
    def journal_folder(self) -> Path:
        """The folder of the results that are not in the storage yet; it need not exist."""
        return self.path / "journal"

    @property
    def checkpoints_folder(self) -> Path:
        """The folder of the checkpoints, which exists while there are any."""
        return self.path / "checkpoints"

    def weights(self, number: int) -> Path | None:
        """Return the file with the weights of a trial; None if they were not kept. Those of the leaders are kept."""
        path = self.weights_folder / f"{number}.safetensors"
        return path if path.is_file() else None

    def lock(self, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        """Return a context in which no other process of this machine works in the folder of the run.

        shared  whether others that share it may be in it too

        Entering it raises RunError if another process is in it. It also ends when the process dies. Who searches the
        study, on whatever machine, is told by its lease (nas.study.lease).
        """
        return locked(self.path, self.name, shared)

    # ----------------------------------------------------------------------------------------------- the study

    @property
    def storage_url(self) -> str:
        """The URL of the Optuna storage, as `optuna --storage` and `optuna-dashboard` take it.

        run.yaml holds no password: it comes from the environment (nas.study.storage_url), or from `log_in`.
        """
        return self._login or complete(str(self.config.get("storage") or sqlite_url(self.path)))

    def log_in(self, url: str) -> None:
        """Take the password of the storage from its URL. Raises RunError if that is the URL of another storage."""
        if not same_storage(url, self.storage_url):
            raise RunError(f"run {self.name!r} has its storage already: storage is only for a new run")
        self._login = complete(url)

    @property
    def study_name(self) -> str:
        """The name of the study: that with which the run was created, even if its folder was renamed."""
        return str(self.config.get("name", self.name))

    @cached_property
    def reader(self) -> StudyReader:
        """The reader of the study, by which everything looks at it that does not search."""
        stored = self.config.get("storage")
        place = self.path / "study.db" if stored is None else self._login or str(stored)
        return StudyReader(place, self.study_name, f"run {self.name!r}")

    @cached_property
    def storage(self) -> RDBStorage:
        """The Optuna storage, to search: opening it may write. Raises RunError if it cannot be opened."""
        if self.config.get("storage") is None and not (self.path / "study.db").is_file():
            raise RunError(f"the study of run {self.name!r} is lost: there is no {self.path / 'study.db'}")
        return open_storage(self.storage_url)

    @cached_property
    def study(self) -> Study:
        """The Optuna study, to search. Raises RunError if the storage holds none of its name."""
        import optuna

        try:
            return optuna.load_study(study_name=self.study_name, storage=self.storage)
        except KeyError:
            raise RunError(f"the storage of run {self.name!r} holds no study {self.study_name!r}") from None

    def _create_study(self, space: SearchSpace, storage: str | None) -> None:
        import optuna

        self.storage = open_storage(storage or sqlite_url(self.path))
        try:
            optuna.create_study(study_name=self.name, storage=self.storage, directions=space.goals.directions)
        except optuna.exceptions.DuplicatedStudyError:
            raise RunError(f"the storage holds a study {self.name!r} already: choose another name") from None

    def trial(self, number: int) -> FrozenTrial:
        """Return the trial of that number, with its record. Raises RunError if the study has none."""
        with warnings.catch_warnings(action="ignore", category=DamagedRecord):  # that others are damaged is no matter
            trials = self.reader.records()
        for trial in trials:
            if trial.number == number:
                return trial
        for damaged in self.reader.damaged:
            if damaged.name == f"trial {number}":
                raise RunError(f"trial {number} of run {self.name!r} is damaged: {damaged.reason}")
        raise RunError(f"run {self.name!r} has no trial {number}: it has {len(trials)}")

    def number(self, key: str) -> int:
        """Return the number of the trial whose topology has a canonical key that begins with `key`.

        Of several trials of that topology it is one that was trained. Raises RunError if no key, or more than one,
        begins so.
        """
        found: dict[str, int] = {}
        for trial in sorted(self.reader.records(), key=lambda trial: not was_trained(trial)):
            whole = recorded(trial).get(KEY)
            if isinstance(whole, str) and key and whole.startswith(key.lower()):
                found.setdefault(whole, trial.number)
        if len(found) != 1:
            shown = f"{len(found)}: {', '.join(sorted(found)[:3])}, …" if found else "none"
            raise RunError(f"one key of run {self.name!r} must begin with {key[:40]!r}, but got {shown}")
        return next(iter(found.values()))

    def topology(self, number: int) -> Topology:
        """Return the topology of a trial. Raises RunError if there is no such trial, or if it has no topology."""
        data = recorded(self.trial(number)).get(TOPOLOGY)
        if data is None:
            raise RunError(f"trial {number} of run {self.name!r} has no topology")
        return Topology.from_dict(data)

    @property
    def winner(self) -> int | None:
        """The number of the recommended trial, the best in the order of `winner_rank`; None if no trial is COMPLETE.

        Where topologies were evaluated with several seeds, what is expected of the metric counts and not the luckiest
        value (nas.study.leaders.Standing); of the trials of a topology it is the first whose weights were kept.
        """
        numbers = [score.number for score in self.standing().best]
        return min(numbers, key=lambda number: (self.weights(number) is None, number), default=None)

    def standing(self) -> Standing:
        """Return how the topologies of all COMPLETE trials that have the metric compare."""
        from optuna.trial import TrialState

        from nas.study.leaders import TopologyScores, TrialScore

        done = [trial for trial in self.reader.records() if trial.state == TrialState.COMPLETE]
        goals = self.space.goals
        if any(len(trial.values) != len(goals.objectives) for trial in done):
            raise RunError(f"run {self.name!r}: its study has other objectives than its run.yaml")
        known = [(trial, recorded(trial)) for trial in done]
        scores = TopologyScores(
            TrialScore.of(self.space, trial.number, trial.values, record)
            for trial, record in known
            if math.isfinite(value_of(goals.target, record))
        )
        return scores.standing

    @property
    def saved(self) -> int:
        """The number of trainings that were saved by a known result: proposals of topologies that had been trained in
        this run, and results that were taken from other runs.
        """
        return sum(known.get(SAVED, 0) + (REUSED in known) for known in map(recorded, self.reader.records()))

    def best(self) -> Topology | None:
        """Return the topology of the winner; None if no trial is COMPLETE."""
        return None if (number := self.winner) is None else self.topology(number)

    def frame(self) -> pd.DataFrame:
        """Return a data frame with one row for each trial.

        Columns: trial, state, reason, baseline, key, line, the task's metric, every cost of nas.space.objectives
        (params, memory [bytes], flops (per sample), latency [s], seconds), every objective that the space declares,
        epochs, seed, started, ended, reused (RUN/TRIAL whose result was taken), curve, topology, proxies. A missing
        value is None or NaN.
        """
        from nas.study.frame import frame_of

        return frame_of(self.reader.records(), self.space.goals)
