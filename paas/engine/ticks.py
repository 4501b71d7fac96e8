"""Ticks shorter than a millisecond: the loop's own timers have none, and uvloop spins on such a sleep."""

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import AsyncIterator

NANOSECONDS = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("first", _TimeSpec))


class Ticks:
    """A timer of the kernel's (timerfd_create(2)) that the loop waits for like for a socket."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ticked = asyncio.Event()

    async def next(self) -> None:
        """Wait for the next tick; ticks that nobody waited for count as one."""
        await self._ticked.wait()
        self._ticked.clear()

    def note(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._ticked.set()


@contextlib.asynccontextmanager
async def ticking(every_secs: float) -> AsyncIterator[Ticks]:
    """Tick at an interval below a second. Raises OSError where the kernel gives no timer."""
    loop = asyncio.get_running_loop()
    interval = _TimeSpec(0, int(every_secs * NANOSECONDS))
    descriptor = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        timer = _TimerSpec(interval, interval)
        _checked(_libc.timerfd_settime(descriptor, 0, ctypes.byref(timer), None))
        ticks = Ticks(descriptor)
        loop.add_reader(descriptor, ticks.note)
        try:
            yield ticks
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
