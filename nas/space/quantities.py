"""Quantities as people write them: 2M, 1.5k parameters; 2GiB, 500MB; 2h, 1h30m, 90s."""

from __future__ import annotations

import math
import re
from fractions import Fraction

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
    """A number of things: 2M is 2,000,000. Raises ValueError."""
    return _scaled(value, COUNTS, "a number such as 500000, 1.5k, 2M or 3G")


def memory(value: object) -> int:
    """Bytes: 2GiB is 2³¹, 500MB is 5·10⁸, a bare number is bytes. Raises ValueError."""
    return _scaled(value, BYTES, "a size such as 800000, 500MB or 2GiB")


def duration(value: object) -> float:
    """Seconds: 1h30m is 5400, 5ms is 0.005, a bare number is seconds. Raises ValueError."""
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


def _scaled(value: object, units: dict[str, int], allowed: str) -> int:
    """number × unit, to the nearest whole."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if match is None:
        amount = _number(value, allowed)
    elif match[2] in units:
        amount = Fraction(match[1]) * units[match[2]]
    else:
        raise _wrong(value, f"{allowed} (units: {', '.join(filter(None, units))})")
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
