"""Processors are kept from idling deeply for a moment, and no longer."""

import asyncio
import struct
from pathlib import Path

from paas.engine.cpu_latency import ANY, AT_ONCE, DEVICE, CpuLatency
from tests.requirements import leave_out, require_root
from tests.waiting import until

MOMENT_SECS = 0.05
LONG_SECS = 60.0


def asked() -> int:
    """Read what the kernel holds to now, in microseconds."""
    (latency,) = struct.unpack("=i", DEVICE.read_bytes()[:4])
    return int(latency)


def nobody_asks() -> bool:
    """Say whether nobody on this machine does: an agent that wakes an app does so for a moment."""
    return asked() > 0


async def test_the_kernel_is_asked_for_a_moment() -> None:
    require_root()
    if not DEVICE.exists():
        leave_out(f"needs {DEVICE}, which containers seldom have")
    with CpuLatency() as latency:
        latency.hold(MOMENT_SECS)
        assert asked() == 0

        await until(nobody_asks)

        latency.hold(LONG_SECS)
        assert asked() == 0
    await until(nobody_asks)


async def test_a_hold_is_made_longer_by_the_next(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.touch()
    with CpuLatency(device) as latency:
        latency.hold(MOMENT_SECS)
        latency.hold(LONG_SECS)
        await asyncio.sleep(2 * MOMENT_SECS)
        assert device.read_bytes() == AT_ONCE

        latency.hold(0.0)
        await until(lambda: device.read_bytes() == AT_ONCE + ANY)


async def test_nothing_is_asked_where_it_cannot_be(tmp_path: Path) -> None:
    with CpuLatency(tmp_path / "absent") as latency:
        latency.hold(MOMENT_SECS)

    latency.hold(MOMENT_SECS)  # nor after its end
