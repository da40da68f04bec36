"""The lease of a study: of many processes that change it at the same time, one is first, in every kind of storage."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.study import Run, pulse
from nas.study.lease import NAME, Lease, LeasedStudy, Member, read_pulses
from nas.study.membership import become_member
from nas.study.process import place, start_of
from tests.helpers.runs import SPACE

STARTERS = 50
PROGRAM = """
import sys
from pathlib import Path
from nas.errors import RunError
from nas.study import Run
from nas.study.membership import become_member
run = Run(Path(sys.argv[1]))
run.storage
print("ready", flush=True)
sys.stdin.readline()
try:
    become_member(run, run.name)
    print("searches", flush=True)
except RunError as error:
    print(error, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose study is in a file or on a server, whose password is in the environment."""
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    if url is not None:
        monkeypatch.setenv("NAS_STORAGE", url)
    return Run.create(SPACE, "first", tmp_path, url)


def member(seat: int = 0, **facts: object) -> Member:
    known = {"token": f"t{seat}", "host": "h", "pid": 1, "place": "p", "start": "s", "seat": seat}
    return Member.model_validate(known | {"began": datetime.now(UTC)} | facts)


def test_of_fifty_threads_that_begin_at_once_one_searches(stored: Run) -> None:
    def begin(_: int) -> str:
        try:
            return become_member(stored, "first").token
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(STARTERS) as pool:
        said = list(pool.map(begin, range(STARTERS)))
    [token] = LeasedStudy(stored).read()[1].tokens
    assert said.count(token) == 1
    refused = [text for text in said if text != token]
    assert all(text.startswith("run 'first' is being searched by process ") for text in refused)
    assert all("nas search --join first" in text for text in refused)


def test_of_processes_that_begin_at_once_one_searches(stored: Run) -> None:
    command = [sys.executable, "-c", PROGRAM, str(stored.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    starters = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    try:
        assert [one.stdout.readline() for one in starters] == ["ready\n"] * 3
        for one in starters:
            one.stdin.write("\n")
            one.stdin.flush()
        said = Counter(one.stdout.readline().split(maxsplit=1)[0] for one in starters)
    finally:
        for one in starters:
            one.kill()
            one.communicate()
    assert said == {"searches": 1, "run": 2}
    become_member(stored, "first")  # the one that searched is gone


def test_a_copied_folder_has_the_lease_of_its_study(stored: Run, tmp_path: Path) -> None:
    become_member(stored, "first")
    shutil.copytree(stored.path, tmp_path / "copy")
    with pytest.raises(RunError, match="run 'copy' is being searched by process"):
        become_member(Run(tmp_path / "copy"), "copy")
    assert become_member(Run(tmp_path / "copy"), "copy", together=True).member.seat == 1


def test_members_that_join_at_once_have_seats_of_their_own(stored: Run) -> None:
    with ThreadPoolExecutor(8) as pool:
        joined = list(pool.map(lambda _: become_member(stored, "first", together=True), range(8)))
    lease = LeasedStudy(stored).read()[1]
    assert sorted(one.member.seat for one in joined) == list(range(8))
    assert (len(lease.members), lease.seats, lease.revision) == (8, 8, 8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: one.leave(), joined))
    lease = LeasedStudy(stored).read()[1]
    assert (lease.members, lease.seats, lease.revision) == ((), 8, 16)
    assert [one.ended for one in read_pulses(stored)] == ["stopped before it began"] * 8
    become_member(stored, "first")
    assert [one.seat for one in LeasedStudy(stored).read()[1].members] == [0]  # so the study does not grow


@pytest.mark.parametrize("text", ["null", "{", "[]", '{"members": [{"token": 3}]}', '"\\ud800"', '{"revision": -1}'])
def test_a_damaged_lease_has_no_members_and_is_replaced(run: Run, text: str) -> None:
    leased = LeasedStudy(run)
    assert leased.swap(None, Lease())
    with run.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE study_system_attributes SET value_json = ? WHERE key = ?", (text, NAME))
    assert leased.read() == (text, Lease())
    assert become_member(run, "first").token in leased.read()[1].tokens


def test_a_lease_is_replaced_only_by_who_has_seen_it(run: Run) -> None:
    leased = LeasedStudy(run)
    first, other = Lease().of([member()]), Lease().of([member(token="x")])
    assert leased.swap(None, first) and not leased.swap(None, other)
    text, _ = leased.read()
    assert leased.swap(text, first.of([])) and not leased.swap(text, other)
    assert leased.read()[1].revision == 2


def test_a_free_seat_is_the_first_one() -> None:
    lease = Lease().of([member(0), member(1), member(3)])
    assert (lease.free_seat(), lease.seats) == (2, 4)
    assert (lease.of([]).free_seat(), lease.of([]).seats) == (0, 4)


def test_a_pulse_of_another_member_in_the_same_seat_is_none_of_this_one(run: Run) -> None:
    leased, mine = LeasedStudy(run), member(began=datetime(2026, 1, 5, tzinfo=UTC))
    sign = pulse.Pulse(host="h", pid=1, alive=datetime(2026, 1, 6, tzinfo=UTC), token="before")
    pulse.write(run.storage, leased.study, sign)
    assert leased.pulse_of(mine) is None and leased.alive(mine) == mine.began
    pulse.write(run.storage, leased.study, sign.model_copy(update={"token": "t0"}))
    assert leased.alive(mine) == sign.alive


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = start_of(process.pid)
        assert start is not None
        here = {"place": place(), "pid": process.pid}
        assert not member(start=start, **here).is_gone()
        assert member(start="another one", **here).is_gone() == bool(start)
        process.kill()
        while start_of(process.pid) is not None:  # it stays as a zombie until its parent has asked about it
            pass
        assert member(start=start, **here).is_gone()
        assert not member(start=start, pid=process.pid, place="another machine").is_gone()
