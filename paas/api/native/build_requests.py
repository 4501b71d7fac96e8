"""From what was asked of a build to a request that can be kept, and from the record to its answer."""

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from paas.api.kit.parts import ApiParts
from paas.api.kit.times import rfc3339, rfc3339_if_any
from paas.api.native import views
from paas.api.native.build_fields import Build as BuildAnswer
from paas.api.native.build_fields import BuildLogEntry, Command, NewBuild, NewGitBuild
from paas.api.native.build_fields import Source as SourceAnswer
from paas.build_logs import BuildLine
from paas.core.builds import DOCKERFILE, Build, BuildOptions, Rollout
from paas.core.errors import Invalid, NotFound
from paas.core.model import App
from paas.core.sources import check_path, check_ref, check_url
from paas.engine.commands import ArchiveSource, BuildRequest, GitSource
from paas.specs import reading
from paas.specs.fields import SpecFields
from paas.store import apps

T = TypeVar("T")

ARGS_SHAPE = 'a JSON object of text, such as {"VERSION":"1"}'
COMMANDS_SHAPE = 'a JSON list of text, such as ["make"]'
# What a spec may not say that is kept with a build, and why.
NOT_OF_A_BUILD: Mapping[str, str] = {
    "artifact_id": "leave it out: what was built is what runs",
    "image": "leave it out: what was built is what runs",
    "env": "set variables of the app or of its environment",
}


async def of_archive(
    parts: ApiParts, wanted: NewBuild, chunks: AsyncIterator[bytes], expected_bytes: int | None
) -> BuildRequest:
    """Take a build whose source is the body. Raises NotFound and Invalid."""
    app = await _app(parts, wanted)
    args = _decoded(wanted.build_args, dict[str, str], "build_args", ARGS_SHAPE)
    commands = _decoded(wanted.commands, list[Command], "commands", COMMANDS_SHAPE)
    return BuildRequest(
        app_id=app.id,
        source=ArchiveSource(chunks=chunks, expected_bytes=expected_bytes, path=check_path(wanted.path)),
        options=_options(wanted, commands, args),
        environment=wanted.environment,
        rollout=_rollout(app, wanted, UNSET),
        replaces=wanted.replaces,
    )


async def of_repository(parts: ApiParts, wanted: NewGitBuild) -> BuildRequest:
    """Take a build whose source is fetched. Raises NotFound and Invalid."""
    app = await _app(parts, wanted)
    git = wanted.git
    return BuildRequest(
        app_id=app.id,
        source=GitSource(
            url=check_url(git.url, field="git.url"),
            ref=None if git.ref is None else check_ref(git.ref, field="git.ref"),
            path=check_path(git.path, field="git.path"),
        ),
        options=_options(wanted, wanted.commands, wanted.build_args),
        environment=wanted.environment,
        rollout=_rollout(app, wanted, wanted.spec),
        replaces=wanted.replaces,
    )


def answer(record: Build) -> BuildAnswer:
    source, rollout, options = record.source, record.rollout, record.options
    recipe = record.recipe or options.recipe
    return BuildAnswer(
        id=record.id,
        app_id=record.app_id,
        state=record.state.value,
        reason=record.reason,
        source=SourceAnswer(
            kind=source.kind,
            path=source.path,
            url=source.url,
            ref=source.ref,
            commit=source.commit,
            sha256=source.sha256,
            size=source.size_bytes,
        ),
        environment=record.environment,
        deploy=rollout is not None,
        cause=None if rollout is None else rollout.cause,
        recipe=recipe,
        commands=list(options.commands),
        start=options.start,
        dockerfile=options.dockerfile or ("Dockerfile" if recipe in {None, DOCKERFILE} else None),
        target=options.target,
        build_args=dict(options.args),
        no_cache=options.no_cache,
        context_size=source.size_bytes,
        context_sha256=source.sha256,
        fingerprint=record.fingerprint,
        reused_build_id=record.reused_build_id,
        artifact_id=record.artifact_id,
        image=record.image,
        image_id=record.image_id,
        image_size=record.image_bytes,
        deployment_id=record.deployment_id,
        created_at=rfc3339(record.created_at),
        started_at=rfc3339_if_any(record.started_at),
        ended_at=rfc3339_if_any(record.ended_at),
        updated_at=rfc3339(record.updated_at),
    )


def log_entry(line: BuildLine) -> BuildLogEntry:
    return BuildLogEntry(timestamp=rfc3339(line.at), message=line.message)


async def _app(parts: ApiParts, wanted: NewBuild | NewGitBuild) -> App:
    if (wanted.app_id is None) is (wanted.name is None):
        raise Invalid(
            "cannot build: it is not said for which app",
            field="app_id",
            hint="give either app_id, or name and namespace",
        )
    if wanted.app_id is not None:
        return await views.existing_app(parts, wanted.app_id)
    app = await apps.by_name(parts.reader, wanted.namespace, wanted.name or "")
    if app is None:
        raise NotFound(f"no app is called {wanted.namespace}/{wanted.name}", code="APP_NOT_FOUND")
    return app


def _options(wanted: NewBuild | NewGitBuild, commands: list[str], args: Mapping[str, str]) -> BuildOptions:
    return BuildOptions(
        recipe=wanted.recipe,
        commands=tuple(commands),
        start=wanted.start,
        dockerfile=_dockerfile(wanted.dockerfile),
        target=wanted.target,
        args=args,
        no_cache=wanted.no_cache,
    )


def _rollout(app: App, wanted: NewBuild | NewGitBuild, spec: SpecFields | UnsetType) -> Rollout | None:
    """Say what is deployed afterwards, if anything is. Raises Invalid for a spec that could never be."""
    fields = SpecFields() if isinstance(spec, UnsetType) else spec
    for name, hint in NOT_OF_A_BUILD.items():
        if getattr(fields, name) is not UNSET:
            raise Invalid(f"cannot deploy a build with spec.{name}", field=f"spec.{name}", hint=hint)
    if not wanted.deploy:
        if not isinstance(spec, UnsetType):
            raise Invalid("cannot use the spec: nothing is deployed", field="spec", hint="set deploy to true")
        return None
    given: Mapping[str, object] = msgspec.to_builtins(fields)
    with reading.named("spec"):
        reading.complete(app.default_deployment_spec, fields)
    return Rollout(environment=wanted.environment, spec=given)


def _dockerfile(text: str | None) -> str | None:
    if text is None:
        return None
    path = check_path(text, field="dockerfile")
    if not path:
        raise Invalid(f"cannot build {text}: it names no file", field="dockerfile")
    return path


def _decoded(text: str, kind: type[T], field: str, shape: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise Invalid(f"cannot read {field}: {error}", field=field, hint=f"write {shape}") from error
