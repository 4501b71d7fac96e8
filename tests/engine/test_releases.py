"""Promotions and rollbacks: what runs again, and what is refused with a reason."""

import pytest

from paas.core.errors import Conflict, Invalid, NotFound
from paas.core.ids import DeploymentId
from paas.core.model import App, Deployment
from paas.core.records import replace
from paas.core.spec import Networking, Spec
from paas.core.states import DeploymentState
from paas.store import deployments
from tests.engine.fake_driver import Program
from tests.engine.rig import Engine


async def released(engine: Engine, app: App, name: str, environment: str = "production") -> Deployment:
    """Deploy an artifact of a name, and wait until it serves."""
    spec = Spec(artifact_id=await engine.artifact(name), replicas=2)
    made = await engine.deploy(app, environment=environment, spec=spec)
    return await engine.until_state(made, DeploymentState.ACTIVE)


async def test_a_promotion_runs_the_same_and_leaves_its_source_alone(engine: Engine) -> None:
    app = await engine.app()
    source = await released(engine, app, "one", "development")

    made = await engine.commands.releases.promote(source.id, "staging")

    made = await engine.until_state(made, DeploymentState.ACTIVE)
    assert (made.environment, made.version) == ("staging", 2)
    assert (made.spec.artifact_id, made.spec.replicas) == (source.spec.artifact_id, 2)
    assert await engine.deployment(source.id) == source


async def test_a_promotion_takes_no_port_along(engine: Engine) -> None:
    app = await engine.app()
    spec = Spec(artifact_id=await engine.artifact(), networking=Networking(protocol="tcp", proxy_port=47150))
    source = await engine.deploy(app, environment="development", spec=spec)

    made = await engine.commands.releases.promote(source.id, "production")

    assert made.spec.networking == Networking(protocol="tcp")


async def test_an_image_is_promoted_as_it_ran_and_not_as_its_tag_is_now(engine: Engine) -> None:
    app = await engine.app()
    source = replace(
        await released(engine, app, "one", "development"),
        id=DeploymentId("imaged"),
        version=50,
        spec=Spec(process_type="docker", image="nginx:latest", pull="always"),
        image="docker.io/library/nginx@sha256:00",
        state=DeploymentState.STOPPED,
    )
    async with engine.database.transaction() as tx:
        await deployments.insert(tx, source)

    made = await engine.commands.releases.promote(source.id, "production")

    assert (made.spec.image, made.spec.pull) == ("docker.io/library/nginx@sha256:00", "missing")


async def test_what_has_nothing_to_run_cannot_be_promoted(engine: Engine) -> None:
    app = await engine.app()
    source = await engine.deploy(app, environment="development")
    async with engine.database.transaction() as tx:
        await tx.write("DELETE FROM artifacts")

    with pytest.raises(Conflict, match="was deleted") as raised:
        await engine.commands.releases.promote(source.id, "production")

    assert raised.value.code == "ARTIFACT_GONE"
    with pytest.raises(NotFound):
        await engine.commands.releases.promote(DeploymentId("nobody"), "production")


async def test_a_rollback_serves_what_was_current_before_whatever_failed_since(engine: Engine) -> None:
    engine.machine.programs["bad"] = Program(exits=3)
    app = await engine.app()
    first = await released(engine, app, "one")
    await released(engine, app, "elsewhere", "development")
    second = await released(engine, app, "two")
    failed = await engine.deploy(app, "bad")
    await engine.until_state(failed, DeploymentState.FAILED)

    back = await engine.commands.releases.roll_back(app.id)
    back = await engine.until_state(back, DeploymentState.ACTIVE)
    forth = await engine.commands.releases.roll_back(app.id)

    assert (back.environment, back.spec.artifact_id) == ("production", first.spec.artifact_id)
    assert forth.spec.artifact_id == second.spec.artifact_id


async def test_a_rollback_takes_a_version_by_its_number(engine: Engine) -> None:
    app = await engine.app()
    first = await released(engine, app, "one", "development")
    await released(engine, app, "two", "development")
    await released(engine, app, "three", "development")

    back = await engine.commands.releases.roll_back(app.id, version=1)

    assert (back.environment, back.spec.artifact_id) == ("development", first.spec.artifact_id)


@pytest.mark.parametrize(
    ("environment", "version", "code"),
    [
        (None, None, "NO_EARLIER_VERSION"),
        ("development", None, "NO_EARLIER_VERSION"),
        (None, 1, "ALREADY_CURRENT"),
        ("development", 1, "OTHER_ENVIRONMENT"),
        (None, 9, "VERSION_NOT_FOUND"),
        ("nowhere", None, "ENVIRONMENT_NOT_FOUND"),
    ],
)
async def test_a_rollback_to_nothing_is_refused(
    engine: Engine, environment: str | None, version: int | None, code: str
) -> None:
    app = await engine.app()
    await released(engine, app, "one")

    with pytest.raises((Conflict, Invalid)) as raised:
        await engine.commands.releases.roll_back(app.id, environment=environment, version=version)

    assert raised.value.code == code


async def test_what_was_there_before_an_environment_was_deleted_is_not_rolled_back_to(engine: Engine) -> None:
    app = await engine.app()
    await released(engine, app, "one", "staging")
    await engine.commands.environments.delete(app.id, "staging")
    await released(engine, app, "two", "staging")

    with pytest.raises(Conflict, match="no earlier version served in staging"):
        await engine.commands.releases.roll_back(app.id, environment="staging")
