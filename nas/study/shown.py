"""The user attributes of a trial: what people see of its record in the Optuna dashboard and in other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas import units
from nas.space import OBJECTIVES
from nas.study.attributes import BASELINE, KEY, LINE, PAIR, PILOT, PREDICTED, REASON, REPEAT, SEED

LONGEST = 100  # characters of a value: a longer one makes the page of a trial wider than a screen


def user_attributes(record: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the user attributes for a record: its topology, role, key, seed, costs and reason, each in a few words."""
    shown: dict[str, str | int] = {}
    if LINE in record:
        shown["topology"] = units.short(record[LINE], LONGEST)
    if role := role_of(record):
        shown["role"] = units.short(role, LONGEST)
    shown |= {name: record[name] for name in (KEY, SEED) if name in record}
    for name, value in (record.get(PREDICTED) or {}).items():
        shown[name] = OBJECTIVES[name].unit_format.show(value) if name in OBJECTIVES else units.number(value)
    if REASON in record:
        shown[REASON] = units.short(record[REASON], LONGEST)
    return shown


def role_of(record: Mapping[str, Any]) -> str:
    """Return why the search tried the trial, if not as one of its own proposals: "baseline resnet", "a repeat"."""
    roles = []
    if BASELINE in record:
        roles.append(f"baseline {record[BASELINE]}")
    if PILOT in record:
        roles.append("of the pilot")
    if REPEAT in record:
        roles.append(f"repeat {record[REPEAT]} of its topology")
    if isinstance(pair := record.get(PAIR), Mapping):
        roles.append(f"trial {pair.get('of')} with {pair.get('decision')}: {pair.get('value')}")
    return ", ".join(roles)
