"""/api/v1/webhooks/github: what GitHub tells."""

import asyncio
import hashlib
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from paas.api.kit.bodies import read_whole
from paas.api.kit.routes import Call, Content, Reply, Route, route
from paas.core.errors import BadRequest, UnsupportedMedia
from paas.core.ids import AppId, BuildId
from paas.engine.commands.hooks import Delivery, not_signed
from paas.github.deliveries import SIGNATURE

LIMIT_BYTES = 25 * 1024 * 1024  # GitHub's own: it sends nothing larger
LONGEST_SECS = 30.0  # for the body; GitHub itself gives up after 10
DELIVERIES = Content("application/json", ("application/x-www-form-urlencoded",))

_HEADER = r"^[\x21-\x7e]+$(?!\n)"


class DeliveryHeaders(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    event: Annotated[str, Meta(pattern=_HEADER, max_length=64)] | None = msgspec.field(
        default=None, name="X-GitHub-Event"
    )
    delivery: (
        Annotated[
            str,
            Meta(
                pattern=_HEADER,
                max_length=255,
                description="what comes under the same one again changes nothing",
            ),
        ]
        | None
    ) = msgspec.field(default=None, name="X-GitHub-Delivery")
    signature: (
        Annotated[str, Meta(description="sha256= and the HMAC-SHA-256 of the body in hexadecimal")] | None
    ) = msgspec.field(default=None, name="X-Hub-Signature-256")


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a delivery for one app."""

    app_id: AppId
    action: Literal["build", "delete_environment", "none"]
    reason: str
    environment: str | None
    build_id: BuildId | None


class Delivered(msgspec.Struct, kw_only=True):
    delivery: str
    event: str
    outcomes: list[Outcome]


async def github_webhook(call: Call[DeliveryHeaders, None]) -> Reply:
    """Take a delivery of GitHub's: pushes and pull requests have effects, all else is left alone."""
    request, given = call.request, call.params
    if given.signature is None or SIGNATURE.fullmatch(given.signature) is None:
        raise not_signed()
    if request.content_type not in (DELIVERIES.media_type, *DELIVERIES.others):
        raise UnsupportedMedia(
            f"cannot read the delivery: its type is {request.content_type}",
            hint=f"send {DELIVERIES.media_type}, or a form with the field payload",
        )
    if given.event is None:
        raise BadRequest("cannot take the delivery: X-GitHub-Event is missing", field="X-GitHub-Event")
    hooks = call.parts.commands.hooks
    with hooks.room_for(min(request.content_length or LIMIT_BYTES, LIMIT_BYTES)):
        body = await _body(request)
        delivery = Delivery(
            id=given.delivery or f"sha256:{hashlib.sha256(given.event.encode() + body).hexdigest()}",
            event=given.event,
            body=body,
            media_type=request.content_type,
            signature=given.signature,
        )
        outcomes = await hooks.deliver(delivery)
    has_effect = any(outcome.action != "none" for outcome in outcomes)
    return Reply(
        body=Delivered(
            delivery=delivery.id,
            event=delivery.event,
            outcomes=[msgspec.convert(outcome, Outcome, from_attributes=True) for outcome in outcomes],
        ),
        status=HTTPStatus.ACCEPTED if has_effect else HTTPStatus.OK,
    )


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(LONGEST_SECS):
            return await read_whole(request, LIMIT_BYTES)
    except TimeoutError as error:
        raise BadRequest(
            f"cannot read the delivery: it took longer than {LONGEST_SECS:.0f} s", code="BODY_INCOMPLETE"
        ) from error


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/webhooks/github",
        github_webhook,
        params=DeliveryHeaders,
        body=DELIVERIES,
        answers={HTTPStatus.OK: Delivered, HTTPStatus.ACCEPTED: Delivered},
        errors=(HTTPStatus.UNAUTHORIZED,),
    ),
)
