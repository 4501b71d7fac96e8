"""/api/v1/secrets: the key that everything secret is sealed with."""

from http import HTTPStatus

import msgspec

from paas.api.kit.routes import Call, NoParams, Reply, Route, route


class KeyRotated(msgspec.Struct, kw_only=True):
    sealed_anew: int


async def rotate_key(call: Call[NoParams, None]) -> Reply:
    """Encrypt everything secret with a new key, and forget the old one."""
    return Reply(body=KeyRotated(sealed_anew=await call.parts.commands.secrets.rotate_key()))


ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/api/v1/secrets/rotate-key",
        rotate_key,
        params=NoParams,
        answers={HTTPStatus.OK: KeyRotated},
        errors=(HTTPStatus.CONFLICT,),
    ),
)
