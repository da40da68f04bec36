"""Every error that nas raises on purpose, and the reasons of candidates that were not trained to the end.

NasError                    one clear line for a person; the command line prints it and exits with 2
├── TopologyError           a topology breaks a rule; the message names the block
├── SpaceError              a search space file is wrong; the message names file and key
├── TaskError               a task does not exist or its data is wrong
├── RunError                a run exists already, is missing, or cannot be read
│   └── StorageAway         its storage is locked, full or does not answer (nas.study.outage)
├── ExportError             an exported file would differ from the trained network
└── CandidateError          a candidate could not be trained to the end; `reason` is what the record says
    ├── Diverged            the loss is not finite
    ├── OutOfMemory         it does not fit on the device
    ├── TimedOut            it took longer than it may
    ├── Lost                its process died, again and again
    ├── OverLimits          it costs more than `limits` allow
    └── Dismissed           a person ended its trial in the study

DamagedRecord               a warning: a part of a record cannot be read and is left out
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any


class NasError(Exception):
    """The base of all errors below; str(error) is one line."""


class TopologyError(NasError, ValueError):
    """A topology breaks a rule."""


class SpaceError(NasError, ValueError):
    """A search space file is wrong."""


class TaskError(NasError, ValueError):
    """A task does not exist or its data is wrong."""


class RunError(NasError):
    """A run exists already, is missing, or cannot be read."""


class ExportError(NasError):
    """An exported file would differ from the trained network."""


class CandidateError(NasError):
    """A candidate could not be trained to the end."""

    reason = "error"


class Diverged(CandidateError):
    """The loss is not finite."""

    reason = "diverged"


class OutOfMemory(CandidateError):
    """The candidate does not fit on the device."""

    reason = "out of memory"


class TimedOut(CandidateError):
    """The candidate took longer than it may."""

    reason = "timed out"


class Lost(CandidateError):
    """The process of the candidate died: by what it did, or because its machine went away."""

    reason = "lost its process"


class OverLimits(CandidateError):
    """The candidate costs more than `limits` allow; it is never trained."""

    reason = "over the limits"


class Dismissed(CandidateError):
    """A person ended the trial of the candidate in the study, in the Optuna dashboard say."""

    reason = "stopped by a person"


class DamagedRecord(UserWarning):
    """A part of the record of a run cannot be read and is left out; str(warning) is one line."""


def expected(what: str, got: object, allowed: Iterable[str], words: Iterable[str] | None = None) -> str:
    """Return «what must be one of a, b, c, but got 'x' (did you mean 'a'?)»: the rule first, then the value.

    The closest is looked for in `words` if they are given, because what is allowed may be longer: a form with options.
    """
    allowed = list(allowed)
    shown = quoted(got, 80)
    near = list(words or allowed)
    close = difflib.get_close_matches(got, near, n=1) if isinstance(got, str) and len(got) <= 80 else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{what} must be one of {', '.join(allowed)}, but got {shown}{hint}"


def quoted(value: object, most: int = 60) -> str:
    """Return a value of anybody as a message quotes it: one line of at most `most` characters, however large it is.

    A tuple is quoted as a list, because that is how a file has it.
    """
    if isinstance(value, str | bytes):
        text = repr(value[: most + 1])
    elif isinstance(value, int) and value.bit_length() > 1000:  # Python refuses to print more than 4300 digits
        text = f"a whole number of {int(value.bit_length() * math.log10(2)) + 1} digits"
    else:
        text = _CUT.repr(list(value) if isinstance(value, tuple) else value)
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


_CUT = reprlib.Repr()  # it also stands an object whose __repr__ raises
_CUT.maxlevel = 4
_CUT.maxlist = _CUT.maxtuple = _CUT.maxdict = _CUT.maxset = _CUT.maxfrozenset = 20
_CUT.maxstring = _CUT.maxlong = _CUT.maxother = 400


def message_of(error: BaseException, most: int = 300) -> str:
    """Return the message of anybody's exception: one line of at most `most` printable characters, "" if it has none."""
    try:
        text = str.__str__(str(error))[: 20 * most]
    except Exception:  # noqa: BLE001  # the class of the error may be anybody's
        return ""
    return _printable(text, most)


def first_fault(faults: Sequence[Any], most: int = 200, depth: int | None = None) -> str:
    """Return where the first of the faults is that pydantic has found (`ValidationError.errors`), and what, as a line.

    depth  how many steps to the place are named; None for all
    """
    place = ".".join(str(step)[:most] for step in faults[0]["loc"][:depth])
    return _printable(f"{place}: {faults[0]['msg']}" if place else faults[0]["msg"], most)


def _printable(text: str, most: int) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:most]
