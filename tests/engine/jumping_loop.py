"""An event loop whose time is real and can be moved forward: timers fire as if it had passed."""

import asyncio

EPOCH = 1_700_000_000.0


class JumpingLoop(asyncio.SelectorEventLoop):
    _ahead = 0.0

    def time(self) -> float:
        return super().time() + self._ahead

    def jump(self, seconds: float) -> None:
        self._ahead += seconds


def jump(seconds: float) -> None:
    """Let that much time have passed at once, for the running loop and for its clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.jump(seconds)


class LoopClock:
    """The time of the running loop, as `core.ports.Clock`."""

    def now(self) -> float:
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
