"""The threads of a slot."""

from __future__ import annotations

import pytest

from nas.searching.trainable import allowed_threads


@pytest.mark.parametrize(
    ("said", "threads"), [(None, 4), ("", 4), ("1", 1), ("2,1", 2), ("64", 4), ("0", 4), ("many", 4), ("-1", 4)]
)
def test_a_slot_has_a_thread_for_each_core_but_no_more_than_the_user_allows(
    said: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert allowed_threads(4) == threads
