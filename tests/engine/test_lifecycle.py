"""A task's life at exactly the wrong moments."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from paas.core.ids import AppId, DeploymentId, new_task_id
from paas.core.model import Deployment, TaskSpec
from paas.core.spec import Spec
from paas.core.states import DeploymentState, TaskState
from tests.engine.fake_driver import FakeDriver, Machine, Program
from tests.engine.jumping_loop import jump
from tests.engine.rig import DRAIN, IDLE_SECS, Engine, running, until, until_found

NEVER_SLEEPS = Spec(cold_start_enabled=False)
RESYNC = timedelta(hours=1)


async def test_a_request_wakes_a_sleeper_with_the_task_made_ahead(engine: Engine) -> None:
    deployment = await engine.asleep()
    (ahead,) = await engine.tasks(deployment, TaskState.PENDING)

    request = engine.ask()
    await until(lambda: request.upstream)

    assert request.task_id == ahead.id


async def test_a_request_during_a_stop_gets_a_fresh_task(engine: Engine) -> None:
    engine.machine.programs["good"] = Program(stubborn=True)
    deployment = await engine.served()
    (old,) = engine.machine.up()
    await engine.commands.deployments.sleep(deployment.id)
    await engine.until_task(old, TaskState.STOPPING)

    request = engine.ask()
    await until(lambda: request.upstream)

    assert request.task_id != old
    assert old in engine.machine.up()


async def test_a_request_while_earlier_ones_end_gets_a_fresh_task(engine: Engine) -> None:
    deployment = await engine.served()
    earlier = engine.ask()
    await engine.commands.deployments.sleep(deployment.id)
    await until(lambda: not engine.router.published(deployment.id))

    request = engine.ask()
    await until(lambda: request.upstream)

    assert request.task_id != earlier.task_id
    assert earlier.task_id in engine.machine.up(), "its request is still open"
    earlier.give_back()
    await until(lambda: earlier.task_id not in engine.machine.up())


async def test_requests_that_do_not_end_hold_up_a_stop_for_so_long_only(engine: Engine) -> None:
    deployment = await engine.served()
    request = engine.ask()
    await engine.commands.deployments.sleep(deployment.id)
    await until(lambda: request.upstream and request.upstream.on_drained)
    jump(DRAIN.total_seconds() - 5)
    await asyncio.sleep(0)
    assert request.task_id in engine.machine.up()

    jump(6)

    await engine.until_tasks(deployment, TaskState.PENDING)
    request.give_back()


async def test_open_requests_of_a_deleted_app_may_end(engine: Engine) -> None:
    deployment = await engine.served()
    request = engine.ask()

    await engine.commands.apps.delete(deployment.app_id)
    await until(lambda: not engine.router.published(deployment.id))
    await until(lambda: request.upstream and request.upstream.on_drained)

    assert request.task_id in engine.machine.up()
    request.give_back()
    await engine.until_tasks(deployment)


@pytest.mark.parametrize("program", [Program(listens=False), Program(hangs=True)], ids=["slow", "hanging"])
async def test_a_start_is_given_up_when_its_deployment_is_cancelled(engine: Engine, program: Program) -> None:
    engine.machine.programs["slow"] = program
    deployment = await engine.deploy(await engine.app(), "slow")
    await until(lambda: engine.machine.up() or engine.machine.hanging)
    (task,) = await engine.tasks(deployment)

    await engine.commands.deployments.cancel(deployment.id)

    await engine.until_tasks(deployment)
    assert engine.machine.up() == {}
    assert not (await engine.task(task.id)).crashed


async def test_a_start_that_hangs_is_given_up_in_time(engine: Engine) -> None:
    await engine.asleep(spec=Spec(start_timeout_secs=20))
    engine.machine.programs["good"] = Program(hangs=True)
    request = engine.ask()
    await until(lambda: engine.machine.hanging == 1)
    assert request.waits

    jump(21)

    await until(lambda: request.refusal)
    assert request.refusal
    assert request.refusal.reason == "not started after 20 s"


async def test_a_task_that_ends_before_it_is_ready_is_not_waited_for(engine: Engine) -> None:
    await engine.asleep()
    engine.machine.programs["good"] = Program(listens=False)
    request = engine.ask()
    await until(engine.machine.up)
    (task_id,) = engine.machine.up()

    engine.machine.end(task_id, 7)

    await until(lambda: request.refusal)
    assert request.refusal
    assert request.refusal.reason == "it exited with 7 before it was ready"
    failed = await engine.until_task(task_id, TaskState.FAILED)
    assert (failed.exit_code, failed.crashed) == (7, True)


async def test_a_full_disk_does_not_keep_an_app_from_serving(engine: Engine) -> None:
    deployment = await engine.asleep()
    (ahead,) = await engine.tasks(deployment, TaskState.PENDING)
    await engine.fill_disk()

    request = engine.ask()
    await until(lambda: request.upstream)

    assert request.task_id == ahead.id
    assert (await engine.task(ahead.id)).state is TaskState.PENDING
    await engine.free_disk()
    jump(2)
    recorded = await engine.until_task(ahead.id, TaskState.RUNNING)
    assert recorded.port == request.upstream.port if request.upstream else None
    assert engine.machine.started.count(ahead.id) == 1
    request.give_back()


@pytest.mark.parametrize("turns", range(0, 24, 2))
async def test_a_request_at_the_moment_of_an_idle_stop_is_not_cut_off(engine: Engine, turns: int) -> None:
    deployment = await engine.served()
    await engine.until_quiet()
    jump(IDLE_SECS)
    for _ in range(turns):
        await asyncio.sleep(0)

    request = engine.ask()
    await until(lambda: request.upstream)
    await engine.until_quiet()

    assert request.task_id in engine.machine.up()
    assert request.task_id in engine.router.published(deployment.id)


async def test_a_crash_of_which_nobody_told_is_found_by_looking_again(engine: Engine) -> None:
    deployment = await engine.served(spec=NEVER_SLEEPS)
    (task_id,) = engine.machine.up()
    await engine.until_quiet()
    engine.machine.loses_hints = True
    engine.machine.end(task_id, 3)
    await engine.until_quiet()
    assert (await engine.task(task_id)).state is TaskState.RUNNING

    for _ in range(2):  # half of the interval passes before the first look, half is spread over all
        jump(RESYNC.total_seconds() / 2)
        await engine.until_quiet()

    await engine.until_task(task_id, TaskState.FAILED)
    jump(2)
    await engine.until_tasks(deployment, TaskState.RUNNING)


async def test_a_task_that_nobody_knows_is_stopped_when_an_engine_opens(
    tmp_path: Path, machine: Machine
) -> None:
    orphan = TaskSpec(
        task_id=new_task_id(),
        deployment_id=DeploymentId("elsewhere"),
        app_id=AppId("elsewhere"),
        artifact_sha256="",
        command=("run",),
        env={"PROGRAM": "mute"},
        port=1,
        cpu_millis=100,
        memory_bytes=1,
        max_runtime_secs=None,
    )
    machine.programs["mute"] = Program(listens=False)
    await FakeDriver(machine).start(orphan)

    async with running(tmp_path, machine):
        assert machine.runs == {}


async def test_the_next_engine_serves_by_the_tasks_that_outlived_the_last(
    tmp_path: Path, machine: Machine
) -> None:
    async with running(tmp_path, machine) as engine:
        await engine.served(spec=Spec(replicas=2))
        up = set(machine.up())

    async with running(tmp_path, machine) as engine:
        await until(lambda: engine.ask().task_id in up)

    assert set(machine.up()) == up


async def test_of_two_versions_ready_at_once_the_newer_one_stays_current(engine: Engine) -> None:
    engine.machine.programs["slow"] = Program(listens=False)
    deployed = []
    for number in range(4):
        app = await engine.app(f"app{number}")
        deployed.append([await engine.deploy(app, "slow") for _ in range(2)])
    await until(lambda: len(engine.machine.up()) == 8)
    runs = {run.spec.deployment_id: task_id for task_id, run in engine.machine.up().items()}

    for older, newer in deployed:
        engine.machine.listen(runs[newer.id])
        engine.machine.listen(runs[older.id])

    for older, newer in deployed:
        await engine.until_tasks(older)
        assert (await engine.deployment(newer.id)).state is DeploymentState.ACTIVE


async def test_a_new_version_answers_as_soon_as_it_is_active_whatever_holds_up_a_look_at_it(
    engine: Engine,
) -> None:
    old = await engine.served()

    def hold_up(touched: frozenset[str]) -> None:
        if "deployment.active" in touched:
            engine.machine.may_be_seen.clear()

    engine.database.after_commit.append(hold_up)
    new = await engine.until_state(await engine.deploy_again(old), DeploymentState.ACTIVE)

    await until(lambda: _leads_to(engine, new))
    engine.machine.may_be_seen.set()


async def test_each_failure_in_a_row_is_followed_by_a_longer_pause(engine: Engine) -> None:
    """Traffic starts nothing before its time."""
    deployment = await engine.asleep()
    engine.machine.programs["good"] = Program(exits=3)
    entry = engine.router.resolve("hello-default.localhost")
    assert entry
    pauses = (1, 2, 4, 8, 16)

    for pause in pauses:
        await until(lambda: entry.refusal is None)
        for secs in (pause - 0.5, 0.6):
            request = engine.ask()
            await until(lambda request=request: request.refusal)  # type: ignore[misc]  # binds the loop's
            jump(secs)
    await until(lambda: entry.refusal is None)
    engine.ask()

    found = await until_found(
        lambda: engine.starts_after_failures(deployment), lambda found: len(found) >= len(pauses)
    )
    # A busy machine may take longer over it than is left of a pause.
    assert all(start >= end + pause for (end, start), pause in zip(found, pauses, strict=False)), found


def _leads_to(engine: Engine, deployment: Deployment) -> bool:
    entry = engine.router.resolve("hello-default.localhost")
    return entry is not None and entry.deployment_id == deployment.id
