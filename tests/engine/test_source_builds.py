"""From source to a deployment: what is built once, what follows, and what a death at any stage leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.core.builds import Build, BuildOptions, Rollout
from paas.core.errors import Conflict, Invalid
from paas.core.ids import ArtifactId, DeploymentId
from paas.core.model import Artifact, Deployment
from paas.core.states import BuildState, DeploymentState
from paas.core.variables import of_app, of_deployment, of_environment
from paas.engine.builds import SOURCE_KEPT_SECS
from paas.engine.commands import GitSource, SameSource
from paas.engine.commands.boxes import Wanted
from paas.store import artifacts, builds, deployments, feed
from tests.contexts import archive
from tests.engine.build_rig import BUILT, COMMIT, Rig, running
from tests.waiting import until

URL = "https://git.example/me/hello.git"
GIT = GitSource(url=URL, ref="main")
PRODUCTION = Rollout(environment="production", spec={"replicas": 0})


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        rig.fetcher.may.set()
        yield rig


async def deployed(rig: Rig, build: Build) -> Deployment:
    found = await deployments.get(rig.database.reader, DeploymentId(build.deployment_id or ""))
    assert found is not None
    return found


async def made_by(rig: Rig, build: Build) -> Artifact:
    found = await artifacts.get(rig.database.reader, build.artifact_id or ArtifactId(""))
    assert found is not None
    return found


async def count(rig: Rig, table: str) -> int:
    return int(await rig.database.reader.value(f"SELECT count(*) FROM {table}") or 0)


async def test_commit_becomes_an_artifact_and_that_a_deployment(rig: Rig) -> None:
    build = await rig.settled(await rig.ask(source=GIT, rollout=PRODUCTION))

    assert (build.state, build.recipe, build.source.commit) == (BuildState.SUCCEEDED, "executable", COMMIT)
    assert rig.fetcher.asked == [(URL, "main", f"token of {rig.app_id} for {URL}")]
    artifact = await made_by(rig, build)
    deployment = await deployed(rig, build)
    assert (deployment.environment, deployment.state) == ("production", DeploymentState.QUEUED)
    assert (deployment.spec.artifact_id, deployment.spec.replicas) == (artifact.id, 0)
    assert deployment.build_id == build.id
    await until(lambda: rig.deployments == [deployment.id])  # after its row is there to be read
    said = await rig.said(build)
    assert said[0] == f"Fetching {URL}"
    assert said[-1] == f"Built program.tar, {artifact.size_bytes} bytes"


async def test_image_is_deployed_by_its_id(rig: Rig) -> None:
    build = await rig.ask(rollout=PRODUCTION)
    await rig.begun(build)

    rig.builder.results[build.id].set_result(BUILT)

    spec = (await deployed(rig, await rig.settled(build))).spec
    assert (spec.process_type, spec.image, spec.replicas) == ("docker", BUILT.id, 0)


MANIFEST = """
replicas = 3
idle_timeout_secs = 7
[env]
COLOUR = "blue"
[build]
path = "web"
recipe = "dockerfile"
dockerfile = "Other"
[build.args]
A = "manifest"
B = "manifest"
"""


async def test_manifest_says_how_it_is_built_and_deployed_unless_the_request_does(rig: Rig) -> None:
    rig.fetcher.files = {"apps/paas.toml": MANIFEST, "apps/web/Other": "FROM scratch\n"}
    options = BuildOptions(args={"A": "request"})
    source = GitSource(url=URL, path="apps")

    build = await rig.ask(source=source, options=options, rollout=PRODUCTION)
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)

    (seen,) = rig.builder.seen
    assert (seen.options.dockerfile, seen.options.args) == ("Other", {"A": "request", "B": "manifest"})
    deployment = await deployed(rig, await rig.settled(build))
    assert (deployment.spec.replicas, deployment.spec.idle_timeout_secs) == (0, 7)
    own = await rig.variables.env_of_specs([deployment])
    assert own == {deployment.id: {"COLOUR": "blue"}}


async def test_own_variables_of_another_deployment_go_before_the_manifest(rig: Rig) -> None:
    rig.fetcher.files = {"paas.toml": "[env]\nCOLOUR = 'blue'\nSIZE = 'small'\n"}
    first = await deployed(rig, await rig.settled(await rig.ask(source=GIT, rollout=PRODUCTION)))
    own = of_deployment(rig.app_id, first.id)
    await rig.all_commands.variables.put(own, Wanted(values={"COLOUR": "red"}))

    like_first = Rollout(environment="production", env_of=first.id)
    second = await deployed(rig, await rig.settled(await rig.ask(source=GIT, rollout=like_first)))

    assert (await rig.variables.env_of_specs([second]))[second.id] == {"COLOUR": "red", "SIZE": "small"}


async def test_build_sees_variables_and_its_log_hides_the_secret_ones(rig: Rig) -> None:
    put = rig.all_commands.variables.put
    await put(of_app(rig.app_id), Wanted(values={"COLOUR": "blue", "KEY": "open sesame"}, secret=True))
    await put(of_environment(rig.app_id, "staging"), Wanted(values={"COLOUR": "green"}))
    rig.programs.says = "the key is open sesame"

    build = await rig.settled(await rig.ask(source=GIT, environment="staging"))

    assert rig.programs.asked[-1].env == {"COLOUR": "green", "KEY": "open sesame"}
    assert "the key is ***" in await rig.said(build)
    again = await rig.settled(await rig.ask(source=GIT, environment="staging"))
    assert again.reused_build_id == build.id
    elsewhere = await rig.settled(await rig.ask(source=GIT))
    assert elsewhere.reused_build_id is None, "other variables may make another program"


async def test_reason_of_a_failure_hides_secrets(rig: Rig) -> None:
    await rig.all_commands.variables.put(of_app(rig.app_id), Wanted(values={"KEY": "Other"}, secret=True))
    rig.fetcher.files = {"paas.toml": "[build]\npath = 'Other'\n"}

    build = await rig.settled(await rig.ask(source=GIT))

    assert build.reason == "cannot build '***': there is no such folder in the source"
    assert not [event for event in await feed.Feed(rig.database).after(0) if "Other" in (event.reason or "")]


async def test_manifest_that_names_an_image_wants_no_build(rig: Rig) -> None:
    rig.fetcher.files = {"zectre.yaml": "name: hello\ndeploy:\n  process_type: docker\n  image: nginx:1\n"}

    build = await rig.settled(await rig.ask(source=GIT, rollout=PRODUCTION))

    assert (build.state, build.recipe, build.artifact_id) == (BuildState.SUCCEEDED, "image", None)
    assert (await deployed(rig, build)).spec.image == "nginx:1"


async def test_manifest_that_is_wrong_fails_the_build_with_its_line(rig: Rig) -> None:
    rig.fetcher.files = {"paas.toml": "name = 'hello'\nreplicsa = 3\n"}

    build = await rig.settled(await rig.ask(source=GIT, rollout=PRODUCTION))

    assert build.state is BuildState.FAILED
    assert "paas.toml:2" in (build.reason or "")


async def test_same_source_is_built_once(rig: Rig) -> None:
    first = await rig.settled(await rig.ask(source=GIT))
    second = await rig.settled(await rig.ask(source=GIT, rollout=PRODUCTION))

    assert second.artifact_id == first.artifact_id
    assert second.reused_build_id == first.id
    assert (await rig.said(second))[-1].startswith(f"Built before, as build {first.id}: program.tar, ")
    assert (await deployed(rig, second)).spec.artifact_id == first.artifact_id
    assert await count(rig, "artifacts") == 1


async def test_same_image_is_built_once_while_it_is_there(rig: Rig) -> None:
    content = archive("FROM scratch\n")
    first = await rig.ask(content)
    await rig.begun(first)
    rig.builder.results[first.id].set_result(BUILT)

    second = await rig.settled(await rig.ask(content))

    assert (second.image_id, second.reused_build_id) == (BUILT.id, first.id)


async def test_other_options_and_lost_results_are_built_again(rig: Rig) -> None:
    first = await rig.settled(await rig.ask(source=GIT))
    anew = await rig.settled(await rig.ask(source=GIT, options=BuildOptions(no_cache=True)))
    other = await rig.settled(await rig.ask(source=GIT, options=BuildOptions(start="./other")))

    assert len({first.artifact_id, anew.artifact_id, other.artifact_id}) == 3
    sha256 = (await made_by(rig, first)).sha256
    for build in (first, anew):
        await rig.all_commands.artifacts.delete((await made_by(rig, build)).id)
    again = await rig.settled(await rig.ask(source=GIT))
    assert again.reused_build_id is None
    assert (await made_by(rig, again)).sha256 == sha256


async def test_newer_build_takes_the_place_of_those_of_its_environment(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        running_one = await rig.ask(source=GIT, rollout=PRODUCTION)
        await until(lambda: rig.fetcher.asked)
        waiting = await rig.ask(source=GIT, rollout=PRODUCTION)
        elsewhere = await rig.ask(source=GIT, rollout=Rollout(environment="development"))
        by_hand = await rig.ask(source=GIT, environment="production")

        newest = await rig.ask(source=GIT, rollout=PRODUCTION, replaces=True)

        rig.fetcher.may.set()
        states = [
            (await rig.settled(build)).state for build in (running_one, waiting, elsewhere, by_hand, newest)
        ]
        assert states == [*[BuildState.CANCELLED] * 2, *[BuildState.SUCCEEDED] * 3]
        assert newest.id in ((await rig.read(waiting)).reason or "")
        assert await count(rig, "deployments") == 2


async def test_what_cannot_be_deployed_is_not_built(rig: Rig) -> None:
    wrong = Rollout(environment="production", spec={"volumes": [{"host_path": "x", "container_path": "/x"}]})

    build = await rig.settled(await rig.ask(source=GIT, rollout=wrong))

    assert build.state is BuildState.FAILED
    assert (build.reason or "").startswith("cannot mount volumes")
    assert rig.programs.asked == []


async def test_deployment_that_is_refused_fails_the_build_and_leaves_nothing(rig: Rig) -> None:
    rig.fetcher.may.clear()
    build = await rig.ask(source=GIT, rollout=Rollout(environment="x" * 60))
    rig.fetcher.may.set()

    build = await rig.settled(build)

    assert (build.state, build.artifact_id) == (BuildState.FAILED, None)
    assert "characters" in (build.reason or "")
    assert (await count(rig, "artifacts"), await count(rig, "deployments")) == (0, 0)


async def test_folder_in_a_source_is_built_and_nothing_outside(rig: Rig) -> None:
    absent = await rig.settled(await rig.ask(source=GitSource(url=URL, path="run")))
    assert absent.reason == "cannot build 'run': there is no such folder in the source"
    for path in ("../x", "/etc", "a/../../x"):
        with pytest.raises(Invalid) as caught:
            await rig.ask(source=GitSource(url=URL, path=path))
        assert caught.value.field == "path"


async def test_source_of_what_is_current_is_kept_and_can_be_built_again(rig: Rig) -> None:
    build = await rig.ask(archive("", {"Dockerfile": "FROM scratch\n"}), rollout=PRODUCTION)
    await rig.begun(build)
    rig.builder.results[build.id].set_result(BUILT)
    deployment = await deployed(rig, await rig.settled(build))
    async with rig.database.record() as tx:
        await tx.write("UPDATE environments SET current_deployment_id = ?", (deployment.id,))
    rig.clock.seconds += SOURCE_KEPT_SECS
    await rig.tidied()

    again = await rig.ask(source=SameSource(build_id=build.id), options=BuildOptions(no_cache=True))

    await rig.begun(again)
    rig.builder.results[again.id].set_result(BUILT)
    assert (await rig.settled(again)).source == build.source
    rig.clock.seconds += SOURCE_KEPT_SECS
    await rig.tidied()
    assert [path.name for path in rig.folder.iterdir() if path.is_dir()] == [build.id]
    with pytest.raises(Conflict, match="not kept any more"):
        await rig.ask(source=SameSource(build_id=again.id))


async def test_artifacts_go_with_the_builds_that_made_them(rig: Rig) -> None:
    no_cache = BuildOptions(no_cache=True)
    oldest = await rig.settled(await rig.ask(source=GIT, options=no_cache))
    used = await rig.settled(await rig.ask(source=GIT, options=no_cache, rollout=PRODUCTION))
    newer = [await rig.settled(await rig.ask(source=GIT, options=no_cache)) for _ in range(2)]

    await rig.queue.tidy()

    page, _ = await builds.page(rig.database.reader, limit=10, offset=0)
    assert {build.id for build in page} == {used.id, *(build.id for build in newer)}
    kept = {build.artifact_id for build in page}
    assert oldest.artifact_id not in kept
    found = await rig.database.reader.all("SELECT id FROM artifacts")
    assert {row["id"] for row in found} == kept
    assert rig.builder.tidied == [], "no engine is asked where no image was ever built"


async def test_death_while_fetching_fetches_again(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        build = await rig.ask(source=GIT, rollout=PRODUCTION)
        await until(lambda: rig.fetcher.asked)

    assert await ends_well(tmp_path, build) == [(URL, "main")]


async def test_death_after_fetching_goes_on_with_the_same_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.programs.may.clear()
        rig.fetcher.may.set()
        build = await rig.ask(source=GIT, rollout=PRODUCTION)
        await until(lambda: rig.programs.asked)

    assert await ends_well(tmp_path, build) == [(URL, COMMIT)]


async def test_death_between_the_artifact_and_its_row_leaves_one_of_each(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        build = await rig.ask(source=GIT, rollout=PRODUCTION)
        await until(lambda: rig.fetcher.asked)
        async with contextlib.AsyncExitStack() as holding:
            rig.programs.may.clear()
            rig.fetcher.may.set()
            await until(lambda: rig.programs.asked)
            await holding.enter_async_context(rig.database.transaction())  # nobody else writes now
            rig.programs.may.set()
            await until(lambda: "Built program.tar" in log(tmp_path, build))
            rig.die()
            await asyncio.sleep(0)
        assert len([*(tmp_path / "artifacts").iterdir()]) == 1
        assert (await rig.read(build)).state is BuildState.RUNNING

    await ends_well(tmp_path, build)


def log(folder: Path, build: Build) -> str:
    path = folder / "builds" / f"{build.id}.log"
    return path.read_text() if path.exists() else ""


async def ends_well(folder: Path, build: Build) -> list[tuple[str, str | None]]:
    """Let the next agent finish a build, find its result once, and say what was fetched for it."""
    async with running(folder) as rig:
        rig.fetcher.may.set()
        found = await rig.settled(build)
        assert (found.state, found.source.commit) == (BuildState.SUCCEEDED, COMMIT)
        assert (await deployed(rig, found)).spec.artifact_id == found.artifact_id
        assert (await count(rig, "artifacts"), await count(rig, "deployments")) == (1, 1)
        await until(lambda: [path for path in rig.folder.iterdir() if path.is_dir()] == [])
        return [(url, ref) for url, ref, _ in rig.fetcher.asked]
