"""Publish a run in its study: notes, pictures and plots that the Optuna dashboard shows, written while it is searched.

The dashboard reads the attributes of a study in whole, again and again, and looks through all of them for each trial.
So notes stand only with the first NOTES trials and with those that lead; every trial has its picture.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from optuna.exceptions import OptunaError

from nas.analysis import leaderboard
from nas.analysis.draw_svg import arc_svg
from nas.analysis.effects import effects_of
from nas.errors import RunError, TopologyError
from nas.files import write_whole
from nas.study.attributes import CANDIDATE, KEY, TOPOLOGY, recorded
from nas.study.compat import artifact_attribute, trial_id
from nas.study.frame import frame_of
from nas.study.shown import role_of
from nas.topology import Topology
from nas.watching import compat
from nas.watching.notes import study_note, trial_note, wants_stop, without_stop
from nas.watching.plots import POINTS, plots
from nas.watching.storages import ARTIFACTS

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial, TrialState

    from nas.study import Run

NOTES = (
    1000  # trials with notes, besides leaders and baselines: a thousand more cost a second of each look at the study
)
BATCH = 50  # notes between two looks at what people have written
LEADERS = 20  # trials that have a note however late they come
MOST = 300  # topologies from which effects are estimated


def attach_best(run: Run, folder: Path) -> None:
    """Attach the exported network in a folder to the study, in place of an earlier one.

    Raises RunError if the study or the folder of the run cannot be written.
    """
    store, study = run.path / ARTIFACTS, run.storage.get_study_id_from_name(run.study_name)
    try:
        store.mkdir(exist_ok=True)
        for filename, mimetype in (("network.py", "text/x-python"), ("card.md", "text/markdown")):
            name = str(
                uuid.uuid5(uuid.NAMESPACE_OID, f"{run.created} {run.study_name} {filename}")
            )  # of this run alone
            write_whole(store / name, (folder / filename).read_text(encoding="utf-8"))
            for attribute, value in artifact_attribute(name, filename, mimetype).items():
                run.storage.set_study_system_attr(study, attribute, value)
    except (OptunaError, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise RunError(f"the best network cannot be attached to the study: {reason}") from None


class Publisher:
    """Writes what has changed since the last call of `publish`.

    run          the run; its study and its folder are written
    stop_ticked  whether a person has ticked the box in the note of the study that stops the search

    What a person has written into a note stays.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.storage = run, run.storage
        self.stop_ticked = False
        self._study = self.storage.get_study_id_from_name(run.study_name)
        self._pictures: set[str] = set()  # keys of topologies
        self._noted: dict[int, TrialState] = {}  # number of a trial → the state that its note tells
        self._plots: dict[str, str] = {}  # name → the figure as JSON
        self._begun = False

    def publish(self, final: bool = False) -> None:
        """Write the notes, plots and pictures of what has changed.

        final  whether the search is over: only then are effects estimated, which takes a second
        """
        self._heed_note()
        trials, goals = self.run.study.get_trials(deepcopy=False), self.run.space.goals
        frame = frame_of(trials, goals)
        board = leaderboard(frame, goals=goals, top=POINTS, front=True)
        self._note(trials, frame, {*range(NOTES), *board["trial"].head(LEADERS)})
        effects = None
        if final:
            with contextlib.suppress(RunError):  # too few topologies
                effects = effects_of(self.run, most=MOST)
        for name, figure in plots(frame, board, goals, effects).items():
            self._plot(name, figure)
        draw(self.run, trials, self._pictures)

    def _heed_note(self) -> None:
        """Write the note of the study, or untick its box, at first; later see whether a person has ticked it."""
        version, body = compat.note_of(self._attributes(), None)
        if self._begun:
            self.stop_ticked = wants_stop(body)
        elif not body or wants_stop(body):
            self._write_note(None, without_stop(body) if body else study_note(self.run), version + 1, body)
        self._begun = True

    def _note(self, trials: list[FrozenTrial], frame: pd.DataFrame, shown: set[int]) -> None:
        """Write the notes of trials that have changed their state."""
        wanted = [trial for trial in trials if trial.number in shown and CANDIDATE in trial.system_attrs]
        changed = [trial for trial in wanted if self._noted.get(trial.number) != trial.state]
        for first in range(0, len(changed), BATCH):
            some = changed[first : first + BATCH]
            written = self._attributes()
            for trial, row in zip(some, frame.iloc[[one.number for one in some]].to_dict("records"), strict=True):
                identity = trial_id(trial)
                version, body = compat.note_of(written, identity)
                note = trial_note(row, self.run.space.goals, self.run.name, role_of(recorded(trial)))
                if version <= 1 and body != note:  # the dashboard counts the versions that a person writes
                    self._write_note(identity, note, 1, body)
                self._noted[trial.number] = trial.state

    def _write_note(self, identity: int | None, note: str, version: int, before: str) -> None:
        for name, value in compat.note_attributes(identity, note, version, before).items():
            self.storage.set_study_system_attr(self._study, name, value)

    def _plot(self, name: str, figure: dict[str, Any]) -> None:
        import plotly.graph_objects as go
        from optuna_dashboard import save_plotly_graph_object

        content = json.dumps(figure)
        if self._plots.get(name) != content:
            save_plotly_graph_object(self.run.study, go.Figure(figure, skip_invalid=True), graph_object_id=name)
            self._plots[name] = content

    def _attributes(self) -> dict[str, Any]:
        return self.storage.get_study_system_attrs(self._study)


def draw(run: Run, trials: Iterable[FrozenTrial], drawn: set[str]) -> None:
    """Write the pictures of trials, of a run or of its retrainings, into the folder of the run.

    drawn  the keys of the topologies that have one; those of the trials are added
    """
    folder = run.path / ARTIFACTS
    folder.mkdir(exist_ok=True)
    for trial in trials:
        known = recorded(trial)
        if CANDIDATE not in trial.system_attrs or (key := known.get(KEY, "")) in drawn:
            continue
        with contextlib.suppress(TopologyError):
            topology = Topology.from_dict(known.get(TOPOLOGY))
            if not (folder / topology.key).exists():
                write_whole(folder / topology.key, arc_svg(topology))
        drawn.add(key)
