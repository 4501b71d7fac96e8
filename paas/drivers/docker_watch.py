"""Follows what happens to an agent's containers, for as long as the engine lets it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any

from paas.core.errors import Unavailable
from paas.core.ids import TaskId
from paas.docker.engine import DockerEngine
from paas.drivers.docker_containers import TASK_LABEL, name_of
from paas.drivers.docker_network import OWNER_LABEL

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 0.1
LONGEST_PAUSE_SECS = 5.0
FIRST_TRY_SECS = 3.0  # native apps must not wait for an engine that hangs

TELLING = frozenset({"die", "pause", "unpause", "destroy"})

Follow = Callable[[TaskId, int | None], Coroutine[Any, Any, None]]
"""Finds out what became of a task; hears the exit code, where its end was told. May raise Unavailable."""


class Watch:
    """A connection to the engine's events that is made again when it breaks, with patience."""

    def __init__(
        self,
        engine: DockerEngine,
        agent_id: str,
        follow_up: Follow,
        take_stock: Callable[[], Awaitable[object]],
    ) -> None:
        """`take_stock` is called after each connect: what happened before it is not told."""
        self._engine = engine
        self._agent_id = agent_id
        self._follow_up = follow_up
        self._take_stock = take_stock
        self._tried = asyncio.Event()
        self._error: Unavailable | None = None  # why what is remembered may not be true
        self._was_said = False

    @property
    def trouble(self) -> str | None:
        """Say why the engine cannot be followed at the moment."""
        return None if self._error is None else self._error.message

    async def check(self) -> None:
        """Return if nothing can have happened unseen. Raises Unavailable, with the cause.

        Waits a moment for the first try to connect, and never again.
        """
        try:
            async with asyncio.timeout(FIRST_TRY_SECS):
                await self._tried.wait()
        except TimeoutError:
            if not self._tried.is_set():  # else the answer came in the same moment; no other would follow
                reason = f"the Docker engine has not answered within {FIRST_TRY_SECS:g} s"
                self._note_away(Unavailable(reason))
        if self._error is not None:
            raise Unavailable(self._error.message, hint=self._error.hint)

    async def run(self) -> None:
        """Follow until cancelled."""
        loop = asyncio.get_running_loop()
        pause_secs = FIRST_PAUSE_SECS
        while True:
            began = loop.time()
            try:
                await self._follow()
            except* Unavailable as errors:
                self._note_away(next(_leaves(errors)))
            lasted = loop.time() - began > LONGEST_PAUSE_SECS
            pause_secs = FIRST_PAUSE_SECS if lasted else min(2 * pause_secs, LONGEST_PAUSE_SECS)
            await asyncio.sleep(pause_secs)

    async def _follow(self) -> None:
        async with (
            self._engine.events({"label": [f"{OWNER_LABEL}={self._agent_id}"]}) as events,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._catch_up(), name="stock of containers")
            async for event in events:
                self._tell(event, group)

    async def _catch_up(self) -> None:
        await self._take_stock()
        self._error = None
        self._tried.set()
        if self._was_said:
            logger.info("The Docker engine answers again", extra={"event": "docker.back"})
        self._was_said = False

    def _tell(self, event: Mapping[str, Any], group: asyncio.TaskGroup) -> None:
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        task_id = TaskId(attributes.get(TASK_LABEL, ""))
        happened = event.get("Action") or event.get("status")
        if happened in TELLING and attributes.get("name") == name_of(task_id):
            code = attributes.get("exitCode", "")
            told = self._follow_up(task_id, int(code) if code.isdigit() else None)
            group.create_task(told, name=f"{happened} {task_id}")

    def _note_away(self, error: Unavailable) -> None:
        self._error = error
        self._tried.set()
        if not self._was_said:  # once, not at every try
            logger.warning("%s", error.message, extra={"event": "docker.away"})
        self._was_said = True


def _leaves(group: BaseExceptionGroup[Unavailable]) -> Iterator[Unavailable]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
