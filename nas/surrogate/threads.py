"""Compute with one thread of BLAS."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread.

    The matrices are small, so that one is the fastest; on a busy machine, several spend their time waiting for another.
    """
    limits: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limits


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
