"""Logs of a search for tools that draw curves: `search: {log_to: [tensorboard, mlflow, wandb]}` in a space file.

Each trial is a run of the tool, named by its number and, if it is a baseline, its name. It gets every epoch's record,
and in the end its state, its predicted and measured costs, and its topology in one line.

tensorboard  runs/NAME/tensorboard/<trial>: `tensorboard --logdir runs/NAME/tensorboard`
mlflow       the experiment NAME of the server at MLFLOW_TRACKING_URI, or else of runs/NAME/mlflow/mlflow.db:
             `mlflow ui --backend-store-uri sqlite:///runs/NAME/mlflow/mlflow.db`
wandb        the project NAME, in runs/NAME/wandb: `wandb sync` sends it; with WANDB_MODE=online it is sent at once
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nas.errors import SpaceError
from nas.searching.candidate import Candidate
from nas.searching.search_log import DISMISSED, ENDED, EPOCH, REFUSED, RETRIED, REUSED, STARTED, SearchEvent, SearchLog


class TrialLog(SearchLog):
    """A log with a run of its tool for each trial; a subclass per tool opens, fills and closes these.

    title  the name of the tool, of its package, and of the extra that installs it
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[Candidate, Any] = {}

    @property
    def folder(self) -> Path:
        """The folder of the tool in that of the run."""
        return self.run.path / self.title

    def open_trial(self, candidate: Candidate, name: str) -> Any:
        """Return a new run of the tool for a trial."""
        raise NotImplementedError

    def add_numbers(self, opened: Any, numbers: Mapping[str, float], epoch: int) -> None:
        """Add numbers of an epoch to a run of the tool."""
        raise NotImplementedError

    def close_trial(self, opened: Any, state: str, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Add the results of a trial to its run of the tool, and close it."""
        raise NotImplementedError

    def write(self, event: SearchEvent) -> None:
        """Write an event into the run of its trial."""
        candidate, facts = event.candidate, event.facts
        if candidate is None:
            return
        if event.kind == STARTED:
            self._opened(candidate)
        elif event.kind == EPOCH:
            self.add_numbers(self._opened(candidate), numbers_of(facts["metrics"]), int(facts["epoch"] or 0))
        elif event.kind == RETRIED:
            self._close(candidate, "RETRIED", {}, facts["reason"])
        elif event.kind in (DISMISSED, REFUSED):
            self._close(candidate, event.kind.upper(), {}, facts["reason"])
        elif event.kind in (ENDED, REUSED):
            results = {f"result/{name}": value for name, value in numbers_of(facts["metrics"]).items()}
            results |= {f"measured/{name}": value for name, value in numbers_of(facts.get("measured", {})).items()}
            self._close(candidate, facts.get("state", "REUSED"), results, facts.get("reason"))

    def finish(self) -> None:
        """Close the runs of trials that were being trained when the search stopped."""
        for candidate in tuple(self._open):
            self._close(candidate, "INTERRUPTED", {}, None)

    def _opened(self, candidate: Candidate) -> Any:
        if candidate not in self._open:
            name = f"trial {candidate.number:05}" + (f" {candidate.baseline}" if candidate.baseline else "")
            self._open[candidate] = self.open_trial(candidate, name)
        return self._open[candidate]

    def _close(self, candidate: Candidate, state: str, results: Mapping[str, float], reason: str | None) -> None:
        opened = self._opened(candidate)
        del self._open[candidate]
        costs = {f"predicted/{name}": value for name, value in numbers_of(candidate.predicted).items()}
        texts = {"state": state, "topology": candidate.topology.describe(), "key": candidate.topology.key}
        texts |= {"baseline": candidate.baseline} if candidate.baseline else {}
        texts |= {"reason": reason} if reason else {}
        self.close_trial(opened, state, {**costs, **results}, texts)


class TensorboardLog(TrialLog):
    """Writes event files, which TensorBoard reads."""

    title = "tensorboard"

    def open_trial(self, candidate: Candidate, name: str) -> Any:
        """Return a writer into a folder of the trial's own."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / name.replace(" ", "-")))

    def add_numbers(self, opened: Any, numbers: Mapping[str, float], epoch: int) -> None:
        """Add a point to the curve of every number."""
        for name, value in numbers.items():
            opened.add_scalar(name, value, epoch)
        opened.flush()

    def close_trial(self, opened: Any, state: str, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Add every number as a curve of one point, and every text."""
        for name, value in numbers.items():
            opened.add_scalar(name, value)
        for name, text in texts.items():
            opened.add_text(name, text)
        opened.close()


class MlflowLog(TrialLog):
    """Writes the runs of an experiment of MLflow."""

    title = "mlflow"
    _client: Any = None

    def open_trial(self, candidate: Candidate, name: str) -> Any:
        """Return the id of a new run."""
        if self._client is None:
            self._connect()
        run = self._client.create_run(self._experiment, run_name=name)
        self._client.log_param(run.info.run_id, "seed", candidate.seed)
        return run.info.run_id

    def add_numbers(self, opened: Any, numbers: Mapping[str, float], epoch: int) -> None:
        """Add a point to the curve of every number."""
        for name, value in numbers.items():
            self._client.log_metric(opened, name, value, step=epoch)

    def close_trial(self, opened: Any, state: str, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Add every number as a metric and every text as a tag."""
        for name, value in numbers.items():
            self._client.log_metric(opened, name, value)
        for name, text in texts.items():
            self._client.set_tag(opened, name, text)
        ended = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "REUSED": "FINISHED", "FAIL": "FAILED"}
        self._client.set_terminated(opened, status=ended.get(state, "KILLED"))

    def _connect(self) -> None:
        from mlflow import MlflowClient

        address = os.environ.get("MLFLOW_TRACKING_URI")
        if not address:
            self.folder.mkdir(exist_ok=True)
            address = f"sqlite:///{(self.folder / 'mlflow.db').resolve()}"
        self._client = MlflowClient(tracking_uri=address)
        known = self._client.get_experiment_by_name(self.run.study_name)
        self._experiment = known.experiment_id if known else self._client.create_experiment(self.run.study_name)


class WandbLog(TrialLog):
    """Writes the runs of a project of Weights & Biases; nothing leaves this machine unless WANDB_MODE says so."""

    title = "wandb"

    def open_trial(self, candidate: Candidate, name: str) -> Any:
        """Return a new run of the project, beside those that are open."""
        import wandb

        return wandb.init(
            project=self.run.study_name,
            name=name,
            dir=str(self.run.path),  # in which it makes the folder wandb
            mode=os.environ.get("WANDB_MODE", "offline"),
            config={"seed": candidate.seed, "topology": candidate.topology.describe()},
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def add_numbers(self, opened: Any, numbers: Mapping[str, float], epoch: int) -> None:
        """Add a point to the curve of every number."""
        opened.log(dict(numbers), step=epoch)

    def close_trial(self, opened: Any, state: str, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Add every number and every text to the summary of the run."""
        opened.summary.update({**numbers, **texts})
        opened.finish(exit_code=int(state == "FAIL"))


LOGGERS: dict[str, type[TrialLog]] = {one.title: one for one in (TensorboardLog, MlflowLog, WandbLog)}


def loggers(names: Iterable[str]) -> list[SearchLog]:
    """Return the logs of these names. Raises SpaceError if the package of one is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise SpaceError(f"search.log_to: {name} is not installed: pip install 'skipnas[{name}]'")
    return [LOGGERS[name]() for name in names]


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of a record."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
