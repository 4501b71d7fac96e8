"""Retention: what is deleted, and above all what is not."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from paas.core.ids import TaskId
from paas.core.spec import Spec
from paas.core.states import DeploymentState, TaskState
from paas.engine.janitor import KEYS_KEPT_SECS, Janitor, Retention
from paas.store import deployments
from tests.engine.jumping_loop import jump
from tests.engine.rig import Engine


@dataclass(slots=True)
class Files:
    """Whoever deletes files: remembers what was to be kept."""

    logs: set[TaskId] = field(default_factory=set)
    artifacts: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)

    async def keep_logs(self, task_ids: Iterable[TaskId]) -> None:
        self.logs = set(task_ids)

    async def keep_artifacts(self, sha256s: Iterable[str]) -> None:
        self.artifacts = set(sha256s)

    async def keep_programs(self, sha256s: Iterable[str]) -> None:
        self.programs = set(sha256s)

    def janitor(self, engine: Engine, **kept: int) -> Janitor:
        limits = {
            "deployments_per_app": 1,
            "tasks_per_deployment": 2,
            "events": 1000,
            "to_roll_back_to": 1,
        } | kept
        return Janitor(
            engine.world,
            Retention(
                deployments_per_app=limits["deployments_per_app"],
                tasks_per_deployment=limits["tasks_per_deployment"],
                events=limits["events"],
                keep_logs=self.keep_logs,
                keep_artifacts=self.keep_artifacts,
                keep_programs=self.keep_programs,
                to_roll_back_to=limits["to_roll_back_to"],
            ),
        )


async def test_old_versions_are_ended_then_deleted_and_the_current_one_stays(engine: Engine) -> None:
    files, app = Files(), await engine.app()
    made = []
    for number in range(4):
        spec = Spec(artifact_id=await engine.artifact(f"version {number}"))
        made.append(await engine.deploy(app, spec=spec))
        await engine.until_state(made[-1], DeploymentState.ACTIVE)
    await engine.until_tasks(made[-1], TaskState.RUNNING)
    for old in made[:-1]:
        await engine.until_tasks(old)

    await files.janitor(engine).tidy()
    after_one = [(await engine.deployment(each.id)).state for each in made]
    await files.janitor(engine).tidy()

    stopped, kept, current = DeploymentState.STOPPED, DeploymentState.SUPERSEDED, DeploymentState.ACTIVE
    assert after_one == [stopped, stopped, kept, current]
    left = [await deployments.get(engine.database.reader, each.id) for each in made]
    assert [each is not None for each in left] == [False, False, True, True]
    assert files.programs == {"version 2", "version 3"}
    assert files.artifacts == {f"version {number}" for number in range(4)}, (
        "those are their owner's to delete"
    )
    assert files.logs == {task.id for each in made[2:] for task in await engine.tasks(each)}
    assert engine.ask().task_id in engine.machine.up()


async def test_what_production_would_be_rolled_back_to_stays_whatever_is_tried_elsewhere(
    engine: Engine,
) -> None:
    files, app = Files(), await engine.app()
    released = []
    for number in range(4):
        spec = Spec(artifact_id=await engine.artifact(f"release {number}"))
        released.append(await engine.deploy(app, spec=spec))
        await engine.until_state(released[-1], DeploymentState.ACTIVE)
    broken = Spec(artifact_id=await engine.artifact("broken"))
    for _ in range(3):
        tried = await engine.deploy(app, environment="development", spec=broken)
        await engine.until_state(tried, DeploymentState.FAILED)

    for _ in range(3):
        await files.janitor(engine, to_roll_back_to=2).tidy()
        await engine.until_quiet()

    left = [await deployments.get(engine.database.reader, each.id) for each in released]
    assert [each is not None for each in left] == [False, True, True, True]
    again = await engine.commands.releases.roll_back(app.id)
    assert again.spec.artifact_id == released[2].spec.artifact_id
    await engine.until_state(again, DeploymentState.ACTIVE)


async def test_the_latest_ended_tasks_are_kept_and_every_live_one(engine: Engine) -> None:
    files, deployment = Files(), await engine.served()
    for _ in range(4):
        (task,) = await engine.until_tasks(deployment, TaskState.RUNNING)
        await engine.commands.tasks.stop(task.id)
        await engine.until_task(task.id, TaskState.STOPPED)
    (live,) = await engine.until_tasks(deployment, TaskState.RUNNING)
    ended = [task.id for task in await engine.tasks(deployment, TaskState.STOPPED)]

    await files.janitor(engine).tidy()

    assert files.logs == {live.id, *ended[:2]}
    assert {task.id for task in await engine.tasks(deployment)} == files.logs


async def test_a_deleted_app_goes_once_nothing_of_it_runs(engine: Engine) -> None:
    files, deployment = Files(), await engine.served()
    request = engine.ask()
    await engine.commands.apps.delete(deployment.app_id)

    await files.janitor(engine).tidy()
    assert await engine.tasks(deployment), "its open request holds its task"
    request.give_back()
    await engine.until_tasks(deployment)
    await files.janitor(engine).tidy()

    assert await deployments.get(engine.database.reader, deployment.id) is None
    assert files.logs == files.programs == set()


async def test_events_and_keys_of_requests_go_in_time(engine: Engine) -> None:
    deployment = await engine.served()
    await engine.until_quiet()
    async with engine.database.transaction() as tx:
        await deployments.remember_key(
            tx,
            deployment.app_id,
            "key",
            request="",
            deployment_id=deployment.id,
            now=engine.world.clock.now(),
        )
    janitor = Files().janitor(engine, events=3)
    newest = [event.seq for event in await engine.events()][-3:]

    await janitor.tidy()

    assert [event.seq for event in await engine.events()] == newest
    assert await deployments.recall_key(engine.database.reader, deployment.app_id, "key")
    jump(KEYS_KEPT_SECS + 1)
    await janitor.tidy()
    assert await deployments.recall_key(engine.database.reader, deployment.app_id, "key") is None
