"""Compare the record of a search that faults have struck with what its candidates wrote themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.faults import candidates
from benchmarks.faults.victim import Finished, Victim

REASONS = {  # how the record begins to say why a sick candidate failed
    "nan": "diverged",
    "exception": "error: ValueError",
    "exit": "lost its process",
    "hang": "timed out",
    "memory": "out of memory",
}


@dataclass
class Account:
    """What an audit found: counts, each of which must be 0, and a line for each thing that was counted.

    lost       trials that had ended and are not in the record as they were
    twice      trainings beyond the first of a candidate and those that ran when a fault was done
    blamed     candidates recorded as FAIL that had nothing
    untrue     states that are not what happened, sessions that ended in another way than they should
    left       processes and files that outlived the search
    seconds    how long it took after each fault to go on, or to end
    """

    lost: int = 0
    twice: int = 0
    blamed: int = 0
    untrue: int = 0
    left: int = 0
    seconds: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def faulty(self) -> int:
        """How much is wrong."""
        return self.lost + self.twice + self.blamed + self.untrue + self.left

    def count(self, what: str, line: str) -> None:
        """Count something that must not be."""
        setattr(self, what, getattr(self, what) + 1)
        self.lines.append(f"{what}: {line}")

    def add(self, other: Account) -> None:
        """Add what another audit found."""
        for name in ("lost", "twice", "blamed", "untrue", "left", "seconds", "lines"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def audit(victim: Victim, codes: frozenset[int], deaths: int) -> Account:
    """Audit a search that has ended.

    codes   the exit codes with which a session may end besides 0
    deaths  how often a candidate may begin that kills its process
    """
    found, finished = Account(seconds=victim.seconds), victim.finished()
    for line in _lost(victim, finished):
        found.count("lost", line)
    for line in _twice(victim, finished, deaths):
        found.count("twice", line)
    for number, trial in finished.items():
        if trial.state == "FAIL" and not _is_sick(victim, trial):
            found.count("blamed", f"trial {number}: {trial.reason}")
        elif wrong := _untrue(victim, trial):
            found.count("untrue", f"trial {number}: {wrong}")
    for line in (*_incomplete(victim, finished), *_wrong_ends(victim, codes)):
        found.count("untrue", line)
    for line in victim.left():
        found.count("left", line)
    return found


def _lost(victim: Victim, finished: dict[int, Finished]) -> Iterator[str]:
    for strike in victim.strikes:
        for number, trial in strike.finished.items():
            if finished.get(number) != trial:
                yield f"trial {number} was {trial}, and is {finished.get(number)}"


def _twice(victim: Victim, finished: dict[int, Finished], deaths: int) -> Iterator[str]:
    """Yield each training that no fault explains: a candidate may begin once more after each that struck it.

    One that was out of memory is tried once more, alone.
    """
    began: dict[str, list[float]] = {}
    for note in victim.notes():
        if note["what"] == "began":
            began.setdefault(note["key"], []).append(note["time"])
    for key, times in began.items():
        allowed = {"exit": deaths, "memory": 2}.get(victim.sick, 1) if candidates.is_sick(key) else 1
        for strike in victim.strikes:
            allowed += times[0] < strike.time and key not in strike.before
        if len(times) > allowed:
            yield f"{key} began {len(times)} times, {allowed} are explained"


def _is_sick(victim: Victim, trial: Finished) -> bool:
    return bool(victim.sick) and candidates.is_sick(trial.key)


def _untrue(victim: Victim, trial: Finished) -> str | None:
    """Return what is wrong with a trial that ended as it may."""
    if _is_sick(victim, trial):
        right = trial.state == "FAIL" and str(trial.reason).startswith(REASONS[victim.sick])
        return None if right else f"{trial.state} ({trial.reason}), but it had {victim.sick}"
    ended = {note["key"] for note in victim.notes() if note["what"] == "ended"}
    if trial.key not in ended:
        return f"{trial.state}, but its training did not end"
    right = trial.value == candidates.accuracy(trial.key)
    return None if right else f"{trial.value} is not what it reported"


def _incomplete(victim: Victim, finished: dict[int, Finished]) -> Iterator[str]:
    """Yield what is missing in the record of a search whose last session went to its end."""
    states = Counter(trial.state.name for trial in victim.trials_of_study())
    if len(finished) != victim.trials or set(states) - {"COMPLETE", "FAIL"}:
        yield f"{victim.trials} trials were asked for, the record has {dict(states)}"
    keys = Counter(trial.key for trial in finished.values())
    yield from (f"{key} is in the record {count} times" for key, count in keys.items() if count > 1)


def _wrong_ends(victim: Victim, codes: frozenset[int]) -> Iterator[str]:
    for code, said in victim.ends:
        last = said.strip().splitlines()[-1:] or ["nothing was said"]
        if code not in codes | {0}:
            yield f"a session ended with {code}: {last[0][:300]}"
        elif "Traceback" in said:
            yield f"a session ended with a traceback: {last[0][:300]}"
