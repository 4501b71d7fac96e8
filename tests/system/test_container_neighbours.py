"""Containers that reach each other through the proxy, which wakes whom they ask for."""

from collections.abc import AsyncIterator

import pytest

from tests.containers import Hull, hull
from tests.harness import Json
from tests.system.test_tcp import line_to

ECHO = 'trap "exit 143" TERM; nc -ll -p $PORT -e cat & wait $!'
# /cgi-bin/database: what "database" says to a line; /cgi-bin/web: what "web" answers by HTTP.
ASKS = r"""
mkdir -p /tmp/www/cgi-bin; cd /tmp/www/cgi-bin
busybox cat >database <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
at=${PAAS_DATABASE_URL#tcp://}
echo hello | nc -w 20 ${at%:*} ${at#*:}
END
busybox cat >web <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
busybox wget -q -O- $PAAS_WEB_URL
END
busybox chmod +x *
trap "exit 143" TERM
httpd -f -p $PORT -h /tmp/www & wait $!
"""
TCP = {"protocol": "tcp"}
EVERYWHERE = ("--proxy", "0.0.0.0:0")


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull(*EVERYWHERE) as ship:
        yield ship


async def _asleep_again(ship: Hull, deployment: Json) -> None:
    await ship.agent.ask("POST", f"/api/v1/deployments/{deployment['id']}/sleep")
    await ship.agent.until_asleep(deployment["id"])


async def test_a_container_that_speaks_no_http_sleeps_and_wakes(ship: Hull) -> None:
    deployment = await ship.asleep("echo", ship.image(ECHO), networking=TCP)
    told = await ship.agent.deployment(deployment["id"])

    async with line_to(told) as line:
        assert await line.say(b"early\n") == b"early\n"


async def test_a_container_wakes_its_own_database(ship: Hull) -> None:
    database = await ship.deploy("database", ship.image(ECHO), networking=TCP)
    asks = await ship.deploy("asks", ship.image(ASKS))
    await _asleep_again(ship, asks)
    await _asleep_again(ship, database)

    answer = await ship.agent.get("asks", "/cgi-bin/database")

    assert (answer.status, answer.text) == (200, "hello\n")


async def test_a_container_asks_another_by_its_name_over_http(ship: Hull) -> None:
    web = await ship.deploy("web", ship.image(env={"TEXT": "asked by name"}))
    await ship.deploy("asks", ship.image(ASKS))
    await _asleep_again(ship, web)

    answer = await ship.agent.get("asks", "/cgi-bin/web")

    assert (answer.status, answer.text) == (200, "asked by name\n")


async def test_a_proxy_that_containers_cannot_reach_is_told() -> None:
    async with hull() as ship:
        await ship.deploy("database", ship.image(ECHO), networking=TCP)
        await ship.deploy("asks", ship.image(ASKS))

        assert "Containers cannot reach other apps: the proxy listens on 127.0.0.1 only" in ship.agent.log()
