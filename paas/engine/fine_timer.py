"""Sleeps shorter than a millisecond: the loop's own timers have none, and uvloop spins on such a sleep."""

import asyncio
import contextlib
import ctypes
import os
import time
from types import TracebackType
from typing import Self

NANOSECONDS = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("first", _TimeSpec))


class FineTimer:
    """A timer of the kernel's (timerfd_create(2)) that the loop waits for like for a socket.

    A context manager. It stays open, and costs nothing while nobody sleeps: whoever is woken by it need not
    wait until one is closed.
    """

    def __init__(self) -> None:
        self._sleepers: list[asyncio.Future[None]] = []
        self._descriptor: int

    async def __aenter__(self) -> Self:
        """Raises OSError where the kernel gives no timer."""
        self._descriptor = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        asyncio.get_running_loop().add_reader(self._descriptor, self._wake)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    async def sleep(self, secs: float) -> None:
        """Sleep for less than a second. Those who sleep at the same time wake with the first of them."""
        if not self._sleepers:
            timer = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(0, int(secs * NANOSECONDS)))
            _checked(_libc.timerfd_settime(self._descriptor, 0, ctypes.byref(timer), None))
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        await sleeper

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if not sleeper.done():  # else it was cancelled
                sleeper.set_result(None)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
