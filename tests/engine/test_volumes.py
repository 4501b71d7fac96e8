"""One task at a time writes an exclusive volume, whatever comes at once."""

import asyncio
from functools import partial

import pytest

from paas.core.model import Deployment
from paas.core.records import replace
from paas.core.spec import Spec, Volume
from paas.core.states import DeploymentState, TaskState
from tests.engine.fake_driver import Machine, Program
from tests.engine.rig import Engine, until

HOLDS = Spec(volumes=(Volume(host_path="data", container_path="/data"),))


class Overlap:
    """Watches how many tasks are up at once."""

    def __init__(self, machine: Machine) -> None:
        self.most = 0
        self._machine = machine

    async def watch(self) -> None:
        while True:
            self.most = max(self.most, len(self._machine.up()))
            await asyncio.sleep(0)


def _has_left(engine: Engine, deployment: Deployment) -> bool:
    """Say whether requests find no task of it any more."""
    return not engine.router.published(deployment.id)


async def test_versions_hand_the_volume_over_and_lose_no_request(engine: Engine) -> None:
    first = await engine.served(spec=HOLDS)
    overlap = Overlap(engine.machine)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(overlap.watch())
        requests = []
        for _ in range(3):
            second = await engine.deploy_again(first)
            requests.append(engine.ask())
            await until(partial(_has_left, engine, first))
            requests.append(engine.ask())
            await until(lambda: requests[-2].answers)
            requests[-2].give_back()
            await engine.until_state(second, DeploymentState.ACTIVE)
            await until(lambda: requests[-1].answers)
            requests[-1].give_back()
            first = second
        watching.cancel()

    assert overlap.most == 1
    assert [request.refusal for request in requests] == [None] * 6


async def test_a_failed_version_gives_the_volume_back(engine: Engine) -> None:
    engine.machine.programs["bad"] = Program(exits=3)
    first = await engine.served(spec=HOLDS)

    second = await engine.deploy_again(first, "bad")
    await engine.until_state(second, DeploymentState.FAILED)
    request = engine.ask()
    await until(lambda: request.upstream)

    (task,) = await engine.until_tasks(first, TaskState.RUNNING)
    assert request.task_id == task.id


@pytest.mark.parametrize(("code", "state"), [(0, DeploymentState.ACTIVE), (3, DeploymentState.FAILED)])
async def test_a_release_command_has_the_volume_for_itself(
    engine: Engine, code: int, state: DeploymentState
) -> None:
    first = await engine.served(spec=HOLDS)
    overlap = Overlap(engine.machine)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(overlap.watch())
        second = await engine.deploy_again(replace(first, spec=replace(first.spec, release="works")))
        await until(partial(_works, engine, second))
        request = engine.ask()
        assert request.waits or request.refusal, "the old one has let go of the volume"
        engine.machine.end(next(iter(engine.machine.up())), code)
        await engine.until_state(second, state)
        request = engine.ask()
        await until(lambda: request.upstream or request.refusal)
        watching.cancel()

    assert overlap.most == 1


def _works(engine: Engine, deployment: Deployment) -> bool:
    """Say whether only tasks of it are up."""
    return {run.spec.deployment_id for run in engine.machine.up().values()} == {deployment.id}


async def test_a_restart_ends_the_old_task_first(engine: Engine) -> None:
    deployment = await engine.served(spec=HOLDS)
    (old,) = engine.machine.up()
    overlap = Overlap(engine.machine)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(overlap.watch())
        await engine.commands.deployments.restart(deployment.id)
        await until(lambda: set(engine.machine.up()) not in ({old}, set()))
        watching.cancel()

    assert overlap.most == 1
