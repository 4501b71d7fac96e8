"""How many new connections a task is offered at once.

Many servers let only five connections wait to be accepted (Python's http.server does). The kernel
drops what comes beyond that, and a client whose handshake was dropped waits for seconds or for
ever. So a crowd that waited for a wake is let in as the first of it are answered, and, for apps
that answer late, a little more with time.
"""

import asyncio
import collections
from collections.abc import Callable

UNANSWERED = 4  # new connections on which nothing was heard yet; below every common backlog
STEP_SECS = 0.002  # one more is let in after this time without an answer


class Opening:
    """The way into one task. Forget it when `is_idle`."""

    __slots__ = ("_queue", "_timer", "_unanswered")

    def __init__(self) -> None:
        self._queue: collections.deque[Callable[[], None]] = collections.deque()
        self._unanswered = 0
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connect: Callable[[], None]) -> None:
        """Call `connect` now or when its turn comes; `answered` must follow each call once."""
        if self._unanswered < UNANSWERED and not self._queue:
            self._unanswered += 1
            connect()
            return
        self._queue.append(connect)
        self._arm()

    def answered(self) -> None:
        """Note that a connection was heard from, or is lost."""
        self._unanswered -= 1
        if self._queue and self._unanswered < UNANSWERED:
            self._let_one_in()

    def is_idle(self) -> bool:
        return not self._unanswered and not self._queue

    def close(self) -> None:
        """Let nobody in any more."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_one_in(self) -> None:
        self._unanswered += 1
        self._queue.popleft()()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STEP_SECS, self._step)

    def _step(self) -> None:
        self._timer = None
        if self._queue:
            self._let_one_in()
        if self._queue:
            self._arm()
