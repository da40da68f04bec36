"""The private parts of optuna-dashboard that are used. tests/watching/test_compat.py names and checks each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.study.compat import trial_id
from nas.study.pareto import pareto_rank

# of optuna-dashboard 0.21: system attributes of a study that name a trial by its identifier (notes, files, skipped
# trials); the paths of requests that create or rename a study, and of those that bring or remove a file of one
NAMES_A_TRIAL = re.compile(r"(dashboard:(?:artifacts:)?|preference:skip_trial:)(\d+)(?=:|$)")
CREATES_A_STUDY = re.compile(r"/api/studies(/\d+/rename)?/*")
TAKES_A_FILE = re.compile(r"/api/artifacts/(\d+)")
NOTE_LENGTH = 2045  # characters that the dashboard keeps in one attribute


def speed_up_dashboard() -> None:
    """Replace three functions of the dashboard by ours, which return the same in less time (optuna-dashboard 0.21).

    Pareto fronts     for three objectives, theirs compares all pairs of trials at every poll: 11 s for 10,000 trials
    notes, artifacts  theirs look at all attributes of the study for each trial: a minute for 10,000 trials with notes

    They are not public; where a version of the dashboard does not have one, nothing is changed.
    """
    from optuna_dashboard import _app, _note, _serializer

    if hasattr(_app, "get_pareto_front_trials"):
        _app.get_pareto_front_trials = _pareto_front_trials
    if hasattr(_note, "get_note_from_system_attrs"):
        _note.get_note_from_system_attrs = _note_with_version
    if hasattr(_serializer, "list_trial_artifacts"):
        _serializer.list_trial_artifacts = _ListTrialArtifacts()


def _pareto_front_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """Return the COMPLETE trials that no other dominates, in their order."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    values = [trial.values for trial in complete]
    ranks = pareto_rank(values, [direction.name.lower() for direction in directions], fronts=1)
    return [trial for trial, rank in zip(complete, ranks, strict=True) if rank == 1]


def _note_with_version(system_attrs: Mapping[str, Any], trial_id: int | None) -> dict[str, str | int]:
    """Return the version and the body of a note, as the dashboard sends it to the browser."""
    version, body = note_of(system_attrs, trial_id)
    return {"version": version, "body": body}


class _ListTrialArtifacts:
    """The facts about the artifacts of a trial: those of old dashboards stand in the study, all others in the trial.

    A request asks for one trial after the other, so the few attributes that count are kept from one to the next.
    """

    def __init__(self) -> None:
        self._kept: tuple[object, dict[str, str]] = (None, {})

    def __call__(self, study: Mapping[str, Any], own: Mapping[str, Any], trial: FrozenTrial) -> list[dict[str, Any]]:
        kept = self._kept
        if kept[0] is not study:
            kept = study, {key: value for key, value in study.items() if key.startswith("dashboard:artifacts:")}
            self._kept = kept
        old = [value for key, value in kept[1].items() if key.startswith(f"dashboard:artifacts:{trial_id(trial)}:")]
        facts = map(json.loads, [*old, *(value for key, value in own.items() if key.startswith("artifacts:"))])
        return [one for one in facts if one is not None]


def note_of(attributes: Mapping[str, Any], trial: int | None) -> tuple[int, str]:
    """Return the version and the text of the note of a trial or of the study; 0 and "" without (optuna-dashboard 0.21).

    attributes  the system attributes of the study
    trial       the identifier of the trial; None for the study

    The public get_note reads all attributes anew for each note, so that many notes take minutes.
    """
    begin = "dashboard:" if trial is None else f"dashboard:{trial}:"
    parts: list[str] = []
    while isinstance(part := attributes.get(f"{begin}note_str:{len(parts)}"), str):
        parts.append(part)
    version = attributes.get(f"{begin}note_ver")
    return (version, "".join(parts)) if isinstance(version, int) else (0, "")


def note_attributes(trial: int | None, text: str, version: int = 1, before: str = "") -> dict[str, str | int]:
    """Return the system attributes of a study that hold a note (optuna-dashboard 0.21).

    trial    the identifier of the trial; None for the study
    version  one more than that of the note that it replaces; the dashboard counts on when a person edits it
    before   the text that it replaces

    The public save_note reads all attributes of the study twice for each note.
    """
    begin = "dashboard:" if trial is None else f"dashboard:{trial}:"
    places = range(0, max(len(text), len(before), 1), NOTE_LENGTH)
    parts = {f"{begin}note_str:{part}": text[at : at + NOTE_LENGTH] for part, at in enumerate(places)}
    return parts | {f"{begin}note_ver": version}
