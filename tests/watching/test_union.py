"""All runs as one storage: what is read is of the right run, and what is written goes there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note

from nas.errors import RunError
from nas.study import Run, compat
from nas.watching import storages
from nas.watching.storages import Storages
from nas.watching.union import UnionStorage
from tests.watching.conftest import MakeRun


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def union(tmp_path: Path, said: list[str]) -> UnionStorage:
    return UnionStorage(Storages(tmp_path / "runs", False, said.append))


def identifiers(union: UnionStorage) -> dict[str, int]:
    return {study.study_name: compat.study_id(study) for study in union.get_all_studies()}


def test_all_studies_are_there_and_their_trials_are_their_own(make_run: MakeRun, union: UnionStorage) -> None:
    make_run("one", 0.5, 0.6)
    make_run("two", 0.7)
    found = identifiers(union)
    assert list(found) == ["one", "two"]
    assert sorted(found.values()) == list(found.values())
    trials = {name: union.get_all_trials(identifier) for name, identifier in found.items()}
    assert [trial.user_attrs["of"] for trial in trials["one"]] == ["one"] * 3
    assert [trial.user_attrs["of"] for trial in trials["two"]] == ["two"] * 2
    assert [trial.number for trial in trials["one"]] == [0, 1, 2]
    seen = [compat.trial_id(trial) for mine in trials.values() for trial in mine]
    assert len(set(seen)) == 5
    for trial in (trial for mine in trials.values() for trial in mine):
        assert union.get_trial(compat.trial_id(trial)) == trial
    for name, identifier in found.items():
        assert union.get_study_name_from_id(identifier) == name
        assert union.get_study_id_from_name(name) == identifier
        last = compat.trial_id(trials[name][-1])
        assert union.get_trial_id_from_study_id_trial_number(identifier, len(trials[name]) - 1) == last


def test_a_study_of_optuna_works_on_it(make_run: MakeRun, union: UnionStorage) -> None:
    make_run("one", 0.5)
    run = make_run("two", 0.7)
    study = optuna.load_study(study_name="two", storage=union)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("of", "nobody")
    study.tell(trial, [0.9, 50.0])
    study.set_user_attr("seen", True)
    told = Run(run.path).study
    assert told.trials[-1].values == [0.9, 50.0]
    assert told.trials[-1].user_attrs == {"of": "nobody"} and set(told.trials[-1].params) == {"x"}
    assert told.user_attrs["seen"] is True
    assert [trial.number for trial in study.best_trials] == [2]
    assert union.get_study_user_attrs(union.get_study_id_from_name("two"))["seen"] is True


def test_one_object_stands_for_a_finished_trial(make_run: MakeRun, union: UnionStorage) -> None:
    make_run("one", 0.5)
    (identifier,) = identifiers(union).values()
    before = union.get_all_trials(identifier, deepcopy=False)
    after = union.get_all_trials(identifier, deepcopy=False)
    assert before[0] is after[0]
    assert before[1] is not after[1]  # it is being trained, and is read again
    assert union.get_all_trials(identifier)[0] is not before[0]
    assert union.get_n_trials(identifier, TrialState.COMPLETE) == 1


def test_notes_are_of_the_right_trial(make_run: MakeRun, union: UnionStorage) -> None:
    make_run("one", 0.5)
    run = make_run("two", 0.7, 0.8)
    save_note(optuna.trial.Trial(run.study, compat.trial_id(run.study.trials[1])), "of the run")
    study = optuna.load_study(study_name="two", storage=union)
    shared = optuna.trial.Trial(study, compat.trial_id(study.trials[1]))
    assert get_note(shared) == "of the run"
    save_note(shared, "x" * 5000)
    save_note(study, "of the study")
    assert get_note(optuna.trial.Trial(run.study, compat.trial_id(run.study.trials[1]))) == "x" * 5000
    assert get_note(run.study) == "of the study"
    assert get_note(optuna.trial.Trial(study, compat.trial_id(study.trials[0]))) == ""


def test_two_studies_of_one_name_are_told_apart(tmp_path: Path, make_run: MakeRun, union: UnionStorage) -> None:
    run = make_run("one", 0.5)
    shutil.copytree(run.path, tmp_path / "runs" / "twin")
    make_run("other")
    found = identifiers(union)
    assert sorted(found) == ["one", "one (twin)", "other"]
    for name, identifier in found.items():
        assert union.get_study_id_from_name(name) == identifier
        assert union.get_study_name_from_id(identifier) == name
    optuna.load_study(study_name="one (twin)", storage=union).set_user_attr("twin", True)
    assert "twin" not in run.study.user_attrs
    assert Run(tmp_path / "runs" / "twin").study.user_attrs["twin"] is True


def test_runs_share_a_storage_with_other_searches(tmp_path: Path, make_run: MakeRun, union: UnionStorage) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    one, two = make_run("one", 0.5, storage=url), make_run("two", 0.7, storage=url)
    optuna.create_study(study_name="elsewhere", storage=url)
    assert sorted(identifiers(union)) == ["elsewhere", "one", "two"]
    (shared,) = union.storages
    assert [run.name for run in shared.runs] == ["one", "two"]
    names = {name: identifier & 0xFFFF_FFFF for name, identifier in identifiers(union).items()}
    assert shared.run_of(names["two"]).path == two.path
    assert shared.run_of(names["elsewhere"]).path == one.path


def test_a_run_that_begins_or_goes_meanwhile(make_run: MakeRun, union: UnionStorage, said: list[str]) -> None:
    make_run("one", 0.5)
    before = identifiers(union)
    late = make_run("late", 0.9)
    during = identifiers(union)
    assert {"one": before["one"], "late": during["late"]} == during
    shutil.rmtree(late.path)
    assert identifiers(union) == before
    assert said == []


def test_what_cannot_be_read_is_left_out_with_one_line(
    tmp_path: Path, make_run: MakeRun, union: UnionStorage, said: list[str]
) -> None:
    make_run("one", 0.5)
    (make_run("damaged").path / "study.db").write_bytes(b"no database" * 1000)
    (make_run("lost").path / "study.db").unlink()
    (make_run("unreadable").path / "run.yaml").write_text("{")
    for _ in range(3):
        assert list(identifiers(union)) == ["one"]
    assert [line.split("'")[1] for line in sorted(said)] == ["damaged", "lost", "unreadable"]
    assert all("\n" not in line and "is left out: " in line for line in said)


def test_a_storage_that_fails_later_is_left_out(make_run: MakeRun, union: UnionStorage, said: list[str]) -> None:
    make_run("one", 0.5)
    late = make_run("two", 0.5)
    assert len(identifiers(union)) == 2
    with (late.path / "study.db").open("r+b") as file:
        file.write(b"no database" * 10_000)
    for path in late.path.glob("study.db-*"):
        path.unlink()
    late.storage.engine.dispose()
    for one in union.storages:
        getattr(one.storage, "_backend").engine.dispose()  # noqa: B009
    for _ in range(2):
        assert list(identifiers(union)) == ["one"]
    assert len(said) == 1 and "run 'two' is left out: " in said[0]


def test_no_study_is_created_and_unknown_ones_are_unknown(make_run: MakeRun, union: UnionStorage) -> None:
    make_run("one", 0.5)
    with pytest.raises(RunError, match="nas search creates one"):
        optuna.create_study(study_name="new", storage=union)
    for identifier in (1, 5 << 32 | 1):
        with pytest.raises(KeyError):
            union.get_study_name_from_id(identifier)
    with pytest.raises(KeyError):
        union.get_study_id_from_name("new")
    union.delete_study(union.get_study_id_from_name("one"))
    assert union.get_all_studies() == []


def test_a_file_that_has_not_changed_is_not_read_again(
    make_run: MakeRun, union: UnionStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "SETTLED_NS", 10**7)
    run = make_run("one", 0.5)
    (one,) = union.storages
    reads: list[bool] = []
    read = one.storage.get_all_studies
    monkeypatch.setattr(one.storage, "get_all_studies", lambda: reads.append(True) or read())
    time.sleep(0.02)
    for _ in range(3):
        assert len(identifiers(union)) == 1
    assert len(reads) == 1
    run.study.set_user_attr("seen", True)
    assert union.get_all_studies()[0].user_attrs["seen"] is True
    optuna.load_study(study_name="one", storage=union).set_user_attr("seen", False)
    assert union.get_all_studies()[0].user_attrs["seen"] is False
