"""A task's life at exactly the wrong moments."""

from paas.core.states import DeploymentState, TaskState
from tests.engine.fake_driver import Program
from tests.engine.rig import Engine, until


async def test_a_request_wakes_a_sleeper_with_the_task_made_ahead(engine: Engine) -> None:
    deployment = await engine.asleep()
    (ahead,) = await engine.tasks(deployment, TaskState.PENDING)

    request = engine.ask()
    await until(lambda: request.upstream)

    assert request.task_id == ahead.id


async def test_of_two_versions_ready_at_once_the_newer_one_stays_current(engine: Engine) -> None:
    engine.machine.programs["slow"] = Program(listens=False)
    deployed = []
    for number in range(8):
        app = await engine.app(f"app{number}")
        deployed.append([await engine.deploy(app, "slow") for _ in range(2)])
    await until(lambda: len(engine.machine.up()) == 16)
    runs = {run.spec.deployment_id: task_id for task_id, run in engine.machine.up().items()}

    for older, newer in deployed:
        engine.machine.listen(runs[newer.id])
        engine.machine.listen(runs[older.id])

    for older, newer in deployed:
        await engine.until_tasks(older)
        assert (await engine.deployment(newer.id)).state is DeploymentState.ACTIVE
