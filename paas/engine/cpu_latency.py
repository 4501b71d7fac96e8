"""Keeps idle processors awake for the moments of a wake, where the kernel lets us."""

import asyncio
import contextlib
import logging
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)

DEVICE = Path("/dev/cpu_dma_latency")
AT_ONCE = struct.pack("=i", 0)  # microseconds that a processor may take to come back
ANY = struct.pack("=i", 2_000_000_000)  # as if nobody had asked


class CpuLatency:
    """The kernel's "PM quality of service" for processors (Documentation/power/pm_qos_interface.rst).

    A wake goes from one processor to another five times, and one that idles takes 0.05 to 0.2 ms to come back
    on a virtual machine, and sometimes milliseconds. A context manager. Without the right to ask, which is
    root's, or on a kernel without it, it does nothing; if the agent dies, the kernel forgets what it asked.
    """

    def __init__(self, device: Path = DEVICE) -> None:
        self._device = device
        self._descriptor: int | None = None
        self._end: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def hold(self, secs: float) -> None:
        """Let no processor idle deeply for so long from now on."""
        if self._descriptor is None:
            return
        if self._end is None:
            self._ask(self._descriptor, AT_ONCE)
        else:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(secs, self._let_go)

    def _let_go(self) -> None:
        self._end = None
        if self._descriptor is not None:
            self._ask(self._descriptor, ANY)

    def _ask(self, descriptor: int, words: bytes) -> None:
        try:
            os.write(descriptor, words)
        except OSError as error:
            logger.warning("Cannot ask for quick processors: %s", error, extra={"event": "latency.failed"})
