"""What commands refuse, and what they answer when asked twice, where the API does not show it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.artifacts import ArtifactFiles
from paas.core.errors import Conflict, Invalid, NotFound, Unavailable
from paas.core.ids import AppId, ArtifactId, DeploymentId
from paas.core.model import Deployment
from paas.core.records import replace
from paas.core.spec import Spec
from paas.core.states import DeploymentState, TaskState
from paas.engine.commands import DeployRequest
from paas.engine.commands.artifacts import ArtifactCommands
from paas.store import artifacts
from tests.engine.fake_driver import Program
from tests.engine.rig import Engine, until

NOBODY = DeploymentId("nobody")


async def failed(engine: Engine) -> Deployment:
    engine.machine.programs["bad"] = Program(exits=3)
    deployment = await engine.deploy(await engine.app(), "bad")
    return await engine.until_state(deployment, DeploymentState.FAILED)


@pytest.mark.parametrize("verb", ["cancel", "sleep", "wake", "restart"])
async def test_a_deployment_that_is_not_there_is_not_found(engine: Engine, verb: str) -> None:
    with pytest.raises(NotFound) as raised:
        await getattr(engine.commands.deployments, verb)(NOBODY)

    assert raised.value.code == "DEPLOYMENT_NOT_FOUND"


@pytest.mark.parametrize("verb", ["cancel", "sleep", "wake", "restart"])
async def test_a_failed_deployment_is_left_as_it_is(engine: Engine, verb: str) -> None:
    deployment = await failed(engine)

    with pytest.raises(Conflict) as raised:
        await getattr(engine.commands.deployments, verb)(deployment.id)

    assert raised.value.code == "DEPLOYMENT_ENDED"
    assert await engine.deployment(deployment.id) == deployment


async def test_stopping_twice_is_stopping_once(engine: Engine) -> None:
    deployment = await engine.served()

    first = await engine.commands.deployments.cancel(deployment.id)
    second = await engine.commands.deployments.cancel(deployment.id)

    assert first == second
    assert first.state is DeploymentState.STOPPED
    await engine.until_tasks(deployment)
    assert engine.ask().refusal


async def test_what_never_sleeps_cannot_be_put_to_sleep(engine: Engine) -> None:
    deployment = await engine.served(spec=Spec(cold_start_enabled=False))

    with pytest.raises(Conflict) as raised:
        await engine.commands.deployments.sleep(deployment.id)

    assert raised.value.code == "COLD_START_DISABLED"


async def test_a_wake_starts_it_without_a_request_and_twice_is_once(engine: Engine) -> None:
    deployment = await engine.asleep()
    engine.machine.started.clear()

    for _ in range(2):
        await engine.commands.deployments.wake(deployment.id)
        await engine.until_tasks(deployment, TaskState.RUNNING)

    assert len(engine.machine.started) == 1


async def test_a_restart_replaces_the_task_only_after_the_next_is_ready(engine: Engine) -> None:
    deployment = await engine.served()
    (old,) = engine.machine.up()
    engine.machine.programs["good"] = Program(listens=False)

    await engine.commands.deployments.restart(deployment.id)
    await until(lambda: len(engine.machine.up()) == 2)
    assert engine.ask().task_id == old
    (new,) = set(engine.machine.up()) - {old}
    engine.machine.listen(new)

    await until(lambda: set(engine.router.published(deployment.id)) == {new})


async def test_a_stop_of_an_ended_task_changes_nothing(engine: Engine) -> None:
    deployment = await engine.served()
    (running,) = await engine.until_tasks(deployment, TaskState.RUNNING)
    await engine.commands.tasks.stop(running.id)
    stopped = await engine.until_task(running.id, TaskState.STOPPED)

    assert await engine.commands.tasks.stop(running.id) == stopped
    assert await engine.task(running.id) == stopped


async def test_an_artifact_that_is_not_there_is_refused_and_nothing_is_added(engine: Engine) -> None:
    app = await engine.app()
    spec = Spec(artifact_id=ArtifactId("absent"))

    with pytest.raises(Invalid) as raised:
        await engine.commands.deployments.deploy(
            DeployRequest(app_id=app.id, environment="production", spec=spec)
        )

    assert raised.value.field == "artifact_id"
    assert [event.kind for event in await engine.events()] == ["app.created"]


async def test_what_is_built_keeps_its_artifact(engine: Engine) -> None:
    deployment = await engine.served()
    other = await engine.artifact("other")

    with pytest.raises(Conflict) as raised:
        await engine.commands.deployments.change(deployment.id, lambda spec: replace(spec, artifact_id=other))

    assert raised.value.code == "ARTIFACT_FIXED"
    assert (await engine.deployment(deployment.id)).spec == deployment.spec


async def test_what_waits_for_its_artifact_may_be_given_another(engine: Engine) -> None:
    app, promised = await engine.app(), await engine.commands.artifacts.create(name="a", content_type="")
    deployment = await engine.deploy(app, spec=Spec(artifact_id=promised.id))
    other = await engine.artifact("other")

    await engine.commands.deployments.change(deployment.id, lambda spec: replace(spec, artifact_id=other))

    await engine.until_state(deployment, DeploymentState.ACTIVE)


async def test_a_broken_artifact_fails_its_deployment_with_the_reason(engine: Engine) -> None:
    app = await engine.app()

    deployment = await engine.deploy(app, spec=Spec(artifact_id=await engine.artifact("broken")))

    ended = await engine.until_state(deployment, DeploymentState.FAILED)
    assert ended.reason == "cannot unpack it: it is broken"


async def test_a_stopped_version_of_a_deleted_app_is_not_deployed_anew(engine: Engine) -> None:
    deployment = await engine.served()
    await engine.commands.apps.delete(deployment.app_id)

    with pytest.raises(NotFound):
        await engine.commands.deployments.restart(deployment.id)
    with pytest.raises(NotFound):
        await engine.commands.apps.delete(deployment.app_id)
    with pytest.raises(NotFound):
        await engine.commands.apps.update(AppId("nobody"), description="x")


class VanishingFiles(ArtifactFiles):
    """Bytes that another's delete takes away right after they were received."""

    async def receive(
        self, chunks: AsyncIterator[bytes], *, expected_bytes: int | None = None
    ) -> tuple[str, int]:
        sha256, size_bytes = await super().receive(chunks, expected_bytes=expected_bytes)
        await self.delete(sha256)
        return sha256, size_bytes


async def test_an_upload_whose_bytes_went_meanwhile_is_not_acknowledged(
    engine: Engine, tmp_path: Path
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"program"

    files = VanishingFiles(tmp_path / "vanishing", 1000)
    commands = ArtifactCommands(engine.database, files, engine.world.clock, lambda _: None)
    artifact = await commands.create(name="program", content_type="x")

    with pytest.raises(Unavailable, match="deleted meanwhile"):
        await commands.upload(artifact.id, chunks(), expected_bytes=None)

    found = await artifacts.get(engine.database.reader, artifact.id)
    assert found is not None
    assert found.sha256 is None
