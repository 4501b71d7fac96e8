"""/health, /api/v1/doctor and /api/v1/version"""

from http import HTTPStatus

from paas.api.kit.routes import Call, NoParams, Reply, Route, route
from paas.api.native import answers, shapes


async def health(call: Call[NoParams, None]) -> Reply:
    """Say whether the agent works."""
    problems = list(call.parts.problems())
    await call.parts.reader.value("SELECT 1")
    if problems:
        body = answers.Health(status="degraded", problems=problems)
        return Reply(body=body, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return Reply(body=answers.Health(status="ok", problems=[]))


async def doctor(call: Call[NoParams, None]) -> Reply:
    """Look at what the agent needs of its machine; what is wrong comes with the command that mends it."""
    return Reply(body=shapes.diagnosis(await call.parts.examine()))


async def version(call: Call[NoParams, None]) -> Reply:
    """Say which agent this is, and how well apps are kept apart."""
    return Reply(body=shapes.version(call.parts.about, call.parts.urls))


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/health",
        health,
        params=NoParams,
        answers={HTTPStatus.OK: answers.Health, HTTPStatus.SERVICE_UNAVAILABLE: answers.Health},
    ),
    route("GET", "/api/v1/doctor", doctor, params=NoParams, answers={HTTPStatus.OK: answers.Diagnosis}),
    route("GET", "/api/v1/version", version, params=NoParams, answers={HTTPStatus.OK: answers.Version}),
)
