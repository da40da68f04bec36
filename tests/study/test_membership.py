"""The membership of a search: pulses, members that die, and members that are taken for dead."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

from nas.errors import RunError
from nas.study import Run, membership, pulse
from nas.study.lease import LeasedStudy, Member, read_pulses
from nas.study.membership import Membership, become_member


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "BEAT_S", 0.05)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """[seconds that have passed] for whoever watches another member."""
    passed = [0.0]
    monkeypatch.setattr(membership.time, "monotonic", lambda: passed[0])
    return passed


def joined(run: Run) -> Membership:
    return become_member(Run(run.path), "first", together=True)


def move(run: Run, one: Membership, place: str = "another machine", began: datetime | None = None) -> None:
    """Let a member run at another place."""
    leased = LeasedStudy(run)
    text, lease = leased.read()
    changes = {"place": place} | ({} if began is None else {"began": began})
    others = [other for other in lease.members if other.token != one.token]
    assert leased.swap(text, lease.of([*others, one.member.model_copy(update=changes)]))


def test_a_member_gives_signs_of_life_until_it_leaves(run: Run) -> None:
    with become_member(run, "first") as one:
        [sign] = read_pulses(run)
        assert sign.is_alive() and sign.token == one.token
        one.sign = lambda: one._bare().model_copy(update={"slots": 3})
        deadline = time.monotonic() + 20
        while read_pulses(run)[0].slots != 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(RunError, match=r"searched by process \d+ on .+ \(last sign of life [\d.]+s ago\)"):
            become_member(run, "first")
    [sign] = read_pulses(run)
    assert sign.ended == "stopped before it began" and not sign.is_alive()
    assert not LeasedStudy(run).read()[1].members


def test_a_sign_that_cannot_be_computed_does_not_look_like_death(run: Run) -> None:
    one = become_member(run, "first")
    one.sign = lambda: 1 // 0  # type: ignore[assignment, return-value]
    one.beat()
    assert read_pulses(run)[0].is_alive()


def test_a_member_that_joins_waits_until_the_others_have_noticed_it(run: Run) -> None:
    first = become_member(run, "first")
    assert not first.shared
    second = joined(run)
    assert second.shared
    thread = threading.Thread(target=second.greet)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    first.beat()
    assert first.shared
    thread.join(20)
    assert not thread.is_alive()


def test_a_silent_member_is_removed_by_the_clock_of_the_others(run: Run, clock: list[float]) -> None:
    """Its own clock may be hours wrong."""
    first, second = become_member(run, "first"), joined(run)
    move(run, second, began=datetime.now(UTC) - timedelta(hours=3))
    for clock[0] in (0.0, 20.0, 40.0, 60.0):
        first.beat()
    assert [one.token for one in first.others] == [second.token]
    pulse.write(run.storage, first.leased.study, second._bare().model_copy(update={"token": second.token}), 1)
    for clock[0] in (61.0, 81.0, 101.0, 121.0):
        first.beat()
    assert first.others
    clock[0] = 122.0
    first.beat()
    assert not first.others
    second.beat()
    assert second.lost is not None and "no sign of life for too long" in second.lost
    with pytest.raises(RunError, match="nas search --join first takes part again"):
        second.confirm()
    second.leave()
    assert LeasedStudy(run).read()[1].tokens == {first.token}


def test_after_an_outage_of_the_storage_nobody_is_dead(run: Run, clock: list[float]) -> None:
    first, second = become_member(run, "first"), joined(run)
    move(run, second)
    first.beat()
    clock[0] = 500.0
    first.beat()
    assert first.others
    for clock[0] in (520.0, 540.0, 560.0, 561.0):
        first.beat()
    assert not first.others


def test_a_member_whose_process_is_gone_is_removed_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = become_member(run, "first"), joined(run)
    first.beat()
    assert first.others
    monkeypatch.setattr(Member, "is_gone", lambda one: one.token == second.token)
    first.beat()
    assert not first.others and first.shared


def test_who_is_silent_at_the_start_is_watched_for_a_moment(run: Run) -> None:
    """Its clock may be wrong: it is dead only if its pulse does not change."""
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    first = become_member(run, "first")
    move(run, first, began=long_ago)
    late = first._bare().model_copy(update={"token": first.token, "alive": long_ago + timedelta(hours=1)})
    timer = threading.Timer(0.05, pulse.write, (Run(run.path).storage, first.leased.study, late))
    timer.start()
    with pytest.raises(RunError, match="is being searched by process"):
        become_member(run, "first")
    timer.join()
    assert become_member(run, "first").token != first.token


def test_settings_of_members_are_the_same(run: Run) -> None:
    become_member(run, "first", settings="a")
    with pytest.raises(RunError, match="other settings"):
        become_member(run, "first", together=True, settings="b")
    assert become_member(run, "first", together=True, settings="a").shared


def test_membership_is_asked_for_only_when_the_last_look_was_long_ago(
    run: Run, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = become_member(run, "first")
    looks: list[float] = []
    monkeypatch.setattr(one, "look", lambda: looks.append(clock[0]))
    for clock[0] in (1.0, 29.0, 31.0):
        one.confirm()
    assert looks == [31.0]


def test_a_storage_that_is_away_ends_no_membership(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise sqlalchemy.exc.OperationalError("SELECT", {}, Exception("away"))

    with become_member(run, "first") as one:
        with monkeypatch.context() as patch:
            patch.setattr(LeasedStudy, "read", away)
            time.sleep(0.3)
        before = read_pulses(run)[0].alive
        deadline = time.monotonic() + 20
        while read_pulses(run)[0].alive == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert one.lost is None
