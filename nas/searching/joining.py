"""Join a search: what a process must share with the others, and what it may decide for itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.errors import RunError
from nas.space import SearchSpace
from nas.study.membership import become_member

if TYPE_CHECKING:
    from nas.study import Run
    from nas.study.membership import Membership

OWN = ("time",)  # search settings of each process


def check_joining(changes: Mapping[str, Any], **others: object) -> None:
    """Raise RunError if a process that joins a search would change it.

    changes  search settings that are given
    others   what else may not be given
    """
    given = [name for name in changes if name not in OWN] + [name for name, value in others.items() if value]
    if given:
        raise RunError(f"{given[0]} is a setting of the whole search: a process that joins it cannot change it")


def member_of_search(run: Run, space: SearchSpace, *, join: bool) -> Membership:
    """Become a member of the search of a run with this space. Raises RunError (nas.study.lease.become_member)."""
    return become_member(run, run.name, together=join, settings=settings_of(space))


def settings_of(space: SearchSpace) -> str:
    """Return a text that is the same for spaces that can be searched together."""
    data = space.to_dict()
    data["search"] = {name: value for name, value in data["search"].items() if name not in OWN}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
