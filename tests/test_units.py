"""Numbers written for people."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas import units

MIB = 2**20


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (units.count, 0, "0"),
        (units.count, 999, "999"),
        (units.count, 1000, "1.00k"),
        (units.count, 9_996, "10.0k"),
        (units.count, 12_345, "12.3k"),
        (units.count, 999_600, "1.00M"),
        (units.count, 25_557_032, "25.6M"),
        (units.memory, 812, "812 B"),
        (units.memory, 1.2 * MIB, "1.20 MiB"),
        (units.memory, 1023.9 * 1024, "1.00 MiB"),
        (units.memory, 3 * 2**40, "3.00 TiB"),
        (units.share, 0.97222, "97.22%"),
        (units.number, 93.127, "93.13"),
        (units.metric, 0.97, "0.9700"),
        (units.metric, -0.12345, "-0.1235"),
        (units.metric, 93.127, "93.13"),
        (units.duration, 0.04, "0.0s"),
        (units.duration, 59.94, "59.9s"),
        (units.duration, 4.21, "4.2s"),
        (units.duration, 59.96, "1m 00s"),
        (units.duration, 80, "1m 20s"),
        (units.duration, 3599.6, "1h 00m"),
        (units.duration, 7500, "2h 05m"),
        (units.duration, 86_380, "1d 00h"),
        (units.duration, 273_600, "3d 04h"),
        (units.large, 531_441, "531,441"),
        (units.large, 12_345_678, "12.3 million"),
        (units.large, 123_456_789_012, "1.2 × 10¹¹"),
        (units.large, 3 * 10**400, "3.0 × 10⁴⁰⁰"),
    ],
)
def test_written(show: object, value: float, text: str) -> None:
    assert callable(show)
    assert show(value) == text


@pytest.mark.parametrize("show", [units.count, units.memory, units.share, units.number, units.metric, units.duration])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_missing_is_a_dash(show: object, value: float | None) -> None:
    assert callable(show)
    assert show(value) == units.MISSING


@given(st.integers(0, 10**17))
def test_count_is_within_half_a_percent(value: int) -> None:
    text = units.count(value)
    power = {"k": 3, "M": 6, "G": 9, "T": 12, "P": 15}.get(text[-1], 0)
    read = float(text.rstrip("kMGTP")) * 10**power
    assert abs(read - value) <= 0.00501 * value
    assert len(text) <= 6
