"""/api/v1/artifacts"""

import asyncio
from http import HTTPStatus

from aiohttp import web

from paas.api.kit.bodies import chunks
from paas.api.kit.downloads import download
from paas.api.kit.lists import Page, PageParams
from paas.api.kit.routes import Call, Content, NoParams, Reply, Route, route
from paas.api.native import answers, params, requests, shapes
from paas.core.errors import Conflict, NotFound, Unavailable
from paas.core.ids import ArtifactId
from paas.core.model import Artifact
from paas.store import artifacts


async def create_artifact(call: Call[NoParams, requests.CreateArtifact]) -> Reply:
    """Create the record of an artifact; its bytes are uploaded next."""
    artifact = await call.parts.commands.artifacts.create(
        name=call.body.name, content_type=call.body.content_type
    )
    return Reply(body=shapes.artifact(artifact), status=HTTPStatus.CREATED)


async def upload_artifact(call: Call[params.ArtifactPath, None]) -> Reply:
    """Keep the bytes of an artifact, once: the raw body, of any content type."""
    artifact = await call.parts.commands.artifacts.upload(
        call.params.artifact_id, chunks(call.request), expected_bytes=call.request.content_length
    )
    return Reply(body=shapes.artifact(artifact))


async def list_artifacts(call: Call[PageParams, None]) -> Reply:
    """List artifacts, newest first."""
    wanted = call.params
    found, total = await artifacts.page(call.parts.reader, limit=wanted.page_size, offset=wanted.offset)
    data = [shapes.artifact(artifact) for artifact in found]
    return Reply(body=Page(data=data, total=total, page=wanted.page, page_size=wanted.page_size))


async def get_artifact(call: Call[params.ArtifactPath, None]) -> Reply:
    """Read an artifact's name, type, size and SHA-256."""
    return Reply(body=shapes.artifact(await _existing(call)))


async def download_artifact(call: Call[params.ArtifactPath, None]) -> web.StreamResponse:
    """Send an artifact's bytes."""
    artifact = await _existing(call)
    if artifact.sha256 is None:
        raise Conflict(
            f"cannot download artifact {artifact.id}: nothing was uploaded yet", code="ARTIFACT_EMPTY"
        )
    path = call.parts.artifact_path(artifact.sha256)
    if not await asyncio.to_thread(path.is_file):
        raise Unavailable(f"cannot download artifact {artifact.id}: its file is missing")
    return download(
        call.request,
        path,
        name=artifact.name,
        content_type=artifact.content_type,
        sha256=artifact.sha256,
    )


async def delete_artifact(call: Call[params.ArtifactPath, None]) -> Reply:
    """Delete an artifact that no live deployment runs."""
    await call.parts.commands.artifacts.delete(call.params.artifact_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


async def _existing(call: Call[params.ArtifactPath, None]) -> Artifact:
    artifact_id: ArtifactId = call.params.artifact_id
    artifact = await artifacts.get(call.parts.reader, artifact_id)
    if artifact is None:
        raise NotFound(f"no artifact has the id {artifact_id}", code="ARTIFACT_NOT_FOUND")
    return artifact


_ONE = {HTTPStatus.OK: answers.Artifact}
_BYTES = Content("*/*")  # of the type that the artifact was made with
_UPLOAD = Content("application/octet-stream", may_be_empty=True)

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/artifacts",
        create_artifact,
        params=NoParams,
        body=requests.CreateArtifact,
        answers={HTTPStatus.CREATED: answers.Artifact},
    ),
    route(
        "GET",
        "/api/v1/artifacts",
        list_artifacts,
        params=PageParams,
        answers={HTTPStatus.OK: Page[answers.Artifact]},
    ),
    route("GET", "/api/v1/artifacts/{artifact_id}", get_artifact, params=params.ArtifactPath, answers=_ONE),
    route(
        "POST",
        "/api/v1/artifacts/{artifact_id}/upload",
        upload_artifact,
        params=params.ArtifactPath,
        body=_UPLOAD,
        answers=_ONE,
        errors=(HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    route(
        "GET",
        "/api/v1/artifacts/{artifact_id}/download",
        download_artifact,
        params=params.ArtifactPath,
        answers={
            HTTPStatus.OK: _BYTES,
            HTTPStatus.PARTIAL_CONTENT: _BYTES,
            HTTPStatus.NOT_MODIFIED: None,
        },
        errors=(
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    ),
    route(
        "DELETE",
        "/api/v1/artifacts/{artifact_id}",
        delete_artifact,
        params=params.ArtifactPath,
        answers={HTTPStatus.NO_CONTENT: None},
        errors=(HTTPStatus.CONFLICT,),
    ),
)
