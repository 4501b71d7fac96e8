"""The queue of builds: turns, cancels, what an agent that died leaves, and what is deleted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.core.errors import BuildFailed, Conflict, NotFound, TooLarge, Unavailable
from paas.core.ids import AppId, BuildId
from paas.core.states import BuildState
from paas.engine.builds import IMAGE_KEPT_SECS, LAYER_KEPT_SECS, MOST_FAULTS, SOURCE_KEPT_SECS
from paas.engine.commands.apps import AppCommands
from paas.engine.commands.boxes import Boxes
from paas.engine.commands.builds import MOST_UNFINISHED
from paas.store import builds, feed
from paas.vault import Vault
from tests.engine.build_rig import BUILT, CONTEXT_LIMIT, Rig, request, running
from tests.store.records import insert_deployment
from tests.waiting import until


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


async def test_build_runs_and_its_result_is_kept(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    assert (await rig.read(build)).state is BuildState.RUNNING

    rig.builder.results[build.id].set_result(BUILT)

    found = await rig.settled(build)
    assert found.state is BuildState.SUCCEEDED
    assert (found.image, found.image_id, found.image_bytes) == (BUILT.name, BUILT.id, BUILT.size_bytes)
    assert await rig.said(build) == ["building Dockerfile", "Built paas/hello:1, 7 bytes"]
    kinds = [event.kind for event in await feed.Feed(rig.database).after(0)]
    assert kinds[-4:] == ["build.queued", "build.running", "build.detected", "build.succeeded"]
    assert [path for path in rig.folder.iterdir() if path.is_dir()] == [rig.folder / build.id]
    rig.clock.seconds += SOURCE_KEPT_SECS
    await rig.tidied()
    assert [path for path in rig.folder.iterdir() if path.is_dir()] == []


async def test_failure_is_told_in_the_row_and_in_the_log(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    rig.builder.results[build.id].set_exception(
        BuildFailed("step 1 of 2, RUN x: exit code 3", hint="mend it")
    )

    found = await rig.settled(build)
    assert (found.state, found.reason) == (BuildState.FAILED, "step 1 of 2, RUN x: exit code 3")
    assert (await rig.said(build))[-2:] == ["step 1 of 2, RUN x: exit code 3", "mend it"]


async def test_fault_of_the_agents_own_is_tried_again(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    rig.builder.results[build.id].set_exception(RuntimeError("a bug"))

    await until(lambda: rig.builder.begun == [build.id, build.id])
    rig.builder.results[build.id].set_result(BUILT)
    assert (await rig.settled(build)).state is BuildState.SUCCEEDED


async def test_build_that_the_agent_cannot_do_is_given_up(rig: Rig) -> None:
    build = await rig.ask()
    for attempt in range(1, MOST_FAULTS + 1):
        await until(lambda: len(rig.builder.begun) == attempt)  # noqa: B023 - awaited at once
        rig.builder.results[build.id].set_exception(RuntimeError("a bug"))

    found = await rig.settled(build)

    assert (found.state, found.reason) == (
        BuildState.FAILED,
        "cannot build: the agent has a fault (RuntimeError)",
    )
    await rig.begun(await rig.ask())


async def test_reason_that_is_no_text_is_written_as_it_can_be(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    rig.builder.results[build.id].set_exception(BuildFailed("cannot build \udcff"))

    assert (await rig.settled(build)).reason == "cannot build ?"


async def test_builds_take_turns_the_oldest_first(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(3)]

    for build in made:
        await rig.begun(build)
        assert rig.builder.begun[-1] == build.id
        rig.builder.results[build.id].set_result(BUILT)

    for build in made:
        assert (await rig.settled(build)).state is BuildState.SUCCEEDED
    assert len(set(rig.builder.workspaces)) == 3


async def test_as_many_run_at_once_as_are_allowed(tmp_path: Path) -> None:
    async with running(tmp_path, at_once=2) as rig:
        made = [await rig.ask() for _ in range(3)]
        await rig.begun(made[0])
        await rig.begun(made[1])

        assert (await rig.read(made[2])).state is BuildState.QUEUED

        rig.builder.results[made[1].id].set_result(BUILT)
        await rig.begun(made[2])


async def test_running_build_is_given_up_when_it_is_cancelled(rig: Rig) -> None:
    build, next_one = await rig.ask(), await rig.ask()
    await rig.begun(build)

    cancelled = await rig.commands.cancel(build.id)

    assert cancelled.state is BuildState.CANCELLED
    await rig.begun(next_one)
    assert rig.builder.given_up == [build.id]
    assert (await rig.read(build)).reason == "cancelled on request"
    assert (await rig.commands.cancel(build.id)).state is BuildState.CANCELLED, "twice is once"


async def test_queued_build_that_is_cancelled_never_begins(rig: Rig) -> None:
    first, second, third = [await rig.ask() for _ in range(3)]
    await rig.begun(first)

    await rig.commands.cancel(second.id)
    rig.builder.results[first.id].set_result(BUILT)

    await rig.begun(third)
    assert rig.builder.begun == [first.id, third.id]


async def test_what_has_ended_cannot_be_cancelled(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)
    await rig.settled(build)

    with pytest.raises(Conflict, match="it has succeeded already"):
        await rig.commands.cancel(build.id)


async def test_builds_of_an_app_that_is_deleted_are_ended(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)

    await AppCommands(rig.database, rig.clock, lambda _: None, Boxes(Vault(Path("unused")))).delete(
        rig.app_id
    )
    rig.poked.set()

    await until(lambda: rig.builder.given_up == [build.id])
    assert (await rig.read(build)).reason == "its app was deleted"


async def test_build_that_an_agent_left_is_done_again_before_others(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        left, waiting = await rig.ask(), await rig.ask()
        await rig.begun(left)

    async with running(tmp_path) as rig:
        await rig.begun(left)
        assert (await rig.read(waiting)).state is BuildState.QUEUED
        rig.builder.results[left.id].set_result(BUILT)
        assert (await rig.settled(left)).state is BuildState.SUCCEEDED
        assert await rig.said(left) == [
            "building Dockerfile",
            "The agent was restarted: the build begins again.",
            "building Dockerfile",
            "Built paas/hello:1, 7 bytes",
        ]
        await rig.begun(waiting)


async def test_agent_that_dies_after_the_result_leaves_only_the_source(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        build = await rig.ask()
        await rig.begun(build)
        rig.builder.results[build.id].set_result(BUILT)
        await rig.settled(build)
        await until(lambda: not rig.queue._in_hand)
    (workspace,) = rig.builder.workspaces
    (workspace / "source").mkdir(parents=True)  # as if nobody had come to delete it

    async with running(tmp_path) as rig:
        await until(lambda: not workspace.exists())

        assert rig.files.archive(build.id, build.source.sha256 or "").exists()


async def test_absent_engine_fails_the_build_with_its_sentence(tmp_path: Path) -> None:
    async with running(tmp_path, unavailable=True) as rig:
        found = await rig.settled(await rig.ask())

        assert (found.state, found.reason) == (BuildState.FAILED, "cannot build: no engine answers")


async def test_context_that_is_too_large_leaves_nothing(rig: Rig) -> None:
    with pytest.raises(TooLarge):
        await rig.ask(b"x" * (CONTEXT_LIMIT + 1))

    assert list(rig.folder.iterdir()) == []


async def test_queue_has_a_bound(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(MOST_UNFINISHED)]

    with pytest.raises(Unavailable, match=f"{MOST_UNFINISHED} builds wait already"):
        await rig.ask()

    await rig.commands.cancel(made[-1].id)
    await rig.ask()


async def test_unknown_app_and_build_are_told(rig: Rig) -> None:
    with pytest.raises(NotFound, match="no app"):
        await rig.commands.create(request(AppId("none"), b"context"))
    with pytest.raises(NotFound, match="no build"):
        await rig.commands.cancel(BuildId("none"))


async def test_tidying_keeps_what_is_in_use_and_the_newest_builds(rig: Rig) -> None:
    made = [await rig.ask() for _ in range(3)]
    for build in made:
        await rig.begun(build)
        rig.clock.seconds += 1
        rig.builder.results[build.id].set_result(BUILT)
        await rig.settled(build)
    deployment = await insert_deployment(rig.database, rig.app_id)
    rig.clock.seconds += LAYER_KEPT_SECS + 1
    fresh = await rig.ask()
    await rig.begun(fresh)

    await rig.queue.tidy()

    layers, in_use = rig.builder.tidied[-1]
    assert layers == [f"layer of {build.id}" for build in reversed(made)]
    assert in_use == {fresh.id} | ({deployment.image} - {None})
    page, total = await builds.page(rig.database.reader, app_id=None, limit=10, offset=0)
    assert [build.id for build in page] == [fresh.id, made[2].id, made[1].id]
    assert total == 3
    assert {path.stem for path in rig.folder.glob("*.log")} == {build.id for build in page}
    left = await builds.old_layers(rig.database.reader, before=rig.clock.now())
    assert left == layers[1:]
    assert LAYER_KEPT_SECS > IMAGE_KEPT_SECS


async def test_image_of_a_new_build_waits_for_its_deployment(rig: Rig) -> None:
    build = await rig.ask()
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)
    await rig.settled(build)

    await rig.queue.tidy()
    rig.clock.seconds += IMAGE_KEPT_SECS + 1
    await rig.queue.tidy()

    assert [in_use for _, in_use in rig.builder.tidied] == [{build.id, BUILT.id}, set()]


async def test_tidying_asks_no_engine_where_nothing_was_ever_built(tmp_path: Path) -> None:
    async with running(tmp_path, unavailable=True) as rig:
        await rig.queue.tidy()
