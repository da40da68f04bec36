"""The private parts of optuna-dashboard that nas.watching.compat uses: an upgrade that removes one fails here."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random

import optuna
import pytest

from nas.study.compat import study_key, trial_id
from nas.watching import compat


def test_the_dashboard_takes_our_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """optuna_dashboard._note.get_note_from_system_attrs: the notes are equal, also one that became shorter."""
    from optuna_dashboard import _note, save_note

    spec = importlib.util.spec_from_file_location("fresh", _note.__file__)
    assert spec and spec.loader
    fresh = importlib.util.module_from_spec(spec)  # in the module itself, another test may have replaced it
    spec.loader.exec_module(fresh)
    theirs = fresh.get_note_from_system_attrs
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    for body in ("", "x" * 5000, "short"):
        trial = study.ask()
        save_note(trial, "before" * 1000)
        save_note(trial, body)
    save_note(study, "of the study")
    attributes = storage.get_all_studies()[0].system_attrs
    expected = [theirs(attributes, number) for number in (None, 0, 1, 2, 3)]
    monkeypatch.setattr(_note, "get_note_from_system_attrs", theirs)  # what it was is restored after the test
    compat.speed_up_dashboard()
    assert _note.get_note_from_system_attrs is not theirs
    assert [_note.get_note_from_system_attrs(attributes, number) for number in (None, 0, 1, 2, 3)] == expected
    assert [len(note["body"]) for note in expected] == [12, 0, 5000, 5, 0]


def test_the_dashboard_takes_our_lists_of_artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    """optuna_dashboard._serializer.list_trial_artifacts: the lists are equal, for one study after another."""
    from optuna_dashboard import _serializer
    from optuna_dashboard.artifact._backend import list_trial_artifacts as theirs

    monkeypatch.setattr(_serializer, "list_trial_artifacts", theirs)  # what it was is restored after the test
    compat.speed_up_dashboard()
    assert _serializer.list_trial_artifacts is not theirs
    study = optuna.create_study()
    for _ in range(12):
        study.ask()
    of_study = {f"dashboard:artifacts:{number}:a": json.dumps({"artifact_id": f"old {number}"}) for number in (1, 10)}
    of_trial = {"artifacts:b": '{"artifact_id": "b"}', "artifacts:removed": "null", "dashboard:x": 1}
    seen = []
    for attributes in (of_study | {"dashboard:1:note_ver": 1, "artifacts:study": "{}"}, {}, of_study):
        for trial, own in itertools.product(study.trials, (of_trial, {})):
            seen.append(_serializer.list_trial_artifacts(attributes, own, trial))
            assert seen[-1] == theirs(attributes, own, trial)
    assert max(map(len, seen)) == 2


@pytest.mark.parametrize("directions", [("maximize", "minimize"), ("maximize", "minimize", "minimize")])
def test_the_dashboard_takes_our_pareto_front(directions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """optuna_dashboard._app.get_pareto_front_trials: the fronts are equal, in the same order."""
    from optuna_dashboard import _app
    from optuna_dashboard._pareto_front import get_pareto_front_trials as theirs

    monkeypatch.setattr(_app, "get_pareto_front_trials", theirs)  # what it was is restored after the test
    compat.speed_up_dashboard()
    draw = random.Random(0)
    study = optuna.create_study(directions=directions)
    study.enqueue_trial({})
    for _ in range(100):
        values = [float(draw.randint(0, 9)) for _ in directions]
        study.add_trial(optuna.trial.create_trial(values=values))
    study.add_trial(optuna.trial.create_trial(values=[float("inf")] * len(directions)))
    assert _app.get_pareto_front_trials is not theirs
    front = _app.get_pareto_front_trials(study.trials, study.directions)
    numbers = [trial.number for trial in front]
    assert len(numbers) > 1
    assert numbers == sorted(trial.number for trial in study.best_trials)
    assert numbers == [trial.number for trial in theirs(study.trials, study.directions)]
    assert _app.get_pareto_front_trials([], study.directions) == []


def test_the_dashboard_reads_our_notes() -> None:
    """Names of system attributes of a study: dashboard:[ID:]note_ver, dashboard:[ID:]note_str:N."""
    from optuna_dashboard import get_note, save_note

    study = optuna.create_study()
    trial = study.ask()
    identity = trial_id(study.get_trials()[0])
    storage, key = study_key(study)
    for each, number in ((study, None), (trial, identity)):
        for name, value in compat.note_attributes(number, f"**{number}**").items():
            storage.set_study_system_attr(key, name, value)  # type: ignore[attr-defined]
        assert get_note(each) == f"**{number}**"
        read = storage.get_study_system_attrs(key)  # type: ignore[attr-defined]
        assert compat.note_of(read, number) == (1, f"**{number}**")
        save_note(each, "x" * 5000)
        read = storage.get_study_system_attrs(key)  # type: ignore[attr-defined]
        assert compat.note_of(read, number) == (2, "x" * 5000)
    assert compat.note_of({}, 3) == (0, "")
    for text in ("y" * 5000, "z"):  # a shorter note leaves nothing of the longer one
        before = compat.note_of(storage.get_study_system_attrs(key), None)[1]  # type: ignore[attr-defined]
        for name, value in compat.note_attributes(None, text, 3, before).items():
            storage.set_study_system_attr(key, name, value)  # type: ignore[attr-defined]
        assert get_note(study) == text


def test_the_dashboard_names_trials_and_paths_as_we_know_them() -> None:
    """Its functions for the names of attributes, and the rules of its routes."""
    from optuna_dashboard import _note, wsgi
    from optuna_dashboard.artifact import _backend
    from optuna_dashboard.preferential import _system_attrs

    names = [_note.note_ver_key(7), _note.note_str_key_prefix(7) + "0", _backend._dashboard_artifact_prefix(7) + "a1"]
    names.append(_system_attrs._SYSTEM_ATTR_PREFIX_SKIP_TRIAL + "7")
    for name in names:
        assert (found := compat.NAMES_A_TRIAL.match(name)) and found[2] == "7", name
    assert not compat.NAMES_A_TRIAL.match(_note.note_ver_key(None))
    app = wsgi(optuna.storages.InMemoryStorage())
    posts = {route.rule for route in app.routes if route.method == "POST"}  # type: ignore[attr-defined]
    plain = {rule.replace("<study_id:int>", "7").replace("<trial_id:int>", "8") for rule in posts}
    assert {path for path in plain if compat.CREATES_A_STUDY.fullmatch(path)} == {
        "/api/studies",
        "/api/studies/7/rename",
    }
    assert {path for path in plain if compat.TAKES_A_FILE.match(path)} >= {"/api/artifacts/7/8"}
