"""Apps that reach each other by what their environment says, through the proxy that wakes them."""

import json

from tests.harness import Agent, Json
from tests.requirements import require
from tests.system.tcp_programs import ASKS_BY_CURL, ASKS_DATABASE, ENVIRONMENT, LINES

IDLE_SECS = 1
TCP = {"protocol": "tcp"}


async def _variables(agent: Agent, app: str) -> dict[str, str]:
    """Read what a running app was told of others."""
    found: Json = json.loads((await agent.get(app)).body)
    return {
        name: value for name, value in found.items() if name.startswith("PAAS_") and name.endswith("_URL")
    }


async def test_a_woken_app_wakes_its_own_database(agent: Agent) -> None:
    database = await agent.deploy("my-database", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS)
    shop = await agent.deploy("shop", ASKS_DATABASE, idle_timeout_secs=IDLE_SECS)
    await agent.until_asleep(shop["id"])
    await agent.until_asleep(database["id"])

    answer = await agent.get("shop", "/what")

    assert (answer.status, answer.text) == (200, "/what\n")
    await agent.until_asleep(shop["id"])
    await agent.until_asleep(database["id"])


async def test_a_database_that_came_later_is_found_from_the_next_start_on(agent: Agent) -> None:
    shop = await agent.deploy("shop", ASKS_DATABASE, idle_timeout_secs=IDLE_SECS)
    assert (await agent.get("shop")).status == 500
    await agent.until_asleep(shop["id"])

    await agent.deploy("my-database", LINES, networking=TCP)

    assert (await agent.get("shop", "/late")).text == "/late\n"


async def test_an_app_asks_others_in_its_own_environment_where_they_are_there(agent: Agent) -> None:
    for environment in ("production", "staging"):
        await agent.deploy("one", ENVIRONMENT, environment=environment)
    await agent.deploy("asker", ENVIRONMENT, environment="staging")
    in_staging = json.loads((await agent.get("asker-default-staging.localhost")).body)["PAAS_ONE_URL"]

    app = await agent.app("one")
    await agent.ask("DELETE", f"/api/v1/apps/{app['id']}/environments/staging", expect=204)
    await agent.deploy("asker", ENVIRONMENT, environment="staging")

    later = json.loads((await agent.get("asker-default-staging.localhost")).body)["PAAS_ONE_URL"]
    port = agent.proxy_url.rpartition(":")[2]
    assert in_staging == f"http://one-default-staging.localhost:{port}"
    assert later == f"http://one-default.localhost:{port}"


async def test_each_app_is_told_of_the_others_of_its_namespace(agent: Agent) -> None:
    one = await agent.deploy("one", ENVIRONMENT, idle_timeout_secs=IDLE_SECS)
    database = await agent.deploy("My-DB2", LINES, networking=TCP)
    elsewhere = await agent.ask(
        "POST", "/api/v1/apps", json={"name": "far", "namespace": "other"}, expect=201
    )
    artifact = await agent.upload(LINES)
    await agent.ask(
        "POST", f"/api/v1/apps/{elsewhere['id']}/deployments", json={"artifact_id": artifact}, expect=201
    )
    await agent.deploy("two", ENVIRONMENT, env={"PAAS_ONE_URL": "mine"})
    await agent.until_asleep(one["id"])
    port = database["tcp_address"].rpartition(":")[2]

    told_one, told_two = await _variables(agent, "one"), await _variables(agent, "two")

    by_tcp = {"PAAS_MY_DB2_URL": f"tcp://127.0.0.1:{port}"}
    proxy_port = agent.proxy_url.rpartition(":")[2]
    assert told_one == by_tcp | {"PAAS_TWO_URL": f"http://two-default-development.localhost:{proxy_port}"}
    assert told_two == by_tcp | {"PAAS_ONE_URL": "mine"}


async def test_nothing_restarts_because_another_app_came(agent: Agent) -> None:
    one = await agent.deploy("one", ENVIRONMENT)
    (before,) = await agent.tasks(one["id"], "running")

    two = await agent.deploy("two", ENVIRONMENT)
    assert await _variables(agent, "one") == {}
    await agent.ask("DELETE", f"/api/v1/apps/{two['app_id']}", expect=204)

    (after,) = await agent.tasks(one["id"], "running")
    assert after["id"] == before["id"]


async def test_an_app_asks_another_by_its_url_with_curl(agent: Agent) -> None:
    require("curl")
    other = await agent.deploy("other", ENVIRONMENT, idle_timeout_secs=IDLE_SECS)
    await agent.deploy("asks", ASKS_BY_CURL)
    await agent.until_asleep(other["id"])

    answer = await agent.get("asks")

    assert answer.status == 200
    assert json.loads(answer.body)["APP_NAME"] == "other"


async def test_a_port_in_the_apps_own_environment_comes_first(agent: Agent) -> None:
    development = await agent.deploy("db", LINES, networking=TCP)
    production = await agent.deploy("db", LINES, networking=TCP, environment="production")

    await agent.deploy("one", ENVIRONMENT)
    await agent.deploy("two", ENVIRONMENT, environment="production")

    for app, database in (("one", development), ("two", production)):
        port = database["tcp_address"].rpartition(":")[2]
        assert (await _variables(agent, app))["PAAS_DB_URL"] == f"tcp://127.0.0.1:{port}"
