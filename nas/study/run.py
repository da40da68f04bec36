"""Run: one search and everything it left. The record is an Optuna study; the rest of the folder follows from it.

    runs/<name>/
      run.yaml      the resolved space with its task, recipe and search settings; versions, seed, git commit
      study.db      the Optuna storage, unless run.yaml names another
      weights/      <trial>.safetensors of the leaders

What its trials mean says nas.study.attributes.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import RunError
from nas.space import SearchSpace
from nas.study.attributes import KEY, METRICS, REUSED, SAVED, TOPOLOGY, counts, mean, number, standing
from nas.study.folder import ROOT, locked, new_config, new_folder, read_config, write_config
from nas.study.storage import open_storage, sqlite_url
from nas.topology import Topology

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial


class Run:
    """A search's folder and its record.

    path     the folder; its last part is the `name`
    config   run.yaml
    space    the search space, as it was resolved when the run began
    study    the Optuna study
    interrupted   did somebody stop its last search in this process?
    """

    interrupted = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
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
        """A new run of `space` in `root/<name>`; the name defaults to that of the space and the time.

        storage: the URL of an Optuna storage (postgresql://…, mysql://…) for a team; the default is study.db in
        the folder. Raises RunError where the name is taken or is no plain name.
        """
        run = cls(new_folder(Path(root), name, space))
        try:
            run.weights_folder.mkdir()
            run._create_study(space, storage)
            write_config(run.path / "run.yaml", new_config(run.name, space, storage))
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return run

    @classmethod
    def open(cls, name: str | Path | None = None, root: Path | str = ROOT) -> Run:
        """The run of that name or in that folder; None is the latest. Raises RunError where there is none."""
        if name is None:
            runs = cls.list(root)
            if not runs:
                raise RunError(f"there is no run in {root}")
            return runs[-1]
        for path in (Path(root) / name, Path(name)):
            if (path / "run.yaml").is_file():
                return cls(path)
        close = difflib.get_close_matches(str(name), [run.name for run in cls.list(root)], n=1)
        raise RunError(f"there is no run {str(name)!r} in {root}" + (f" (did you mean {close[0]!r}?)" if close else ""))

    @classmethod
    def list(cls, root: Path | str = ROOT) -> Sequence[Run]:
        """Every run in `root`, the oldest first."""
        runs = [cls(path.parent) for path in Path(root).glob("*/run.yaml")]
        return sorted(runs, key=lambda run: (run.created, run.name))

    # ---------------------------------------------------------------------------------------------- the folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """run.yaml. Raises RunError where it cannot be read."""
        return read_config(self.path / "run.yaml")

    @property
    def created(self) -> str:
        """When the run began, in ISO 8601."""
        with contextlib.suppress(RunError):
            return str(self.config.get("created", ""))
        return ""

    @cached_property
    def space(self) -> SearchSpace:
        return SearchSpace.from_dict(self.config["space"])

    def update(self, space: SearchSpace) -> None:
        """From now on the run searches `space`: the same, with other search settings."""
        if space.to_dict() != self.config["space"]:
            self.config["space"] = space.to_dict()
            write_config(self.path / "run.yaml", self.config)
        self.space = space

    @property
    def weights_folder(self) -> Path:
        return self.path / "weights"

    def weights(self, number: int) -> Path | None:
        """The weights of a trial, where they were kept: those of the leaders are."""
        path = self.weights_folder / f"{number}.safetensors"
        return path if path.is_file() else None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Raises RunError where another process of this machine searches the run. Ends with the process, however."""
        return locked(self.path, self.name)

    # ---------------------------------------------------------------------------------------------- the record

    @property
    def storage_url(self) -> str:
        """The Optuna storage, as `optuna --storage` and `optuna-dashboard` take it."""
        return self.config.get("storage") or sqlite_url(self.path)

    @property
    def study_name(self) -> str:
        """In the storage: the name that the run was made with, whatever its folder is called now."""
        return str(self.config.get("name", self.name))

    @cached_property
    def storage(self) -> RDBStorage:
        """The Optuna storage, open. Raises RunError."""
        if self.config.get("storage") is None and not (self.path / "study.db").is_file():
            raise RunError(f"the record of run {self.name!r} is gone: there is no {self.path / 'study.db'}")
        return open_storage(self.storage_url)

    @cached_property
    def study(self) -> Study:
        import optuna

        try:
            return optuna.load_study(study_name=self.study_name, storage=self.storage)
        except KeyError:
            raise RunError(f"the storage of run {self.name!r} holds no study {self.study_name!r}") from None

    def _create_study(self, space: SearchSpace, storage: str | None) -> None:
        import optuna

        url = storage or sqlite_url(self.path)
        try:
            optuna.create_study(study_name=self.name, storage=open_storage(url), directions=space.goals.directions)
        except optuna.exceptions.DuplicatedStudyError:
            raise RunError(f"the storage holds a study {self.name!r} already: choose another name") from None

    def trial(self, number: int) -> FrozenTrial:
        """A trial of the record. Raises RunError where it has none of that number."""
        trials = self.study.get_trials(deepcopy=False)
        if not 0 <= number < len(trials):
            raise RunError(f"run {self.name!r} has no trial {number}: it has {len(trials)}")
        return trials[number]

    def number(self, key: str) -> int:
        """The trial of the topology whose canonical key begins so: the one that was trained, where several are its.

        Raises RunError where no key, or more than one, begins so.
        """
        found: dict[str, int] = {}
        for trial in sorted(self.study.get_trials(deepcopy=False), key=lambda trial: not counts(trial)):
            whole = trial.user_attrs.get(KEY)
            if isinstance(whole, str) and key and whole.startswith(key.lower()):
                found.setdefault(whole, trial.number)
        if len(found) != 1:
            shown = f"{len(found)}: {', '.join(sorted(found)[:3])}, …" if found else "none"
            raise RunError(f"one key of run {self.name!r} must begin with {key[:40]!r}, but got {shown}")
        return next(iter(found.values()))

    def topology(self, number: int) -> Topology:
        """What a trial trained. Raises RunError."""
        data = self.trial(number).user_attrs.get(TOPOLOGY)
        if data is None:
            raise RunError(f"trial {number} of run {self.name!r} has no topology")
        return Topology.from_dict(data)

    @property
    def winner(self) -> int | None:
        """The number of the trial that stands best (see `standing`); None where none was finished.

        A topology that was evaluated with several seeds stands where their mean does; of its trials it is the first
        whose weights were kept.
        """
        seeds: dict[object, list[tuple[int, tuple[float, ...]]]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            known = trial.user_attrs
            finite = math.isfinite(number(known.get(METRICS), self.space.task.metric))
            if trial.state.name == "COMPLETE" and finite:
                seeds.setdefault(known.get(KEY, trial.number), []).append((trial.number, standing(self.space, known)))
        if not seeds:
            return None
        best = min(seeds.values(), key=lambda same: (mean([stands for _, stands in same]), same[0]))
        return min((number for number, _ in best), key=lambda number: (self.weights(number) is None, number))

    @property
    def saved(self) -> int:
        """Trainings that a recorded result made needless: proposals of what was known here, and what was reused."""
        known = [trial.user_attrs for trial in self.study.get_trials(deepcopy=False)]
        return sum(attributes.get(SAVED, 0) + (REUSED in attributes) for attributes in known)

    def best(self) -> Topology | None:
        """The topology with the best metric; None where none was trained to the end."""
        return None if (number := self.winner) is None else self.topology(number)

    def frame(self) -> pd.DataFrame:
        """Every trial as a row.

        Columns: trial, state, reason, baseline, key, line, the task's metric, every cost of nas.space.objectives
        (params, memory [bytes], flops (per sample), latency [s], seconds), every objective that the space declares,
        epochs, seed, started, ended, reused (RUN/TRIAL whose result it has), curve, topology, proxies. What a trial
        lacks is None or NaN.
        """
        from nas.study.frame import frame_of

        return frame_of(self.study.get_trials(deepcopy=False), self.space.goals)
