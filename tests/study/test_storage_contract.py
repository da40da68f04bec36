"""What a record must do in every storage: SQLite, and a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nas.errors import RunError
from nas.searching.session import Session
from nas.study import Run, pulse
from nas.study.attributes import CANDIDATE, CURVE, recorded
from nas.study.lease import read_pulses
from nas.study.pulse import Pulse
from nas.study.reuse import reusable_trials
from nas.watching.storages import storage_of
from tests.helpers import scripted
from tests.helpers.postgresql import PASSWORD
from tests.helpers.sessions import drive, trained


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The URL of a storage; None for that in the folder of a run."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url: str | None = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return url


@pytest.fixture
def run(storage: str | None, tmp_path: Path) -> Run:
    return Run.create(scripted.space(trials=6), "first", tmp_path, storage)


def reopened(run: Run) -> Run:
    """The run as another process opens it."""
    return Run.open(run.name, run.path.parent)


def test_a_run_is_recorded_interrupted_resumed_and_read(run: Run) -> None:
    session = Session(run, scripted.price, 6)
    drive(session, 3)
    stopped = [session.ask(), session.ask()]
    session.writer.flush()
    assert stopped[0] is not None
    session.report(stopped[0], {"epoch": 1, "accuracy": 0.25})
    session.close()
    states = [trial.state for trial in reopened(run).study.get_trials()]
    assert states == [TrialState.COMPLETE] * 3 + [TrialState.WAITING] * 2
    again = Session(reopened(run), scripted.price, 6)
    failed = again.ask()
    assert failed is not None and failed.number == 3
    again.tell(failed, trained(failed, failure="diverged: the loss is not finite"))
    drive(again)
    again.close()
    read = reopened(run)
    frame = read.frame()
    assert list(frame["state"]) == ["COMPLETE"] * 3 + ["FAIL"] + ["COMPLETE"] * 2
    assert frame["reason"][3] == "diverged: the loss is not finite"
    assert len(set(frame["key"])) == 6
    trial = read.trial(0)
    assert read.study.trials[0].params and trial.values and recorded(trial)[CURVE][1]["epoch"] == 2
    assert trial.datetime_start and trial.datetime_complete and trial.datetime_start <= trial.datetime_complete
    assert read.winner == frame.loc[frame["accuracy"].idxmax(), "trial"]
    assert set(reusable_trials([read], read.space)) == set(frame[frame["state"] == "COMPLETE"]["key"])


def test_attributes_of_every_length_and_letter(run: Run) -> None:
    value = {"long": "x" * 200_000, "ünïcode": "→ ∞ \U0001f9e0", "zero": "\x00", "deep": [[[1.5, None, True]]]}
    run.study.enqueue_trial({})
    [trial] = run.study.get_trials()
    run.storage.set_trial_system_attr(trial._trial_id, CANDIDATE, value)
    assert reopened(run).study.get_trials()[0].system_attrs[CANDIDATE] == value


def test_a_pulse_is_read_as_it_was_written(run: Run) -> None:
    assert read_pulses(run) == []
    sign = Pulse(host="here", pid=7, alive=datetime.now(UTC).replace(microsecond=0), slots=3)
    pulse.write(run.storage, run.storage.get_study_id_from_name(run.study_name), sign)
    assert read_pulses(reopened(run)) == [sign]


def test_a_name_is_taken_once(run: Run, storage: str | None, tmp_path: Path) -> None:
    if storage is not None:
        with pytest.raises(RunError, match="holds a study 'first' already"):
            Run.create(scripted.space(), "first", tmp_path / "elsewhere", storage)
    other = Run.create(scripted.space(), "second", tmp_path, storage)
    session = Session(other, scripted.price, 1)
    drive(session)
    session.close()
    assert run.study.get_trials() == []


def test_a_dashboard_reads_it(run: Run) -> None:
    session = Session(run, scripted.price, 2)
    drive(session)
    session.close()
    study = storage_of(reopened(run), read_only=True)
    trials = study.get_all_trials(study.get_study_id_from_name(run.study_name))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
