"""The private parts of Optuna and of its dashboard that are used. tests/study/test_compat.py names and checks each."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.study.pareto import pareto_rank

if TYPE_CHECKING:
    from optuna.study._frozen import FrozenStudy as FrozenStudy


# of optuna-dashboard 0.21: system attributes of a study that name a trial by its identifier (notes, files, skipped
# trials); the paths of requests that create or rename a study, and of those that bring or remove a file of one
NAMES_A_TRIAL = re.compile(r"(dashboard:(?:artifacts:)?|preference:skip_trial:)(\d+)(?=:|$)")
CREATES_A_STUDY = re.compile(r"/api/studies(/\d+/rename)?/*")
TAKES_A_FILE = re.compile(r"/api/artifacts/(\d+)")
NOTE_LENGTH = 2045  # characters that the dashboard keeps in one attribute


def trial_id(trial: FrozenTrial) -> int:
    """Return the identifier of a trial in its storage, which all methods of a storage take (Optuna 5.0).

    Only the number of a trial in its study is public.
    """
    return trial._trial_id


def trial_number(storage: RDBStorage, identifier: int) -> int:
    """Return the number of a trial in its study (Optuna 5.0).

    The public get_trial_number_from_id reads the whole trial, which takes 3 ms of the 15 in which one is created.
    """
    select = sqlalchemy.text("SELECT number FROM trials WHERE trial_id = :identifier")
    with storage.engine.connect() as connection:
        return int(connection.execute(select, {"identifier": identifier}).scalar_one())


def renumbered_trial(trial: FrozenTrial, identifier: int) -> FrozenTrial:
    """Return a shallow copy of a trial with another identifier (Optuna 5.0)."""
    other = copy.copy(trial)
    other._trial_id = identifier
    return other


def study_id(study: FrozenStudy) -> int:
    """Return the identifier of a study in its storage, which all methods of a storage take (Optuna 5.0).

    `BaseStorage.get_all_studies` returns such studies; only their names are public.
    """
    return study._study_id


def renumbered_study(study: FrozenStudy, identifier: int) -> FrozenStudy:
    """Return a shallow copy of a study with another identifier (Optuna 5.0)."""
    other = copy.copy(study)
    other._study_id = identifier
    return other


def cached_storage(storage: BaseStorage) -> BaseStorage:
    """Return the storage with a layer that reads a finished trial once, as every `Study` uses it (Optuna 5.0).

    Its function is not documented: "only for internal usage".
    """
    return optuna.storages.get_storage(storage)


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
        old = [value for key, value in kept[1].items() if key.startswith(f"dashboard:artifacts:{trial._trial_id}:")]
        facts = map(json.loads, [*old, *(value for key, value in own.items() if key.startswith("artifacts:"))])
        return [one for one in facts if one is not None]


def study_key(study: Study) -> Hashable:
    """Return a key that is equal for studies of one storage object with one identifier (Optuna 5.0).

    The public name does not tell apart studies of one name in two storages.
    """
    return study._storage, study._study_id


def store_constraints(study: Study, trial: FrozenTrial, constraints: Sequence[float]) -> None:
    """Store the values of a sampler's constraints_func for a trial that is about to finish (Optuna 5.0).

    Optuna's samplers store them so themselves. The public set_constraint is a method of Trial, but a sampler is given
    a FrozenTrial, and to make a Trial of it would ask the sampler for another proposal.
    """
    values = tuple(float(value) for value in constraints)
    study._storage.set_trial_system_attr(trial._trial_id, "constraints", values)


def enqueued_params(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return the parameters that `Study.enqueue_trial` fixed for a trial; None if it was not enqueued (Optuna 5.0).

    The name of the system attribute that holds them is not documented, and no public method returns them.
    """
    params: dict[str, Any] | None = trial.system_attrs.get("fixed_params")
    return params


def enqueued_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the system attributes that `Study.enqueue_trial(params)` gives to a waiting trial (Optuna 5.0).

    The method itself writes to the storage at once and does not return the trial, but the writer of a search makes its
    trials in a thread of its own and needs their identifiers.
    """
    return {"fixed_params": dict(params)}


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


def artifact_attribute(name: str, filename: str, mimetype: str) -> dict[str, str]:
    """Return the system attribute of a trial or study that shows the file `name` of the artifact store (Optuna 5.0).

    name      of hexadecimal digits and dashes, which the dashboard asks for
    filename  the name under which it is downloaded

    The public upload_artifact writes the same with a name that it draws, so that a file could not be replaced; and it
    takes a commit of its own before a trial has ended, after which it cannot.
    """
    facts = {"artifact_id": name, "filename": filename, "mimetype": mimetype, "encoding": None}
    return {f"artifacts:{name}": json.dumps(facts)}
