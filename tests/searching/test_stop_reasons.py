"""Signals: the first stops a search, the second ends it, and a search that cannot end is ended."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.searching.stop_reasons import INTERRUPTED, SIGNALS, interrupts, stop_reason


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers are after each test what they were before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert before == {number: signal.getsignal(number) for number in SIGNALS}


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_stops_and_the_second_raises(number: signal.Signals) -> None:
    with interrupts() as interrupted:
        reason = stop_reason(None, interrupted)
        assert reason() is None
        os.kill(os.getpid(), number)
        assert reason() == INTERRUPTED
        assert interrupted.signal is number
        with pytest.raises(KeyboardInterrupt if number is signal.SIGINT else SystemExit):
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.signal is number  # which says the exit code


def test_another_handler_is_replaced_when_signals_are_heeded_again() -> None:
    """Ray replaces the handler of SIGTERM in the middle of its start."""
    with interrupts() as interrupted:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interrupted.heed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted.is_set()


def test_signals_that_were_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts() as interrupted:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupted.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_hears_no_signal() -> None:
    heard = []

    def other() -> None:
        with interrupts() as interrupted:
            heard.append(interrupted.signal)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert heard == [None]


STUCK = """
import signal, sys, threading
from nas.searching import stop_reasons
stop_reasons.GRACE_S, stop_reasons.HURRY_S = {grace}, {hurry}
with stop_reasons.interrupts():
    for number in {numbers}:
        try:
            signal.raise_signal(number)
        except (KeyboardInterrupt, SystemExit):
            pass
    threading.Event().wait({wait})
"""


@pytest.mark.parametrize(
    ("numbers", "grace", "hurry", "code"),
    [
        ([signal.SIGTERM], 0.1, 60, 143),  # it does not end in time
        ([signal.SIGHUP], 0.1, 60, 129),
        ([signal.SIGTERM, signal.SIGTERM], 60, 0.1, 143),
        ([signal.SIGINT, signal.SIGINT], 60, 0.1, 130),
    ],
)
def test_a_search_that_does_not_end_is_ended(numbers: list[int], grace: float, hurry: float, code: int) -> None:
    program = STUCK.format(numbers=[int(number) for number in numbers], grace=grace, hurry=hurry, wait=60)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.returncode == code, done.stderr
    assert done.stderr == f"nas: ended at once, 0.1 s after {signal.Signals(numbers[0]).name}; --resume goes on\n"


def test_one_ctrl_c_may_take_as_long_as_it_takes() -> None:
    program = STUCK.format(numbers=[int(signal.SIGINT)], grace=0.05, hurry=0.05, wait=0.5)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


CLOSED = """
import os, signal, sys, time
from nas.searching.stop_reasons import interrupts
with interrupts() as interrupted:
    print("ready", flush=True)
    interrupted.wait(50)
    print("to nobody", flush=True)
    with open({path!r}, "w") as file:
        file.write("done")
"""


def test_a_closed_terminal_stops_a_search_and_takes_its_output(tmp_path: Path) -> None:
    """Without a terminal every print raises OSError."""
    path = tmp_path / "done"
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", CLOSED.format(path=str(path))])
    assert b"ready" in os.read(terminal, 100)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert path.read_text() == "done"
