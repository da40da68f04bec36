"""Write numbers for people: 12.3k, 1.20 MiB, 1m 20s. A missing number (None, NaN, infinite) is a dash.

Used by the display of a running search and by every table, so it is at the bottom of the package. The opposite, reading
such texts in a space file, is nas.space.quantities.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

MISSING = "–"
Show = Callable[[float | None], str]
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def or_dash(show: Callable[[float], str]) -> Show:
    """Return a function that writes a missing number as a dash, and every other one as `show` does."""

    @functools.wraps(show)
    def shown(value: float | None) -> str:
        return MISSING if value is None or not math.isfinite(value) else show(value)

    return shown


@or_dash
def count(value: float) -> str:
    """Return a count with three digits and a power of 1000: 980, 12.3k, 4.56M, 1.20G."""
    return _scaled(value, 1000, ("", "k", "M", "G", "T", "P"))


@or_dash
def memory(value_bytes: float) -> str:
    """Return bytes with three digits and a power of 1024: 812 B, 1.20 MiB, 3.45 GiB."""
    return _scaled(value_bytes, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


@or_dash
def mebibytes(value_bytes: float) -> str:
    """Return bytes in MiB with one decimal, 12.3 MiB, or from 1 GiB on in GiB with two, 1.20 GiB."""
    return f"{value_bytes / 2**30:.2f} GiB" if value_bytes >= 2**30 else f"{value_bytes / 2**20:.1f} MiB"


@or_dash
def whole(value: float) -> str:
    """Return a whole number with every digit: 1,234,567."""
    return f"{value:,.0f}"


@or_dash
def share(value: float) -> str:
    """Return a share in percent: 0.9722 is 97.22%."""
    return f"{100 * value:.2f}%"


@or_dash
def points(value: float) -> str:
    """Return a difference of shares in hundredths: 0.0123 is 1.23."""
    return f"{100 * value:.2f}"


@or_dash
def number(value: float) -> str:
    """Return a number with four significant digits: 0.9722, 93.13, 1.235e+04."""
    return f"{value:.4g}"


@or_dash
def metric(value: float) -> str:
    """Return a metric with four decimals, 0.9700, or from 10 on with four significant digits, 93.13."""
    return f"{value:.4f}" if abs(value) < 10 else number(value)


@or_dash
def duration(seconds: float) -> str:
    """Return seconds as a duration: 4.2s, 1m 20s, 2h 05m, 3d 04h."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    if seconds < 3599.5:
        return "{}m {:02}s".format(*divmod(round(seconds), 60))
    if seconds < 86370:
        return "{}h {:02}m".format(*divmod(round(seconds / 60), 60))
    return "{}d {:02}h".format(*divmod(round(seconds / 3600), 24))


@or_dash
def latency(seconds: float) -> str:
    """Return seconds as a short time with three digits: 850 µs, 1.25 ms, 3.40 s."""
    return _scaled(seconds * 1e6, 1000, (" µs", " ms", " s"))


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    """Return `value` with three digits, in the smallest unit in which it is below `base`."""
    unit = units[0]
    for unit in units:
        if abs(value) < base - 0.5:
            break
        value = value if unit == units[-1] else value / base
    digits = (
        0 if unit == units[0] and value == int(value) else 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    )
    return f"{value:.{digits}f}{unit}"


def large(value: int) -> str:
    """Return a large count: 531,441, from a million on 1.2 million, from a thousand millions on 3.4 × 10⁹."""
    if value < 10**6:
        return f"{value:,}"
    if value < 10**9:
        return f"{value / 10**6:.3g} million"
    power = len(str(value)) - 1
    lead = value // 10 ** (power - 1) / 10  # by whole numbers: a space may hold more than a float can
    return f"{lead} × 10{str(power).translate(RAISED)}"


def short(text: object, most: int) -> str:
    """Return the text in one line of at most so many characters, without control characters."""
    line = printable(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def printable(text: object) -> str:
    """Return the text in one line, without the control characters that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text))
