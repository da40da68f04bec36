"""Calls of Ray on threads of their own: where its head node is gone, each of them may wait for minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
NAME = "ray"


def detached(call: Callable[[], T]) -> Future[T]:
    """Call on another thread, and return the future result. The process may end while the call goes on."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name=NAME, daemon=True).start()
    return future


def is_ray_stuck() -> bool:
    """Return whether a call goes on: Ray would end the process in the middle of its own end."""
    return any(thread.name == NAME for thread in threading.enumerate())
