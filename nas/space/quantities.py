"""Quantities in a space file, as people write them: 2M, 1.5k; 2GiB, 500MB; 2h, 1h30m, 90s. `UNITS` is the one table of
their units: how the values of each are read, written for people and drawn on an axis.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from nas import units
from nas.units import Show, or_dash

COUNTS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BYTES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
SECONDS: dict[str, int | Fraction] = {"s": 1, "m": 60, "h": 3600, "d": 86400} | {
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
}
LARGEST = 10**18

_UNIT = "(?:us|ms|[smhd])"
_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?"


def count(value: object) -> int:
    """Read a count: 2M is 2,000,000. Raises ValueError."""
    return _scaled(value, COUNTS, "a number such as 500000, 1.5k, 2M or 3G")


def memory(value: object) -> int:
    """Read a size in bytes: 2GiB is 2³¹, 500MB is 5·10⁸, a bare number is bytes. Raises ValueError."""
    return _scaled(value, BYTES, "a size such as 800000, 500MB or 2GiB")


def duration(value: object) -> float:
    """Read a time in seconds: 1h30m is 5400, 5ms is 0.005, a bare number is seconds. Raises ValueError."""
    allowed = "a time such as 90s, 30m, 2h or 1h30m"
    if isinstance(value, str) and re.fullmatch(rf"\s*({_NUMBER}\s*{_UNIT}\s*)+", value):
        parts = re.findall(rf"({_NUMBER})\s*({_UNIT})", value)
        if len({unit for _, unit in parts}) < len(parts):
            raise _wrong(value, allowed)
        seconds = sum((Fraction(number) * SECONDS[unit] for number, unit in parts), Fraction(0))
    else:
        seconds = _number(value, allowed)
    if not 0 < seconds <= LARGEST:
        raise _wrong(value, allowed)
    return float(seconds)


def number(value: object) -> float:
    """Read a number that has no unit. Raises ValueError."""
    return float(_number(value, "a number such as 0.5 or 20"))


def _scaled(value: object, factors: dict[str, int], allowed: str) -> int:
    """Return number × factor of the unit, rounded to a whole number."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if match is None:
        amount = _number(value, allowed)
    elif match[2] in factors:
        amount = Fraction(match[1]) * factors[match[2]]
    else:
        raise _wrong(value, f"{allowed} (units: {', '.join(filter(None, factors))})")
    if not 1 <= amount <= LARGEST:
        raise _wrong(value, allowed)
    return round(amount)


def _number(value: object, allowed: str) -> Fraction:
    if isinstance(value, str) and re.fullmatch(_NUMBER, value.strip()):
        return Fraction(value.strip())
    if type(value) is int or (isinstance(value, float) and math.isfinite(value)):
        return Fraction(value)
    raise _wrong(value, allowed)


def _wrong(value: object, allowed: str) -> ValueError:
    return ValueError(f"must be {allowed}, but got {repr(value)[:60]}")


@dataclass(frozen=True)
class Unit:
    """The rules by which the values of one unit are read, written and drawn.

    read    reads a bound in a space file; raises ValueError
    show    writes a value in a table, in few digits
    exact   writes a value in a card, in more digits
    ticks   the format of the ticks of an axis, in the notation of d3; if empty, plotly chooses it
    suffix  follows the number at each tick
    binary  whether the ticks of an axis stand at powers of two
    of_difference  writes how large a difference is; as `show` does, unless given
    word    follows that number in a sentence
    """

    read: Callable[[object], int | float]
    show: Show
    exact: Show
    ticks: str = "~s"
    suffix: str = ""
    binary: bool = False
    of_difference: Show | None = None
    word: str = ""

    def amount(self, difference: float | None) -> str:
        """Return how large a difference is, without its sign."""
        return (self.of_difference or self.show)(None if difference is None else abs(difference))

    def signed(self, difference: float | None) -> str:
        """Return a difference with its sign: +1.23, −40."""
        if difference is None or not math.isfinite(difference):
            return units.MISSING
        return f"{'+' if difference >= 0 else '−'}{self.amount(difference)}"


UNITS: dict[str, Unit] = {
    "": Unit(number, units.number, units.metric, ticks=""),
    # 0 … 1, shown in percent
    "share": Unit(number, units.share, units.metric, ticks="~%", of_difference=units.points, word=" points"),
    "count": Unit(count, units.count, units.whole),
    "bytes": Unit(memory, units.memory, units.mebibytes, binary=True),
    "s": Unit(duration, units.duration, units.duration, suffix="s"),
    "s/sample": Unit(duration, units.latency, units.latency, suffix="s"),  # seconds that one sample takes
}


def unit(name: str) -> Unit:
    """Return the unit of that name. A name that UNITS does not hold, such as "J", is written after the number."""
    if name in UNITS:
        return UNITS[name]
    written = or_dash(lambda value: f"{units.number(value)} {name}")
    return Unit(number, written, written, suffix=name)
