"""Frozen tasks in a whole engine: who wakes them, what ends them, what an engine finds of them."""

from pathlib import Path

from paas.core.model import Deployment
from paas.core.spec import Idle, Spec
from paas.core.states import TaskState
from tests.engine.fake_driver import Machine
from tests.engine.jumping_loop import jump
from tests.engine.rig import Engine, running, until

RUNNING = TaskState.RUNNING
FREEZES = Spec(idle_timeout_secs=600, idle=Idle(freeze_after_secs=30))


async def frozen(engine: Engine, name: str = "hello", spec: Spec = FREEZES) -> Deployment:
    """Deploy a good program and leave it alone until it is frozen."""
    deployment = await engine.served(name, spec)
    await engine.until_quiet()
    jump(31)
    await until(lambda: all(run.frozen for run in engine.machine.up().values()))
    await engine.until_quiet()
    return deployment


async def test_a_request_thaws_the_same_task_and_writes_nothing(engine: Engine) -> None:
    deployment = await frozen(engine)
    (before,) = await engine.tasks(deployment, RUNNING)
    events = len(await engine.events())

    request = engine.ask()
    await until(lambda: request.answers)

    assert request.task_id == before.id
    assert not engine.machine.runs[before.id].frozen
    assert len(await engine.events()) == events
    live = engine.router.live(deployment.id)
    assert live is not None
    assert live.wakes is not None
    assert live.wakes.count == 1


async def test_it_freezes_again_after_the_last_request(engine: Engine) -> None:
    await frozen(engine)
    request = engine.ask()
    await until(lambda: request.answers)
    jump(300)
    await engine.until_quiet()
    assert not any(run.frozen for run in engine.machine.up().values()), "frozen with a request open"

    request.give_back()
    await engine.until_quiet()
    jump(31)

    await until(lambda: all(run.frozen for run in engine.machine.up().values()))


async def test_it_is_told_apart_from_sleep(engine: Engine) -> None:
    deployment = await frozen(engine)

    live = engine.router.live(deployment.id)

    assert live is not None
    assert len(live.frozen_tasks) == 1
    assert live.ready_tasks == frozenset()


async def test_past_the_second_level_it_is_asked_to_end_while_it_runs(engine: Engine) -> None:
    deployment = await frozen(engine)
    (run,) = engine.machine.up().values()

    jump(600)
    await engine.until_tasks(deployment, TaskState.PENDING)

    assert run.asked_to_end
    assert not run.frozen_when_asked


async def test_a_new_version_takes_over_from_a_frozen_one(engine: Engine) -> None:
    old = await frozen(engine)
    app = (await engine.deployment(old.id)).app_id

    new = await engine.commands.deployments.restart(old.id)
    await engine.until_quiet()
    await until(lambda: not any(run.frozen for run in engine.machine.up().values()))
    request = engine.ask()
    await until(lambda: request.answers)

    assert request.upstream is not None
    assert request.upstream.entry.deployment_id == new.id
    assert new.app_id == app


async def test_an_engine_that_restarts_adopts_it_frozen_and_wakes_it(tmp_path: Path) -> None:
    machine = Machine()
    async with running(tmp_path, machine) as first:
        deployment = await frozen(first)
    (run,) = machine.up().values()
    assert len([run for run in machine.up().values() if run.frozen]) == 1
    jump(300)  # within the second level, but past the first

    async with running(tmp_path, machine) as second:
        await second.until_quiet()
        assert [each.frozen for each in machine.up().values()] == [True], "a restart thawed it"
        assert second.router.published(deployment.id) == {}
        request = second.ask()
        await until(lambda: request.answers)

        assert request.task_id == run.spec.task_id
        assert not run.frozen
        assert len(await second.tasks(deployment)) == 1
    machine.close()


async def test_a_task_that_cannot_be_frozen_goes_on_serving(engine: Engine) -> None:
    engine.machine.can_freeze = False
    await engine.served(spec=FREEZES)
    await engine.until_quiet()

    jump(31)
    await engine.until_quiet()
    jump(2)
    await engine.until_quiet()
    request = engine.ask()
    await until(lambda: request.answers)

    assert request.upstream is not None
    assert not any(run.frozen for run in engine.machine.up().values())


async def test_a_task_that_ended_while_it_was_frozen_is_replaced(engine: Engine) -> None:
    deployment = await frozen(engine)
    (before,) = await engine.tasks(deployment, RUNNING)
    engine.machine.end(before.id, 137)

    engine.ask()
    ended = await engine.until_task(before.id, TaskState.FAILED)
    await engine.until_quiet()
    jump(2)
    await engine.until_quiet()
    request = engine.ask()
    await until(lambda: request.answers)

    assert ended.exit_code == 137
    assert request.task_id not in (None, before.id)


async def test_the_wake_of_a_frozen_deployment_reads_nothing(engine: Engine) -> None:
    deployment = await frozen(engine)
    engine.pokes.poke(deployment.id)
    await engine.until_quiet()
    read: list[str] = []
    await engine.database.reader._connection.set_trace_callback(read.append)

    request = engine.ask()
    await until(lambda: request.answers)

    assert request.upstream is not None
    assert read == []
