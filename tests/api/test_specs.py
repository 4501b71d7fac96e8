"""What may be asked of a deployment, field by field."""

from http import HTTPStatus

import pytest

from tests.api.conftest import Api, Json

DEFAULT_SPEC: Json = {
    "process_type": "tish",
    "artifact_id": None,
    "image": None,
    "pull": "missing",
    "replicas": 1,
    "resources": {"cpu": "100m", "memory": "128Mi", "pids": None},
    "networking": {
        "port": None,
        "protocol": "http",
        "health_path": None,
        "proxy_port": None,
        "check": "auto",
    },
    "env": {},
    "cold_start_enabled": True,
    "idle_timeout_secs": 300,
    "idle": {"freeze_after_secs": None, "stop_after_secs": None},
    "max_runtime_secs": None,
    "volumes": [],
    "start_timeout_secs": 60,
    "stop_grace_secs": 10,
    "processes": {},
    "release": None,
}


def volume(host_path: str, container_path: str) -> Json:
    return {"host_path": host_path, "container_path": container_path}


async def test_every_field_is_taken_as_given(api: Api) -> None:
    app, artifact = await api.app(), await api.artifact()
    given = {
        "artifact_id": artifact["id"],
        "process_type": "tish",
        "replicas": 3,
        "pull": "always",
        "resources": {"cpu": "0.5", "memory": "1Gi", "pids": 100},
        "networking": {"port": 8080, "protocol": "http", "health_path": "/health"},
        "env": {"LOG_LEVEL": "info"},
        "cold_start_enabled": False,
        "idle_timeout_secs": 1.5,
        "idle": {"freeze_after_secs": 1, "stop_after_secs": 90},
        "max_runtime_secs": 60,
        "volumes": [],
        "start_timeout_secs": 5,
        "stop_grace_secs": 0,
        "processes": {"worker": {"command": "./work --fast", "replicas": 2, "sleeps": False}},
        "release": "./migrate",
    }

    deployment = await api.deployment(app["id"], **given)

    assert deployment["spec"] == DEFAULT_SPEC | given | {
        "networking": given["networking"] | {"proxy_port": None, "check": "auto"}
    }


async def test_default_spec_of_the_app_supplies_what_the_body_leaves_out(api: Api) -> None:
    app = await api.app(
        default_deployment_spec={
            "replicas": 4,
            "resources": {"memory": "256Mi"},
            "networking": {"health_path": "/up", "port": 9000},
            "env": {"A": "1", "B": "2", "C": "3"},
        }
    )

    deployment = await api.deployment(
        app["id"], resources={"cpu": "1"}, networking={"port": None}, env={"B": "x", "C": None}
    )

    assert deployment["spec"] == DEFAULT_SPEC | {
        "replicas": 4,
        "resources": {"cpu": "1", "memory": "256Mi", "pids": None},
        "networking": DEFAULT_SPEC["networking"] | {"health_path": "/up"},
        "env": {"A": "1", "B": "x"},
    }


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({"processes": {"web": {"replicas": 2}}}, "processes.web", "replicas"),
        ({"processes": {"release": {}}}, "processes.release", "release"),
        ({"processes": {"Worker": {}}}, "processes", ""),
        ({"processes": {"w": {"command": " "}}}, "processes.*.command", ""),
        ({"processes": {"w": {"replica": 1}}}, "processes.*.replica", "did you mean replicas?"),
        ({"image": "a", "processes": {"w": {}}}, "processes.w.command", "give its command"),
        ({"image": "a", "processes": {"w": {"command": "a 'b"}}}, "processes.w.command", ""),
        ({"image": "a", "release": "a 'b"}, "release", ""),
        (
            {
                "image": "a",
                "volumes": [{"host_path": "data", "container_path": "/data"}],
                "processes": {"w": {"command": "a"}},
            },
            "processes.w.replicas",
            "exclusive",
        ),
        ({"replicas": -1}, "replicas", "0 to 100"),
        ({"replicas": 101}, "replicas", "0 to 100"),
        ({"replicas": 1.5}, "replicas", ""),
        ({"replicas": "1"}, "replicas", ""),
        ({"replicas": None}, "replicas", ""),
        ({"replica": 1}, "replica", "did you mean replicas?"),
        ({"networking": {"port": 0}}, "networking.port", "65535"),
        ({"networking": {"port": 65536}}, "networking.port", "65535"),
        ({"networking": {"prot": 80}}, "networking.prot", "did you mean port?"),
        ({"networking": {"health_path": "health"}}, "networking.health_path", "/health"),
        ({"networking": {"check": "redis"}}, "networking.check", "tcp"),
        ({"networking": {"protocol": "tcp", "check": "mysql"}}, "networking.check", "postgresql"),
        ({"networking": {"protocol": "udp"}}, "networking.protocol", "one of grpc, http, tcp"),
        ({"resources": {"cpu": "fast"}}, "resources.cpu", "100m"),
        ({"resources": {"cpu": "0"}}, "resources.cpu", ""),
        ({"resources": {"memory": "128mb"}}, "resources.memory", "128Mi"),
        ({"resources": {"memory": "1"}}, "resources.memory", "1Mi"),
        ({"env": {"1A": "x"}}, "env", "letters"),
        ({"env": {"A": 1}}, "env", "variables"),
        ({"env": {"A": "\0"}}, "env.A", ""),
        ({"env": {"PORT": "80"}}, "env.PORT", "networking.port"),
        ({"env": {"A": "x" * 70_000}}, "env", ""),
        ({"idle_timeout_secs": 0}, "idle_timeout_secs", "31536000"),
        ({"idle_timeout_secs": 31_536_001}, "idle_timeout_secs", "31536000"),
        ({"idle": {"freeze_after_secs": 0}}, "idle.freeze_after_secs", "31536000"),
        ({"idle": {"stop_after_secs": 0}}, "idle.stop_after_secs", "31536000"),
        ({"idle": {"freeze_after_secs": 300}}, "idle.freeze_after_secs", "give less"),
        ({"idle": {"freeze_after_secs": 9, "stop_after_secs": 9}}, "idle.freeze_after_secs", "give less"),
        (
            {"idle": {"freeze_after_secs": 60}, "idle_timeout_secs": 30},
            "idle.freeze_after_secs",
            "idle_timeout_secs",
        ),
        ({"idle": {"thaw_after_secs": 60}}, "idle.thaw_after_secs", ""),
        ({"idle": None}, "idle", ""),
        ({"max_runtime_secs": 0.5}, "max_runtime_secs", "at least 1"),
        ({"environment": "Production"}, "environment", "lower-case"),
        ({"environment": "x" * 31}, "environment", "30"),
        ({"artifact_id": "x"}, "artifact_id", "artifact"),
        ({"artifact_id": "00000000-0000-4000-8000-000000000000"}, "artifact_id", "upload"),
        ({"process_type": "vm"}, "process_type", "native"),
        ({"cold_start_enabled": "yes"}, "cold_start_enabled", ""),
        ({"volumes": [{"host_path": "/a", "container_path": "/b"}]}, "volumes", ""),
        ({"volumes": [{"host_path": "/a"}]}, "volumes.0.container_path", ""),
        ({"image": "x", "volumes": [volume("../a", "/b")]}, "volumes.0.host_path", "name"),
        ({"image": "x", "volumes": [volume("a", "/")]}, "volumes.0.container_path", "other than /"),
        ({"image": "x", "volumes": [volume("a", "/b/../c")]}, "volumes.0.container_path", ""),
        ({"image": "x", "volumes": [volume("a", "/b"), volume("c", "/b/")]}, "volumes.1.container_path", ""),
        ({"image": "x", "volumes": [volume("a", "/b")], "replicas": 2}, "replicas", "exclusive"),
        ({"image": "x y"}, "image", "reference"),
        ({"image": "-x"}, "image", "reference"),
        ({"image": "x", "pull": "never"}, "pull", ""),
        ({"image": "x", "resources": {"pids": 0}}, "resources.pids", "1 to"),
    ],
)
async def test_bad_deployment_is_refused_by_field(api: Api, body: Json, field: str, hint: str) -> None:
    app = await api.app()

    status, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", body)

    assert (status, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, field)
    assert hint in error.get("hint", "")
    assert error["error"].startswith("cannot ")
    assert api.poked == []


@pytest.mark.parametrize(
    ("body", "process_type", "image"),
    [
        ({"process_type": "docker", "image": "nginx:latest"}, "docker", "nginx:latest"),
        ({"image": "ghcr.io/me/app@sha256:" + "0" * 64}, "docker", "ghcr.io/me/app@sha256:" + "0" * 64),
        ({"process_type": "docker"}, "docker", None),
        ({"process_type": "tish", "image": "nginx"}, "tish", None),
    ],
)
async def test_an_image_means_a_container(api: Api, body: Json, process_type: str, image: str | None) -> None:
    app = await api.app()

    deployment = await api.deployment(app["id"], **body)

    assert (deployment["spec"]["process_type"], deployment["spec"]["image"]) == (process_type, image)


async def test_an_artifact_takes_the_place_of_the_apps_image(api: Api) -> None:
    app = await api.app(default_deployment_spec={"image": "nginx"})

    of_image = await api.deployment(app["id"])
    of_artifact = await api.deployment(app["id"], artifact_id=(await api.artifact())["id"])

    assert (of_image["spec"]["process_type"], of_image["spec"]["image"]) == ("docker", "nginx")
    assert (of_artifact["spec"]["process_type"], of_artifact["spec"]["image"]) == ("tish", None)


async def test_volumes_are_exclusive_unless_they_say_otherwise(api: Api) -> None:
    app = await api.app()

    deployment = await api.deployment(app["id"], image="x", volumes=[volume("data", "/data")])

    assert deployment["spec"]["volumes"] == [
        volume("data", "/data") | {"read_only": False, "exclusive": True}
    ]


async def test_what_is_not_there_yet_is_not_implemented(api: Api) -> None:
    app, body = await api.app(), {"networking": {"protocol": "grpc"}}

    status, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", body)
    stored, _ = await api.ask("POST", "/api/v1/apps", {"name": "x", "default_deployment_spec": body})

    assert (status, error["code"]) == (HTTPStatus.NOT_IMPLEMENTED, "NOT_IMPLEMENTED")
    assert stored == HTTPStatus.NOT_IMPLEMENTED


async def test_patch_changes_the_spec_in_place(api: Api) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"], env={"A": "1"}, resources={"cpu": "1"})

    status, changed = await api.ask(
        "PATCH",
        f"/api/v1/deployments/{deployment['id']}",
        {"spec": {"replicas": 3, "resources": {"memory": "1Gi"}, "env": {"B": "2"}}},
    )

    assert status == HTTPStatus.OK
    assert changed["id"] == deployment["id"]
    assert changed["spec"]["replicas"] == 3
    assert changed["spec"]["resources"] == {"cpu": "1", "memory": "1Gi", "pids": None}
    assert changed["spec"]["env"] == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec"),
        ({"spec": {"replicas": 1000}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.replicas"),
        ({"spec": {"networking": {"port": 99999}}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.networking.port"),
        ({"spec": {"environment": "x"}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.environment"),
        ({"spec": {"env": {"PORT": "1"}}}, HTTPStatus.UNPROCESSABLE_ENTITY, "spec.env.PORT"),
        ({"replicas": 1}, HTTPStatus.UNPROCESSABLE_ENTITY, "replicas"),
        (
            {"spec": {"image": "nginx", "volumes": [{"host_path": "a", "container_path": "/"}]}},
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "spec.volumes.0.container_path",
        ),
    ],
)
async def test_bad_patch_is_refused_by_field(api: Api, body: Json, status: HTTPStatus, field: str) -> None:
    app = await api.app()
    deployment = await api.deployment(app["id"])

    answered, error = await api.ask("PATCH", f"/api/v1/deployments/{deployment['id']}", body)

    assert (answered, error["field"]) == (status, field)


async def test_levels_of_sleep_are_checked_over_what_the_app_and_the_deployment_have(api: Api) -> None:
    app = await api.app(default_deployment_spec={"idle": {"freeze_after_secs": 60}})
    deployment = await api.deployment(app["id"], idle={"stop_after_secs": 120})
    path = f"/api/v1/deployments/{deployment['id']}"

    created, error = await api.ask("POST", f"/api/v1/apps/{app['id']}/deployments", {"idle_timeout_secs": 60})
    changed, refused = await api.ask("PATCH", path, {"spec": {"idle": {"stop_after_secs": 60}}})
    taken_away, after = await api.ask("PATCH", path, {"spec": {"idle": {"freeze_after_secs": None}}})

    assert deployment["spec"]["idle"] == {"freeze_after_secs": 60, "stop_after_secs": 120}
    assert (created, error["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "idle.freeze_after_secs")
    assert (changed, refused["field"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "spec.idle.freeze_after_secs")
    assert taken_away == HTTPStatus.OK
    assert after["spec"]["idle"] == {"freeze_after_secs": None, "stop_after_secs": 120}
