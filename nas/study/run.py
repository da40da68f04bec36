"""Run: one search and everything it left. The record is an Optuna study; the rest of the folder follows from it.

    runs/<name>/
      run.yaml      the resolved space with its task, recipe and search settings; versions, seed, git commit
      study.db      the Optuna storage, unless run.yaml names another
      weights/      <trial>.safetensors of the leaders

What a trial means: COMPLETE was trained to the full budget, PRUNED was stopped early by a scheduler, FAIL has its
`reason`. A trial that was trained, to whatever end, has a learning curve (which may be empty); one that was refused
before training has none and does not count. Nor does one that was `reused`: its result is that of another run.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

import yaml

from nas.errors import RunError
from nas.files import write_whole
from nas.space import OBJECTIVES, SearchSpace
from nas.topology import Topology

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

Direction = Literal["minimize", "maximize"]
ROOT = Path("runs")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# the user attributes of a trial: plain JSON, so that every tool that reads Optuna's storages can show them
TOPOLOGY = "topology"  # Topology.to_dict()
LINE = "line"  # Topology.describe()
KEY = "key"  # Topology.key
BASELINE = "baseline"  # the name of the baseline that it is
SEED = "seed"
PREDICTED = "predicted"  # {params, flops, memory}: the price before training
MEASURED = "measured"  # {seconds, busy, …}: what training took
PROXIES = "proxies"  # {naswot: …}: what was computed of the untrained network
METRICS = "metrics"  # {accuracy, loss, …} at the end of the last epoch
CURVE = "curve"  # [{epoch, accuracy, …}, …]
REASON = "reason"  # why it failed
REUSED = "reused"  # {run, trial}: whose result it has; it was not trained here
REPEAT = "repeat"  # the how manieth evaluation, after the first, of a topology with other seeds
SAVED = "saved"  # how many proposals before it were not trained because an equal topology was

FACTS = ("trial", "state", "reason", "baseline", "key", "line")
COSTS = ("params", "memory", "flops", "latency", "seconds")
COURSE = ("epochs", "seed", "started", "ended", "reused", "curve", "topology", "proxies")


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
        run = cls(_new_folder(Path(root), name, space))
        try:
            run.weights_folder.mkdir()
            run._create_study(space, storage)
            _write_config(run.path / "run.yaml", _config(run.name, space, storage))
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
        path = self.path / "run.yaml"
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RunError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
        if not isinstance(config, dict) or not isinstance(config.get("space"), dict):
            raise RunError(f"{path} is not the record of a search: it has no space")
        return config

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
            _write_config(self.path / "run.yaml", self.config)
        self.space = space

    @property
    def weights_folder(self) -> Path:
        return self.path / "weights"

    def weights(self, number: int) -> Path | None:
        """The weights of a trial, where they were kept: those of the leaders are."""
        path = self.weights_folder / f"{number}.safetensors"
        return path if path.is_file() else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Raises RunError where another process of this machine searches the run. Ends with the process, however."""
        import fcntl

        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read(20).strip() or "?"
                raise RunError(f"run {self.name!r} is being searched by another process (pid {owner})") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    # ---------------------------------------------------------------------------------------------- the record

    @property
    def storage_url(self) -> str:
        """The Optuna storage, as `optuna --storage` and `optuna-dashboard` take it."""
        return self.config.get("storage") or _sqlite(self.path)

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

        url = storage or _sqlite(self.path)
        try:
            optuna.create_study(
                study_name=self.name, storage=open_storage(url), directions=list(directions(space).values())
            )
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
            finite = math.isfinite(_number(known.get(METRICS), self.space.task.metric))
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

        Columns: trial, state, reason, baseline, key, line, the task's metric, params, memory [bytes], flops (per
        sample), latency [s], seconds, epochs, seed, started, ended, reused (RUN/TRIAL whose result it has), curve,
        topology, proxies. What a trial lacks is None or NaN.
        """
        import pandas as pd

        metric = self.space.task.metric
        rows = [_row(trial, metric) for trial in self.study.get_trials(deepcopy=False)]
        frame = pd.DataFrame(rows, columns=[*FACTS, metric, *COSTS, *COURSE])
        for column in ("started", "ended"):
            frame[column] = pd.to_datetime(frame[column])
        return frame


def directions(space: SearchSpace) -> dict[str, Direction]:
    """What is better for each objective, in their order: {"accuracy": "maximize", "params": "minimize"}."""
    ways: dict[str, Any] = OBJECTIVES | {"accuracy": space.task.direction}
    return {name: ways[name] for name in space.search.objectives}


def feasible(space: SearchSpace, known: Mapping[str, Any]) -> bool:
    """Does a trial of these attributes keep to the constraints of the search, as far as is known?"""
    figures = {**(known.get(PREDICTED) or {}), **(known.get(MEASURED) or {})}
    return all(value <= 0 for value in space.violations(figures).values())


def standing(space: SearchSpace, known: Mapping[str, Any]) -> tuple[float, ...]:
    """What the winner is chosen by, smaller is better: feasible first, then the metric, then the fewest parameters."""
    metric = _number(known.get(METRICS), space.task.metric)
    sign = -1 if space.task.direction == "maximize" else 1
    return float(not feasible(space, known)), sign * metric, _number(known.get(PREDICTED), "params")


def mean(tuples: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Of each place; a single one is itself, bit for bit."""
    return tuples[0] if len(tuples) == 1 else tuple(map(fmean, zip(*tuples, strict=True)))


def counts(trial: FrozenTrial) -> bool:
    """Was it trained, to whatever end? Only such a trial is one of the trials that a search was asked for."""
    return trial.state.is_finished() and CURVE in trial.user_attrs and REUSED not in trial.user_attrs


def open_storage(url: str) -> RDBStorage:
    """An Optuna storage; SQLite in WAL mode, so that readers never wait and a commit costs no disk flush.

    A commit outlives the death of its process; a power cut may take the last ones, never the file.
    Raises RunError where the storage cannot be reached.
    """
    import sqlalchemy
    from optuna.storages import RDBStorage

    local = url.startswith("sqlite:")
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}} if local else None)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError) as error:
        raise RunError(f"the storage {_shown(url)} cannot be opened: {_first_line(error)}") from None
    if local:
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()  # the connections of before know nothing of it
    return storage


def _write_ahead(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def _shown(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


# -------------------------------------------------------------------------------------------------- a new folder


def _new_folder(root: Path, name: str | None, space: SearchSpace) -> Path:
    if name is not None and not NAME.fullmatch(name):
        raise RunError(f"a run's name must be letters, digits, '.', '_' and '-', but got {name[:60]!r}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for candidate in _names(space) if name is None else [name]:
            with contextlib.suppress(FileExistsError):
                (root / candidate).mkdir()
                return root / candidate
    except OSError as error:
        raise RunError(f"no run can be created in {root}: {error.strerror}") from None
    raise RunError(f"run {name!r} exists already in {root}: choose another name, or go on with --resume {name}")


def _names(space: SearchSpace) -> Iterator[str]:
    """digits-20260105-093000, then the same with -2, -3, …"""
    stem = Path(space.source).stem if space.source else space.task.name
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:60] or "run"
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    yield name
    yield from (f"{name}-{again}" for again in range(2, 100))


def _config(name: str, space: SearchSpace, storage: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "created": datetime.now().isoformat(timespec="microseconds"),
        "storage": storage,
        "versions": {"python": platform.python_version()} | _versions("skipnas", "torch", "ray", "optuna"),
        "commit": _commit(),
        "source": str(space.source) if space.source else None,
        "space": space.to_dict(),
    }


def _versions(*distributions: str) -> dict[str, str]:
    found = {}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str | None:
    """The git commit of this code (with -dirty where it was changed since); None outside a checkout."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True, timeout=5)
        done = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            check=True,
            timeout=5,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return str(done.stdout).strip()


def _write_config(path: Path, config: dict[str, Any]) -> None:
    write_whole(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    if config["storage"]:
        path.chmod(0o600)  # its URL may hold a password


# -------------------------------------------------------------------------------------------------------- a row


def _row(trial: FrozenTrial, metric: str) -> dict[str, Any]:
    known = trial.user_attrs
    predicted, measured, curve = known.get(PREDICTED), known.get(MEASURED), known.get(CURVE)
    curve = curve if isinstance(curve, list) else []
    row = {"trial": trial.number, "state": trial.state.name, "topology": known.get(TOPOLOGY)}
    row |= {name: known.get(name) for name in (REASON, BASELINE, KEY, LINE, SEED)}
    row |= {metric: _number(known.get(METRICS), metric), **{n: _number(measured, n) for n in ("latency", "seconds")}}
    row |= {name: _number(predicted, name) for name in ("params", "memory", "flops")}
    row |= {"curve": curve, "epochs": len(curve), "reused": _origin(known.get(REUSED)), "proxies": known.get(PROXIES)}
    return row | {"started": trial.datetime_start, "ended": trial.datetime_complete}


def _origin(reused: object) -> str | None:
    """RUN/TRIAL, as the commands take it."""
    return f"{reused.get('run')}/{reused.get('trial')}" if isinstance(reused, Mapping) else None


def _number(values: object, name: str) -> float:
    """values[name], or NaN where it is missing or no number."""
    value = values.get(name) if isinstance(values, Mapping) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
