"""The settings of malloc in a process that trains on a CPU: memory that one step frees is kept for the next step.

By default glibc returns the memory of an activation to the system as soon as it is free, and the system clears and
maps every page again for the next one: 5 to 9 % of the time of a small ResNet.
"""

from __future__ import annotations

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # constants of malloc.h
LARGEST = 2**30, 2**25  # bytes of the largest tensor to keep; older versions of glibc accept the second at most


def keep_freed_memory() -> None:
    """Make the process keep the memory that it frees until `return_freed_memory`. Does nothing without glibc."""
    if (libc := _glibc()) is not None and any(libc.mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST):
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Return all memory that is free to the system. Does nothing without glibc."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library of the process, or None if it is not glibc."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version, libc.mallopt, libc.malloc_trim  # noqa: B018  # AttributeError if it lacks one
    except (AttributeError, OSError, TypeError):
        return None
    return libc
