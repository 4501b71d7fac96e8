"""Pulls that go on though whoever wanted them gave up: a large image takes longer than a wake may wait."""

import asyncio

from paas.core.errors import PaasError
from paas.docker.images import Images, is_local_only


class Pulls:
    def __init__(self, images: Images, group: asyncio.TaskGroup) -> None:
        self._images = images
        self._group = group
        self._under_way: dict[str, asyncio.Task[PaasError | None]] = {}

    async def have(self, image: str) -> None:
        """Return once the image is there. Raises what its pull did; one by its id cannot be pulled."""
        if is_local_only(image) or await self._images.find(image) is not None:
            return
        pull = self._under_way.get(image)
        if pull is None:
            pull = self._group.create_task(self._pull(image), name=f"pull {image}")
            self._under_way[image] = pull
            pull.add_done_callback(lambda _: self._under_way.pop(image))
        error = await asyncio.shield(pull)
        if error is not None:
            raise error

    def cancel(self) -> None:
        for pull in self._under_way.values():
            pull.cancel()

    async def _pull(self, image: str) -> PaasError | None:
        """Give an error to whoever waits, if anybody does: here it would end the driver."""
        try:
            await self._images.pull(image)
        except PaasError as error:
            return error
        return None
