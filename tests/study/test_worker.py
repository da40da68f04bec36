"""The background thread."""

from __future__ import annotations

import pytest

from nas.study.worker import Worker


def test_a_worker_raises_what_went_wrong_before() -> None:
    worker = Worker("test")
    assert worker.submit(int, "3").result() == 3
    worker.submit(int, "three")
    with pytest.raises(ValueError, match="three"):
        worker.flush()
    worker.submit(int, "four").exception()
    with pytest.raises(ValueError, match="four"):
        worker.submit(int, "5")
    worker.close()
