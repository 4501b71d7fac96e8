"""Wait with an answer for a build and the deployment that it makes, as long as a client may be kept."""

import asyncio
from http import HTTPStatus

from paas.api.kit.parts import ApiParts
from paas.api.kit.routes import Reply
from paas.api.native import answers
from paas.core.builds import Build
from paas.core.errors import Invalid
from paas.core.ids import BuildId, DeploymentId
from paas.core.states import UNFINISHED_BUILD, BuildState
from paas.store import builds


async def deployed(parts: ApiParts, build: Build) -> DeploymentId | Reply:
    """Wait for what a build deploys, or give the answer that it goes on.

    Raises Invalid if it came to nothing.
    """
    seen = await parts.feed.last_seq()
    try:
        async with asyncio.timeout(parts.build_wait_secs):
            ended = await _ended(parts, build, seen)
    except TimeoutError:
        return goes_on(build)
    if ended.state is not BuildState.SUCCEEDED or ended.deployment_id is None:
        raise Invalid(
            f"cannot deploy: build {build.id} {ended.state}" + (f": {ended.reason}" if ended.reason else ""),
            code="BUILD_FAILED",
            hint=f"GET /api/v1/builds/{build.id}/logs shows what it said",
        )
    return ended.deployment_id


def goes_on(build: Build) -> Reply:
    """Say where a build is that nobody waits for."""
    body = answers.BuildGoesOn(build_id=build.id, message=f"The build goes on: GET /api/v1/builds/{build.id}")
    return Reply(body=body, status=HTTPStatus.ACCEPTED)


async def _ended(parts: ApiParts, build: Build, seen: int) -> Build:
    found = await _read(parts, build.id) or build
    if found.state not in UNFINISHED_BUILD:
        return found
    async for event in parts.feed.follow(seen, app_id=build.app_id):
        if event.facts.get("build_id") != build.id:
            continue
        found = await _read(parts, build.id) or found
        if found.state not in UNFINISHED_BUILD:
            return found
    raise AssertionError("the feed has no end")


async def _read(parts: ApiParts, build_id: BuildId) -> Build | None:
    return await builds.get(parts.reader, build_id)
