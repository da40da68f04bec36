"""The journal of a run: results that could not be written into its storage, until a later session writes them.

    runs/<name>/journal/
      <time>-<word>.jsonl             one line for each trial that has ended
      <time>-<word>-<n>.safetensors   the weights of those that lead

Anybody may have written a journal: it is checked whole before any of it is used.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from nas.errors import RunError, first_fault, message_of
from nas.files import write_whole
from nas.study.attributes import CANDIDATE

if TYPE_CHECKING:
    from nas.study.writer import TrialHandle

ENDS: dict[TrialState, Literal["COMPLETE", "PRUNED", "FAIL"]] = {
    TrialState.COMPLETE: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAIL",
}
LARGEST = 2**28  # bytes of a journal
LONGEST = 10**4  # parameters or attributes of a trial


class Result(BaseModel):
    """A trial that has ended, as a line of a journal.

    number   that of the trial in the study; None if the study does not hold it
    weights  the name of a file beside the journal; None without weights
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, ser_json_inf_nan="constants")

    number: Annotated[int, Field(ge=0, lt=2**31)] | None
    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    values: Annotated[list[float], Field(max_length=1000)] | None
    started: datetime | None
    ended: datetime
    params: Annotated[dict[str, str | int | float | bool | None], Field(max_length=LONGEST)]
    distributions: Annotated[dict[str, str], Field(max_length=LONGEST)]
    user_attrs: Annotated[dict[str, JsonValue], Field(max_length=LONGEST)]
    system_attrs: Annotated[dict[str, JsonValue], Field(max_length=LONGEST)]
    weights: Annotated[str, Field(pattern=r"^[0-9a-f-]{1,60}\.safetensors$")] | None = None

    def trial(self) -> FrozenTrial:
        """Return the trial. Raises ValueError if the line describes none."""
        made = create_trial(
            state=TrialState[self.state],
            values=self.values,
            params=self.params,
            distributions={name: json_to_distribution(text) for name, text in self.distributions.items()},
            user_attrs=self.user_attrs,
            system_attrs=self.system_attrs,
        )
        made.datetime_start, made.datetime_complete = self.started or self.ended, self.ended
        return made


@dataclass(eq=False)
class UnwrittenResult:
    """The end of a trial that is not in the storage.

    begun                     the trial as it was before its training; None if that is not known here
    user_attrs, system_attrs  all that it is to have, as plain JSON
    """

    handle: Future[TrialHandle]
    begun: FrozenTrial | None
    state: TrialState
    values: Sequence[float] | None
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    ended: datetime = field(default_factory=datetime.now)


class Journal:
    """Collects what could not be written, and writes it into a folder."""

    def __init__(self) -> None:
        self.results: list[UnwrittenResult] = []
        self.weights: dict[Future[TrialHandle], bytes] = {}

    def write(self, folder: Path) -> Path | None:
        """Write the results, whole or not at all, and return the file; None if there are none.

        The weights that are written are removed from `weights`; those that stay are lost. Raises OSError.
        """
        if not self.results:
            return None
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
        lines = [self._line(one, folder / f"{stem}-{place}.safetensors") for place, one in enumerate(self.results)]
        return write_whole(folder / f"{stem}.jsonl", "\n".join(lines) + "\n")

    def _line(self, one: UnwrittenResult, weights: Path) -> str:
        content, begun = self.weights.get(one.handle), one.begun
        if content is not None:
            try:
                write_whole(weights, content)
                del self.weights[one.handle]
            except OSError:  # a result is small, and may find room where its weights do not
                content = None
        distributions = {} if begun is None else begun.distributions
        return Result(
            number=one.handle.result().number if is_created(one.handle) else None,
            state=ENDS[one.state],
            values=None if one.values is None else list(map(float, one.values)),
            started=None if begun is None else begun.datetime_start,
            ended=one.ended,
            params={} if begun is None else begun.params,
            distributions={name: distribution_to_json(each) for name, each in distributions.items()},
            user_attrs=one.user_attrs,
            system_attrs=one.system_attrs,
            weights=None if content is None else weights.name,
        ).model_dump_json()


def is_created(handle: Future[TrialHandle]) -> bool:
    """Return whether the storage has created the trial of a handle by now."""
    return handle.done() and handle.exception() is None


def journals(folder: Path) -> list[Path]:
    """Return the journals in the folder, the oldest first."""
    return sorted(folder.glob("*.jsonl"))


def read_journal(path: Path) -> list[tuple[Result, FrozenTrial]]:
    """Return the results of a journal, each with its trial. Raises RunError if the file is no journal."""
    try:
        if path.stat().st_size > LARGEST:
            raise RunError(f"{path} is no journal: it is larger than {LARGEST:,} bytes")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    found = []
    for place, line in enumerate(lines, 1):
        try:
            result = Result.model_validate_json(line)
            found.append((result, result.trial()))
        except ValidationError as error:
            raise RunError(f"{path} is no journal: line {place}: {first_fault(error.errors())}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # of Optuna's checks
            raise RunError(f"{path} is no journal: line {place}: {message_of(error, 200)}") from None
    return found


def same_candidate(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Return whether the system attributes of two trials tell of the same candidate, one of them as it is stored."""
    return CANDIDATE in left and json.loads(json.dumps(left[CANDIDATE])) == json.loads(json.dumps(right.get(CANDIDATE)))
