"""Identifiers of studies and trials that are unique over many storages.

An identifier is `slot << 32 | local`: `local` is the identifier in the storage of the run, and `slot` a number of the
storage. All are below 2^53, so that the JavaScript of a dashboard holds them exactly.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container
from datetime import datetime

from nas.watching import compat

LOCAL_BITS = 32  # as many as the databases give to a key
SLOTS = 2 ** (53 - LOCAL_BITS)
EPOCH = datetime(2020, 1, 1)
SLOT_S = 600  # seconds of a slot: the slots last for forty years


def slot_of(created: str, taken: Container[int]) -> int:
    """Return the slot for a run that was created at this time (ISO 8601): the first from there on that is not taken.

    Runs keep their slots when the dashboard is started again, and later runs have larger ones.
    """
    slot = 1
    with contextlib.suppress(ValueError):
        since = datetime.fromisoformat(created).replace(tzinfo=None) - EPOCH
        slot = min(max(1, int(since.total_seconds() // SLOT_S)), SLOTS - 1)
    while slot in taken:
        slot = slot % (SLOTS - 1) + 1
    return slot


def join(slot: int, local: int) -> int:
    """Return the identifier of what a storage calls `local`."""
    return slot << LOCAL_BITS | local


def split(identifier: int) -> tuple[int, int]:
    """Return the slot and the local identifier."""
    return identifier >> LOCAL_BITS, identifier & (1 << LOCAL_BITS) - 1


def shared_key(slot: int, key: str) -> str:
    """Return the name of a system attribute of a study with the identifier of its trial instead of the local one."""
    return (
        compat.NAMES_A_TRIAL.sub(lambda found: f"{found[1]}{join(slot, int(found[2]))}", key, count=1)
        if ":" in key
        else key
    )


def local_key(slot: int, key: str) -> str:
    """Return the name of a system attribute as the storage knows it: the inverse of `shared_key`."""

    def local(found: re.Match[str]) -> str:
        owner, trial = split(int(found[2]))
        return f"{found[1]}{trial if owner == slot else found[2]}"

    return compat.NAMES_A_TRIAL.sub(local, key, count=1) if ":" in key else key
