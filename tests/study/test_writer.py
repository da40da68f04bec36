"""Writing a study: one clear error, and plain JSON."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

from nas.errors import RunError
from nas.study import Run
from nas.study.attributes import BASELINE, CURVE, KEY, MEASURED, PREDICTED, REASON, SEED, TOPOLOGY
from nas.study.plain import as_json
from nas.study.writer import StudyWriter
from tests.helpers import scripted


def test_a_storage_that_fails_is_one_clear_error(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "run", tmp_path)
    writer = StudyWriter(run)
    handle = writer.add(create_trial(state=TrialState.RUNNING))
    writer.flush()
    with run.storage.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trial_system_attributes")
    writer.finish(handle, TrialState.COMPLETE, {CURVE: []}, [0.5, 1.0])
    with pytest.raises(RunError, match=r"the record cannot be written: .*no such table"):
        writer.flush()
    with pytest.raises(RunError, match=r"no such table.*; 1 result is in"):
        writer.close()
    writer.close()  # it was said


def test_a_trial_is_claimed_once(tmp_path: Path) -> None:
    writer = StudyWriter(Run.create(scripted.space(), "run", tmp_path))
    handle = writer.add(create_trial(state=TrialState.WAITING)).result()
    assert [writer.claim(handle), writer.claim(handle)] == [True, False]
    writer.requeue([handle])
    assert list(writer.trials(TrialState.WAITING)) == [handle]
    writer.close()


def test_weights_of_leaders_alone_are_kept(tmp_path: Path) -> None:
    run = Run.create(scripted.space(), "run", tmp_path)
    writer = StudyWriter(run)
    handles = [writer.add(create_trial(state=TrialState.RUNNING)) for _ in range(3)]
    for handle in handles:
        writer.keep_weights(handle, b"weights")
    writer.drop_weights({0, 2})
    writer.close()
    assert sorted(path.name for path in run.weights_folder.iterdir()) == ["0.safetensors", "2.safetensors"]


def test_attributes_are_plain_json() -> None:
    numpy = pytest.importorskip("numpy")
    given = {"a": numpy.float32(0.5), "b": [numpy.int64(3), math.nan, (True, None)], 3: {"x": Path("y")}}
    assert as_json(given) == {"a": 0.5, "b": [3, None, [True, None]], "3": {"x": "y"}}


def test_names_are_those_of_the_design() -> None:
    assert (TOPOLOGY, KEY, BASELINE, SEED) == ("topology", "key", "baseline", "seed")
    assert (PREDICTED, MEASURED, CURVE, REASON) == ("predicted", "measured", "curve", "reason")
