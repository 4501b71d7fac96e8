"""Software that others wrote, as containers: nginx, PostgreSQL and Redis of Debian's packages."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.containers import Hull, hull
from tests.debian_image import layer_of
from tests.docker_engine import Image, load_image
from tests.harness import Json
from tests.requirements import require

PAGE = "served by nginx"
NGINX = """
mkdir -p /tmp/www && echo "$PAGE" >/tmp/www/index.html
cat >/tmp/nginx.conf <<END
daemon off; pid /tmp/nginx.pid; error_log stderr; worker_processes 1;
events { worker_connections 256; }
http { access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen $PORT; root /tmp/www; } }
END
exec nginx -c /tmp/nginx.conf -e /dev/stderr
"""
POSTGRESQL = """
bin=/usr/lib/postgresql/15/bin
[ -s /data/db/PG_VERSION ] || $bin/initdb -D /data/db -A trust -U postgres --no-sync --locale=C || exit
echo 'host all all all trust' >>/data/db/pg_hba.conf
exec $bin/postgres -D /data/db -h 0.0.0.0 -p $PORT -k /tmp
"""
REDIS = "exec redis-server --port $PORT --dir /data --appendonly yes --protected-mode no"
# Asks the database named by PAAS_DB_URL for each request, and answers with what it says.
WEB = """
address=${PAAS_DB_URL#tcp://}
mkdir -p /tmp/www/cgi-bin
cat >/tmp/www/cgi-bin/ask <<END
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
psql -h ${address%:*} -p ${address##*:} -U postgres -Atc "SELECT 'the database says ' || count(*) FROM notes"
END
chmod +x /tmp/www/cgi-bin/ask
trap "exit 143" TERM
httpd -f -p $PORT -h /tmp/www & wait $!
"""
POSTGRESQL_PACKAGES = ("postgresql-15", "postgresql-client-15", "libpq5", "tzdata")
AMPLE = {"memory": "512Mi", "cpu": "2"}


@pytest.fixture
async def ship() -> AsyncIterator[Hull]:
    async with hull("--proxy", "0.0.0.0:0") as ship:
        yield ship


def image(ship: Hull, name: str, script: str, layer: bytes, user: str = "daemon") -> str:
    """Make an image of Debian's files that runs a script as a plain user."""
    config = {
        "Cmd": ["/bin/sh", "-c", script],
        "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PAGE={PAGE}", "LANG=C.UTF-8"],
        "User": user,
    }
    load_image(ship.socket, Image(name=f"paas-test/{name}:debian", config=config, layer=layer))
    return f"paas-test/{name}:debian"


def database(ship: Hull) -> str:
    require("psql")
    require_package("postgresql-15", "/usr/lib/postgresql/15/bin/postgres")
    return image(ship, "postgresql", POSTGRESQL, layer_of(*POSTGRESQL_PACKAGES))


def require_package(package: str, program: str) -> None:
    if not Path(program).exists():
        require(package)


async def psql(deployed: Json, statement: str) -> str:
    """Ask the database through its port of the proxy's, as a user would."""
    port = deployed["tcp_address"].rpartition(":")[2]
    done = await asyncio.to_thread(
        subprocess.run,
        ["psql", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atc", statement],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**os.environ, "PGCONNECT_TIMEOUT": "60"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_nginx_serves_sleeps_and_wakes(ship: Hull) -> None:
    require("nginx")
    deployed = await ship.deploy(
        "site", image(ship, "nginx", NGINX, layer_of("nginx")), resources=AMPLE, idle_timeout_secs=1
    )
    first = await ship.agent.get("site")
    await ship.agent.until_asleep(deployed["id"])

    woken = await ship.agent.get("site")

    assert [(each.status, each.text.strip()) for each in (first, woken)] == [(200, PAGE)] * 2
    assert woken.headers["Server"].startswith("nginx")


async def test_postgresql_sleeps_and_is_woken_by_psql_with_its_data(ship: Hull) -> None:
    deployed = await ship.deploy(
        "db",
        database(ship),
        networking={"protocol": "tcp", "port": 5432},
        volumes=[{"host_path": "db", "container_path": "/data"}],
        resources=AMPLE,
        idle_timeout_secs=1,
    )
    await psql(deployed, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')")
    await ship.agent.until_asleep(deployed["id"])
    assert ship.containers(running_only=True) == []

    assert await psql(deployed, "SELECT text FROM notes") == "kept"


async def test_a_web_app_wakes_its_own_database(ship: Hull) -> None:
    layer = layer_of(*POSTGRESQL_PACKAGES)
    db = await ship.deploy(
        "db",
        database(ship),
        networking={"protocol": "tcp", "port": 5432},
        volumes=[{"host_path": "db", "container_path": "/data"}],
        resources=AMPLE,
        idle_timeout_secs=2,
    )
    await psql(db, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('one'), ('two')")
    web = image(ship, "web", WEB.replace("psql -h", "/usr/lib/postgresql/15/bin/psql -h"), layer)
    shown = await ship.deploy("web", web, resources=AMPLE, idle_timeout_secs=2)
    await ship.agent.until_asleep(shown["id"])
    await ship.agent.until_asleep(db["id"])

    answer = await ship.agent.get("web", "/cgi-bin/ask")

    assert (answer.status, answer.text.strip()) == (200, "the database says 2")


async def test_redis_keeps_what_it_was_told_over_its_sleep(ship: Hull) -> None:
    cli = str(require("redis-cli"))
    deployed = await ship.deploy(
        "cache",
        image(ship, "redis", REDIS, layer_of("redis-tools", "redis-server")),
        networking={"protocol": "tcp", "check": "redis"},
        volumes=[{"host_path": "cache", "container_path": "/data"}],
        resources=AMPLE,
        idle_timeout_secs=1,
    )
    port = deployed["tcp_address"].rpartition(":")[2]

    async def redis(*words: str) -> str:
        command = [cli, "-h", "127.0.0.1", "-p", port, *words]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True, timeout=90
        )
        return done.stdout.strip()

    assert await redis("SET", "colour", "blue") == "OK"
    await ship.agent.until_asleep(deployed["id"])

    assert await redis("GET", "colour") == "blue"
