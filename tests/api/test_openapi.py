"""The OpenAPI document against the routes, and real answers against the document."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest
from aiohttp import web

from paas.api.kit.routes import NoParams, Reply, register, route
from paas.api.server import ROUTES, with_openapi
from tests.api.conftest import Api, Json, serve
from tests.api.engine import activate
from tests.api.schemas import faults

EVERY = with_openapi(ROUTES, version="1")
OPERATION = re.compile(r"\{[a-z_]+\}")


async def described(api: Api) -> Json:
    status, document = await api.ask("GET", "/openapi.json")
    assert status == HTTPStatus.OK
    return document


async def test_every_registered_route_is_described_and_nothing_else(api: Api) -> None:
    document = await described(api)
    application = web.Application()
    register(application.router, EVERY)

    registered = {
        (each.method, each.resource.canonical)
        for each in application.router.routes()
        if each.resource is not None and each.method != "HEAD"
    }
    in_document = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }

    assert {(method, re.sub(r":[^/]*\}(?=/|$)", "}", path)) for method, path in registered} == in_document


async def test_every_operation_is_complete(api: Api) -> None:
    document = await described(api)

    names = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names.append(operation["operationId"])
            in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert in_path == set(re.findall(r"\{([a-z_]+)\}", path)), path
            assert operation["summary"], (method, path)
            assert {"403", "500"} <= set(operation["responses"])
            assert any(status.startswith("2") for status in operation["responses"])
    assert len(names) == len(set(names))
    assert document["openapi"] == "3.1.0"


async def test_references_of_the_document_lead_somewhere(api: Api) -> None:
    async with api.client.get(api.url + "/openapi.json") as response:
        text = await response.text()
    document = await described(api)

    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))

    assert names
    assert names <= set(document["components"]["schemas"])
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in document["components"]["schemas"])


FILES = {"export_app_variables", "export_deployment_variables"}  # no JSON


class Checked:
    """Asks, and holds each answer against what the document says of that status."""

    def __init__(self, api: Api, document: Json) -> None:
        self._api = api
        self._document = document
        self.seen: set[str] = set()

    async def ask(
        self, method: str, template: str, ids: Json, body: object = None, **options: object
    ) -> Json:
        operation = self._document["paths"][template][method.lower()]
        path = template.format(**ids)
        status, answer = await self._api.ask(method, path, body, **options)
        assert str(status) in operation["responses"], (status, method, path, answer)
        content = operation["responses"][str(status)].get("content")
        if content is None:
            assert answer == {}
        else:
            assert faults(answer, content["application/json"]["schema"], self._document) == []
        self.seen.add(operation["operationId"])
        return answer


async def test_real_answers_are_as_described(api: Api) -> None:
    checked = Checked(api, await described(api))
    spec = {"replicas": 2, "env": {"A": "1"}, "idle_timeout_secs": 1.5}
    app = await checked.ask(
        "POST", "/api/v1/apps", {}, {"name": "a", "labels": {"x": "y"}, "default_deployment_spec": spec}
    )
    artifact = await checked.ask("POST", "/api/v1/artifacts", {}, {"name": "a"})
    ids = {"artifact_id": artifact["id"], "app_id": app["id"], "namespace": "default", "name": "a"}
    await checked.ask("POST", "/api/v1/artifacts/{artifact_id}/upload", ids, data=b"x")
    await checked.ask("POST", "/api/v1/apps", {}, {"name": "a"})
    deployment = await checked.ask(
        "POST", "/api/v1/apps/{app_id}/deployments", ids, {"artifact_id": artifact["id"]}
    )
    (task_id,) = await activate(api, deployment, ready=1)
    api.logs.watch(task_id)
    api.logs.path(task_id).write_text("hello\n", encoding="utf-8")
    ids |= {"deployment_id": deployment["id"], "task_id": task_id, "subdomain": "a-default"}
    build = await checked.ask("POST", "/api/v1/builds", {}, data=b"x", params={"app_id": app["id"]})
    await api.parts.build_logs.write(build["id"], ["hello"])
    ids["build_id"] = build["id"]
    login = {"username": "ann", "password": "x"}
    ids |= {"host": "ghcr.io", "slug": "staging"}
    await checked.ask("PUT", "/api/v1/registries/{host}", ids, login)
    source = {"repository_url": "https://github.com/owner/name"}
    await checked.ask("PUT", "/api/v1/apps/{app_id}/source-config", ids, source)
    bodies: Json = {
        "put_registry": login,
        "put_source": source,
        "change_deployment": {"spec": {"replicas": 1}},
        "update_app": {"description": "new"},
        "create_app": {"name": 3},
        "create_artifact": {},
        "promote_deployment": {"environment": "production"},
        "roll_back_app": {"version": 9},
        "create_environment": {"slug": "staging"},
        "put_app_variable": {"value": "1"},
        "put_deployment_variable": {"value": "1", "secret": True},
        "change_app_variables": {"env": {"B": "2"}},
        "change_deployment_variables": {"env": {"B": "2"}},
        "create_deployment": {"networking": {"protocol": "grpc"}},
    }
    left_out = {
        "upload_artifact",
        "download_artifact",
        "stream_deployment_logs",
        "docs",
        "docs_file",
        "prometheus",
        "stream_build_logs",
        "delete_artifact",
        "delete_app",
        *FILES,
    }

    for each in EVERY:
        if each.name not in left_out:
            await checked.ask(each.method, each.path, ids, bodies.get(each.name))
    await checked.ask("DELETE", "/api/v1/artifacts/{artifact_id}", ids)
    await checked.ask("DELETE", "/api/v1/apps/{app_id}", ids)

    unseen = {
        "download_artifact",
        "docs",
        "docs_file",
        "prometheus",
        "stream_build_logs",
        "stream_deployment_logs",
        *FILES,
    }
    assert checked.seen >= {each.name for each in EVERY} - unseen


async def test_broken_agent_answers_as_described(tmp_path: Path) -> None:
    async with serve(tmp_path) as api:
        api.problems.append("cannot write the database: disk full")
        checked = Checked(api, await described(api))

        answer = await checked.ask("GET", "/health", {})

    assert answer == {"status": "degraded", "problems": ["cannot write the database: disk full"]}


def test_doubled_routes_are_refused() -> None:
    async def act(_: object) -> Reply:
        return Reply()

    def declare(template: str) -> object:
        return route("GET", template, act, params=NoParams, answers={HTTPStatus.OK: None})

    first, second, other = declare("/a/{x}"), declare("/a/{y}"), declare("/b")

    with pytest.raises(ValueError, match="two routes for GET /a/"):
        register(web.Application().router, [first, other, second])  # type: ignore[list-item]
