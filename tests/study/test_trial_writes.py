"""Every write of a record may fail, and may have arrived although it failed: the record is true in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.study import outage
from nas.study.attributes import CANDIDATE, CURVE, KEY, REASON
from nas.study.storage import open_storage
from nas.study.writer import StudyWriter, resolved
from tests.helpers.storages import SomeRecord, failing

STORAGES = ("sqlite", "postgresql")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.001)


@pytest.fixture(params=STORAGES)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SomeRecord]:
    """New studies of one storage."""
    given = request.param == "postgresql"
    url = request.getfixturevalue("postgresql") if given else f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url)
    return (SomeRecord(storage, f"study{number}", tmp_path / str(number)) for number in range(1000))


def begun(key: str, state: TrialState = TrialState.RUNNING, **more: Any) -> FrozenTrial:
    params = {"block01.skip": "add"}
    distributions = {"block01.skip": CategoricalDistribution(("none", "add"))}
    known = {CANDIDATE: {KEY: key, "shape": [1, 8, 8]} | more}
    return create_trial(
        state=state, params=params, distributions=distributions, user_attrs={KEY: key}, system_attrs=known
    )


def search(record: SomeRecord) -> None:
    """Everything that a search writes."""
    writer = StudyWriter(record)
    best, other = writer.add(begun("a")), writer.add(begun("b"))
    queued = writer.add(create_trial(state=TrialState.WAITING, system_attrs={CANDIDATE: {KEY: "c"}})).result()
    writer.add(begun("d", TrialState.FAIL, **{REASON: "over the limits"}))
    writer.report(best, {"epoch": 1, "accuracy": 0.25}, "accuracy")
    [(handle, trial)] = writer.trials(TrialState.WAITING).items()
    assert handle == queued and writer.claim(handle)
    writer.fill_in(handle, trial, begun("c"))
    writer.keep_weights(best, b"weights")
    writer.finish(best, TrialState.COMPLETE, {CURVE: [{"epoch": 1, "accuracy": 0.5}]}, [0.5, 100.0])
    writer.drop_weights({best.result().number})
    writer.finish(resolved(handle), TrialState.PRUNED, {CURVE: []})
    writer.requeue([other])
    writer.close()


def seen(record: SomeRecord) -> list[tuple[Any, ...]]:
    """What is recorded, without times and identifiers."""
    return [
        (one.number, one.state, one.values, one.params, one.user_attrs, one.system_attrs, one.intermediate_values)
        for one in record.trials
    ]


@pytest.mark.parametrize("arrives", [False, True], ids=["it did not arrive", "it had arrived"])
def test_a_write_that_breaks_is_done_once(records: Iterator[SomeRecord], arrives: bool) -> None:
    right = next(records)
    with failing(right.storage, 0) as calls:
        search(right)
    expected, count = seen(right), len(calls)
    assert [one.state.name for one in right.trials] == ["COMPLETE", "WAITING", "PRUNED", "FAIL"]
    assert count >= 12
    for at in range(1, count + 1):
        record = next(records)
        with failing(record.storage, at, arrives=arrives) as called:
            search(record)
        assert len(called) > count - 2, f"call {at} did not fail: {calls[at - 1]}"
        assert seen(record) == expected, f"call {at}: {calls[at - 1]}"
        assert [path.name for path in record.weights_folder.iterdir()] == ["0.safetensors"]
        assert not record.journal_folder.exists()


def test_a_claim_of_another_process_is_not_taken_for_our_own(records: Iterator[SomeRecord]) -> None:
    record = next(records)
    writer = StudyWriter(record)
    handle = writer.add(create_trial(state=TrialState.WAITING)).result()
    assert record.storage.set_trial_state_values(handle.id, TrialState.RUNNING)  # by another one
    with failing(record.storage, 1):
        assert not writer.claim(handle)
    writer.close()


def test_a_result_that_can_never_be_written_is_kept_and_the_others_are_written(records: Iterator[SomeRecord]) -> None:
    record = next(records)
    writer = StudyWriter(record)
    first, second = writer.add(begun("a")), writer.add(begun("b"))
    writer.flush()
    with failing(record.storage, 1, error=ValueError("no such kind of number")):
        writer.finish(first, TrialState.COMPLETE, {CURVE: []}, [0.5, 1.0])
        writer.finish(second, TrialState.COMPLETE, {CURVE: []}, [0.25, 1.0])
        with pytest.raises(outage.RunError, match=r"no such kind of number; 1 result is in .*\.jsonl, which --resume"):
            writer.close()
    assert [one.state.name for one in record.trials] == ["RUNNING", "COMPLETE"]
    again = StudyWriter(record)
    assert again.replay() == 1
    again.close()
    assert [one.values for one in record.trials] == [[0.5, 1.0], [0.25, 1.0]]
