"""Workers and release commands at exactly the wrong moments."""

import asyncio
from pathlib import Path

import pytest

from paas.core.ids import DeploymentId, TaskId
from paas.core.model import Deployment
from paas.core.spec import Process, Resources, Spec
from paas.core.states import DeploymentState, TaskState
from paas.engine.worker_starts import LIVES_SECS
from paas.engine.world import EngineSettings
from tests.engine.fake_driver import Machine, Program
from tests.engine.jumping_loop import jump
from tests.engine.rig import DRAIN, Engine, running, until, until_found

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING
ONE = Spec(processes={"worker": Process(command="works")})
STAYS = Spec(processes={"worker": Process(command="works", sleeps=False)})
MIB = 1024**2


def up(machine: Machine, process: str, key: DeploymentId | None = None) -> list[TaskId]:
    """Name the tasks of a process that the machine runs."""
    return [
        task_id
        for task_id, run in machine.up().items()
        if run.spec.env["PAAS_PROCESS"] == process and key in (None, run.spec.deployment_id)
    ]


async def served(engine: Engine, name: str = "hello", spec: Spec = ONE) -> Deployment:
    """Deploy a good program and pass the time that its workers have to live through."""
    deployment = await engine.deploy(await engine.app(name), spec=spec)
    while (await engine.deployment(deployment.id)).state is not DeploymentState.ACTIVE:
        jump(LIVES_SECS / 10)
        await asyncio.sleep(0)
    return deployment


async def asleep(engine: Engine, name: str = "hello", spec: Spec = ONE) -> Deployment:
    deployment = await served(engine, name, spec)
    await engine.commands.deployments.sleep(deployment.id)
    await engine.until_tasks(
        deployment, *([PENDING, RUNNING] if spec.processes == STAYS.processes else [PENDING])
    )
    return deployment


async def released(engine: Engine, release: str, spec: Spec = ONE) -> Deployment:
    """Ask for a deployment, and wait until its release command runs."""
    deployment = await engine.deploy(await engine.app(), spec=Spec(release=release, processes=spec.processes))
    await until(lambda: up(engine.machine, "release"))
    return deployment


async def test_a_worker_runs_beside_web_and_gets_no_request(engine: Engine) -> None:
    deployment = await served(engine)

    await engine.until_tasks(deployment, RUNNING, RUNNING)

    (web,) = engine.router.published(deployment.id)
    assert up(engine.machine, "web") == [web]
    (worker,) = up(engine.machine, "worker")
    assert engine.machine.runs[worker].spec.port == 0


async def test_a_wake_waits_for_no_worker(engine: Engine) -> None:
    deployment = await asleep(engine)
    engine.machine.programs["works"] = Program(hangs=True)

    request = engine.ask()
    await until(lambda: request.upstream)
    await until(lambda: engine.machine.hanging)

    assert up(engine.machine, "worker") == []
    engine.machine.let_start()
    await engine.until_tasks(deployment, RUNNING, RUNNING)


async def test_a_worker_ends_after_the_last_request(engine: Engine) -> None:
    deployment = await served(engine)
    request = engine.ask()
    await engine.commands.deployments.sleep(deployment.id)
    await until(lambda: not engine.router.published(deployment.id))
    await until(lambda: request.upstream and request.upstream.on_drained)

    assert len(up(engine.machine, "worker")) == 1
    request.give_back()

    await engine.until_tasks(deployment, PENDING)


async def test_a_worker_that_keeps_ending_is_followed_ever_later_and_web_serves_on(engine: Engine) -> None:
    deployment = await served(engine, spec=Spec(cold_start_enabled=False, processes=ONE.processes))
    (first,) = up(engine.machine, "worker")
    engine.machine.end(first, 0)
    await until(lambda: up(engine.machine, "worker") not in ([], [first]))  # at once, the first time
    engine.machine.programs["works"] = Program(exits=3)
    engine.machine.end(up(engine.machine, "worker")[0], 3)
    await engine.until_quiet()

    pauses = (2, 4, 8)
    for count, pause in enumerate(pauses, start=1):
        for secs in (pause - 0.5, 0.6):
            jump(secs)
            await engine.until_quiet()
        found = await until_found(
            lambda: engine.starts_after_failures(deployment),
            lambda found, count=count: len(found) >= count,  # type: ignore[misc]  # binds the loop's
        )

    # Seen in the end: a busy machine may take longer over a step than is left of a pause.
    assert all(start >= end + pause for (end, start), pause in zip(found, pauses, strict=False)), found
    assert engine.ask().upstream is not None
    assert (await engine.deployment(deployment.id)).state is DeploymentState.ACTIVE


async def test_a_new_version_ends_the_workers_of_the_old(engine: Engine) -> None:
    old = await served(engine, spec=STAYS)

    new = await engine.until_state(await engine.deploy_again(old), DeploymentState.ACTIVE)

    await until(lambda: not up(engine.machine, "worker", old.id))
    assert len(up(engine.machine, "worker", new.id)) == 1


async def test_a_version_whose_worker_dies_at_once_never_takes_over(engine: Engine) -> None:
    engine.machine.programs["bad"] = Program(exits=3)

    deployment = await engine.deploy(
        await engine.app(), spec=Spec(processes={"mail": Process(command="bad")})
    )

    failed = await engine.until_state(deployment, DeploymentState.FAILED)
    assert failed.reason == "its process mail exited with 3 before it was ready"
    await until(lambda: not engine.machine.up())


async def test_a_worker_that_never_sleeps_starts_without_a_request_after_a_power_cut(
    tmp_path: Path, machine: Machine
) -> None:
    async with running(tmp_path, machine) as engine:
        deployment = await asleep(engine, spec=STAYS)
    machine.close()
    machine.runs.clear()

    async with running(tmp_path, machine) as engine:
        await until(lambda: up(machine, "worker"))
        assert up(machine, "web") == []
        await engine.until_tasks(deployment, PENDING, RUNNING)


async def test_nobody_waits_for_the_memory_of_a_worker_that_never_sleeps(
    tmp_path: Path, machine: Machine
) -> None:
    settings = EngineSettings(domain="localhost", drain=DRAIN, reserved_memory_percent=10)
    memory = Resources(memory="100Mi")
    machine.total_bytes, machine.available_bytes = 1000 * MIB, 900 * MIB
    async with running(tmp_path, machine, settings=settings) as engine:
        await engine.asleep("other", Spec(resources=memory))
        await asleep(engine, "stays", Spec(resources=memory, processes=STAYS.processes))
        jump(10)
        machine.available_bytes = 150 * MIB

        request = engine.ask("other")
        await until(lambda: request.answers)

        assert request.refusal is not None
        assert request.refusal.reason.startswith("not enough memory")
        assert len(up(machine, "worker")) == 1


async def test_the_next_engine_goes_on_with_a_release_command_that_outlived_the_last(
    tmp_path: Path, machine: Machine
) -> None:
    async with running(tmp_path, machine) as engine:
        deployment = await released(engine, "works")
        (release,) = up(machine, "release")

    async with running(tmp_path, machine) as engine:
        assert up(machine, "release") == [release]
        assert (await engine.deployment(deployment.id)).state is DeploymentState.STARTING
        machine.end(release, 0)

        await engine.until_state(deployment, DeploymentState.ACTIVE)
        assert machine.started.count(release) == 1


@pytest.mark.parametrize(
    ("code", "state"), [(0, DeploymentState.ACTIVE), (3, DeploymentState.FAILED)], ids=["well", "badly"]
)
async def test_how_a_release_command_ended_is_known_to_the_next_engine(
    tmp_path: Path, machine: Machine, code: int, state: DeploymentState
) -> None:
    async with running(tmp_path, machine) as engine:
        deployment = await released(engine, "works")
    machine.end(up(machine, "release")[0], code)

    async with running(tmp_path, machine) as engine:
        await engine.until_state(deployment, state)
        assert len([task for task in await engine.tasks(deployment) if task.process == "release"]) == 1


async def test_after_a_power_cut_a_release_command_is_run_again(tmp_path: Path, machine: Machine) -> None:
    async with running(tmp_path, machine) as engine:
        deployment = await released(engine, "works")
    machine.close()
    machine.runs.clear()

    async with running(tmp_path, machine) as engine:
        await until(lambda: up(machine, "release"))
        machine.end(up(machine, "release")[0], 0)

        await engine.until_state(deployment, DeploymentState.ACTIVE)


async def test_a_release_command_is_ended_when_its_time_is_over_or_its_deployment_is_given_up(
    engine: Engine,
) -> None:
    late = await released(engine, "works")
    jump(601)
    failed = await engine.until_state(late, DeploymentState.FAILED)
    given_up = await engine.deploy(await engine.app("other"), spec=Spec(release="works"))
    await until(lambda: up(engine.machine, "release", given_up.id))

    await engine.commands.deployments.cancel(given_up.id)

    await engine.until_tasks(given_up)
    assert failed.reason == "its release command ran for more than 600 s"
    assert engine.machine.up() == {}


async def test_a_process_that_nobody_says_how_to_run_fails_its_deployment(engine: Engine) -> None:
    deployment = await engine.deploy(await engine.app(), spec=Spec(processes={"mail": Process()}))

    failed = await engine.until_state(deployment, DeploymentState.FAILED)

    assert failed.reason is not None
    assert "the process mail" in failed.reason


async def test_a_scaled_worker_changes_no_other_task(engine: Engine) -> None:
    deployment = await served(engine)
    before = set(engine.machine.up())

    two = {"worker": Process(command="works", replicas=2)}
    await engine.commands.deployments.change(
        deployment.id, lambda spec: Spec(artifact_id=spec.artifact_id, processes=two)
    )

    await until_found(lambda: engine.tasks(deployment, RUNNING), lambda found: len(found) == len(before) + 1)
    assert before < set(engine.machine.up())
