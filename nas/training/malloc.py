"""The process' heap while it trains on a CPU: what one step frees is there for the next, and goes back at the end.

By itself glibc returns an activation's memory to the system as soon as it is free, and has every page cleared and
mapped anew for the next one: 5 to 9 % of the time of a small ResNet.
"""

from __future__ import annotations

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**30, 2**25  # bytes of a tensor that may stay; older versions of glibc take the second at most


def keep_freed_memory() -> None:
    """What is freed stays with the process, until it is given back."""
    if (libc := _glibc()) is not None and any(libc.mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST):
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """What is free goes back to the system."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """None where the C library is another one."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version, libc.mallopt, libc.malloc_trim  # noqa: B018
    except (AttributeError, OSError, TypeError):
        return None
    return libc
