"""Identifiers go to the dashboard and back."""

from __future__ import annotations

import pytest

from nas.watching.identifiers import SLOTS, join, local_key, shared_key, slot_of, split


@pytest.mark.parametrize(("slot", "local"), [(1, 1), (360_000, 2**31), (SLOTS - 1, 2**32 - 1)])
def test_identifiers_are_unique_and_exact_in_javascript(slot: int, local: int) -> None:
    identifier = join(slot, local)
    assert split(identifier) == (slot, local)
    assert identifier <= 2**53 - 1
    assert int(float(identifier)) == identifier


def test_later_runs_have_larger_slots_and_keep_them() -> None:
    first, later = slot_of("2026-01-01T00:00:00", ()), slot_of("2026-01-02T00:00:00.000001", ())
    assert 0 < first < later < SLOTS
    assert slot_of("2026-01-01T00:00:00", {first}) == first + 1
    assert slot_of("2026-01-01T00:00:00", ()) == first
    assert slot_of("2026-01-01T00:00:00+02:00", ()) == first


@pytest.mark.parametrize("created", ["", "yesterday", "1999-01-01T00:00:00", "9999-01-01T00:00:00"])
def test_a_run_without_a_sensible_time_has_a_slot(created: str) -> None:
    assert 0 < slot_of(created, ()) < SLOTS
    taken = {slot_of(created, ())}
    assert slot_of(created, taken) not in {0, SLOTS, *taken}


@pytest.mark.parametrize(
    ("key", "shared"),
    [
        ("dashboard:12:note_ver", f"dashboard:{join(3, 12)}:note_ver"),
        ("dashboard:12:note_str:0", f"dashboard:{join(3, 12)}:note_str:0"),
        ("dashboard:artifacts:12:ab-3", f"dashboard:artifacts:{join(3, 12)}:ab-3"),
        ("preference:skip_trial:12", f"preference:skip_trial:{join(3, 12)}"),
        ("dashboard:note_ver", "dashboard:note_ver"),
        ("dashboard:note_str:0", "dashboard:note_str:0"),
        ("artifacts:12", "artifacts:12"),
        ("nas:12:x", "nas:12:x"),
    ],
)
def test_attributes_that_name_a_trial_go_to_and_fro(key: str, shared: str) -> None:
    assert shared_key(3, key) == shared
    assert local_key(3, shared) == key
