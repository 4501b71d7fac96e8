"""Apps that speak no HTTP: a port of the proxy's each, asleep and woken by a connection."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from tests.harness import Agent, Json
from tests.system.programs import EXITS
from tests.system.tcp_programs import ENVIRONMENT, LINES

LIMIT_SECS = 30.0
IDLE_SECS = 1
TCP = {"protocol": "tcp"}


class Line:
    """A TCP connection, with a limit on every wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def say(self, line: bytes) -> bytes:
        """Send a line and read one."""
        self.writer.write(line)
        return await self.hear()

    async def hear(self) -> bytes:
        async with asyncio.timeout(LIMIT_SECS):
            return await self._reader.readline()

    async def hear_to_end(self) -> bytes:
        async with asyncio.timeout(LIMIT_SECS):
            return await self._reader.read()


@contextlib.asynccontextmanager
async def line_to(deployed: Json) -> AsyncIterator[Line]:
    host, _, port = deployed["tcp_address"].rpartition(":")
    assert host == "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def port_of(deployed: Json) -> int:
    return int(deployed["tcp_address"].rpartition(":")[2])


async def test_it_sleeps_and_a_connection_wakes_it_with_its_first_bytes(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS)
    assert deployed["urls"] == [f"tcp://{deployed['tcp_address']}"]
    await agent.until_asleep(deployed["id"])
    assert await agent.tasks_running_now() == []

    async with line_to(deployed) as line:
        assert await line.say(b"early\n") == b"early\n"
        assert await line.say(b"later\n") == b"later\n"
        line.writer.write_eof()
        assert await line.hear_to_end() == b"bye"

    await agent.until_asleep(deployed["id"])


async def test_a_server_that_speaks_first_is_woken_too(agent: Agent) -> None:
    deployed = await agent.deploy(
        "lines", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS, env={"GREETS": "yes"}
    )
    await agent.until_asleep(deployed["id"])

    async with line_to(deployed) as line:
        assert (await line.hear()).startswith(b"hello from ")


async def test_an_open_connection_keeps_it_awake(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS)

    async with line_to(deployed) as line:
        await line.say(b"x\n")
        (before,) = await agent.until(
            lambda: agent.tasks(deployed["id"], "running"), lambda found: len(found) == 1
        )
        began = asyncio.get_running_loop().time()
        await agent.until(
            lambda: agent.deployment(deployed["id"]),
            lambda _: asyncio.get_running_loop().time() - began > 3 * IDLE_SECS,
        )
        assert await line.say(b"y\n") == b"y\n"
        (after,) = await agent.tasks(deployed["id"], "running")
        assert after["id"] == before["id"]

    await agent.until_asleep(deployed["id"])


async def test_fifty_clients_at_once_start_it_once(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS)
    await agent.until_asleep(deployed["id"])
    tasks_before = len(await agent.tasks(deployed["id"], "stopped"))

    async def ask(number: int) -> bytes:
        async with line_to(deployed) as line:
            return await line.say(b"%d\n" % number)

    answers = await asyncio.gather(*(ask(number) for number in range(50)))

    assert answers == [b"%d\n" % number for number in range(50)]
    await agent.until_asleep(deployed["id"])
    assert len(await agent.tasks(deployed["id"], "stopped")) == tasks_before + 1


async def test_the_port_outlives_the_agent(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, idle_timeout_secs=IDLE_SECS)
    await agent.until_asleep(deployed["id"])

    agent.kill()
    agent.start()

    again = await agent.deployment(deployed["id"])
    assert again["tcp_address"] == deployed["tcp_address"]
    async with line_to(deployed) as line:
        assert await line.say(b"x\n") == b"x\n"


async def test_a_new_version_takes_the_port_while_the_old_one_drains(agent: Agent) -> None:
    first = await agent.deploy("lines", LINES, networking=TCP, env={"NAME": "one "})
    async with line_to(first) as before:
        assert await before.say(b"x\n") == b"one x\n"

        second = await agent.deploy("lines", LINES, networking=TCP, env={"NAME": "two "})

        assert second["tcp_address"] == first["tcp_address"]
        async with line_to(second) as after:
            assert await after.say(b"x\n") == b"two x\n"
        assert await before.say(b"x\n") == b"one x\n"
    assert (await agent.deployment(first["id"]))["tcp_address"] is None
    app = await agent.app("lines")
    assert app["url"] == f"tcp://{second['tcp_address']}"
    assert app["tcp_address"] == second["tcp_address"]


async def test_a_version_that_fails_leaves_the_port_with_the_one_before(agent: Agent) -> None:
    first = await agent.deploy("lines", LINES, networking=TCP)

    failed = await agent.settled((await agent.begin("lines", EXITS, networking=TCP))["id"])

    assert failed["status"] == "failed"
    async with line_to(first) as line:
        assert await line.say(b"x\n") == b"x\n"


async def test_the_wanted_port_is_given_and_never_twice(agent: Agent) -> None:
    any_port = port_of(await agent.deploy("one", LINES, networking=TCP))
    wanted = any_port + 3
    deployed = await agent.deploy("two", LINES, networking={**TCP, "proxy_port": wanted})
    assert port_of(deployed) == wanted

    third = await agent.app("three")
    artifact = await agent.upload(LINES)
    refused = await agent.ask(
        "POST",
        f"/api/v1/apps/{third['id']}/deployments",
        json={"artifact_id": artifact, "networking": {**TCP, "proxy_port": wanted}},
        expect=409,
    )
    assert (refused["code"], refused["field"]) == ("PORT_TAKEN", "networking.proxy_port")
    assert "two has it" in refused["error"]

    two = await agent.app("two")
    await agent.ask("DELETE", f"/api/v1/apps/{two['id']}", expect=204)
    assert port_of(await agent.deploy("three", LINES, networking={**TCP, "proxy_port": wanted})) == wanted


async def test_a_current_version_moves_to_another_port(agent: Agent) -> None:
    first = await agent.deploy("lines", LINES, networking=TCP)
    (task,) = await agent.tasks(first["id"], "running")

    moved = await agent.ask(
        "PATCH",
        f"/api/v1/deployments/{first['id']}",
        json={"spec": {"networking": {"proxy_port": port_of(first) + 1}}},
    )

    assert port_of(moved) == port_of(first) + 1
    async with line_to(await _listening(agent, moved)) as line:
        assert await line.say(b"x\n") == b"x\n"
    with pytest.raises(ConnectionRefusedError):
        async with line_to(first):
            pass
    (same,) = await agent.tasks(first["id"], "running")
    assert same["id"] == task["id"]


async def test_a_port_that_another_program_has_is_told_and_taken_once_it_is_free(agent: Agent) -> None:
    taken = port_of(await agent.deploy("one", LINES, networking=TCP)) + 1

    with socket.create_server(("127.0.0.1", taken)):
        deployed = await agent.deploy("two", LINES, networking={**TCP, "proxy_port": taken})
        told = await agent.until(
            lambda: agent.deployment(deployed["id"]), lambda found: found["reason"] is not None
        )
        assert told["reason"] == f"cannot listen on port {taken}: Address already in use"
        others = port_of(await agent.deploy("three", LINES, networking=TCP))
        assert others != taken

    healed = await _listening(agent, deployed)
    assert healed["reason"] is None
    async with line_to(healed) as line:
        assert await line.say(b"x\n") == b"x\n"


async def test_a_frozen_app_goes_on_with_a_connection(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, idle={"freeze_after_secs": IDLE_SECS})
    async with line_to(deployed) as line:
        assert await line.say(b"x\n") == b"x\n"
    await agent.until_activity(deployed["id"], "frozen")

    async with line_to(deployed) as line:
        assert await line.say(b"y\n") == b"y\n"
        assert len(await agent.tasks(deployed["id"], "running")) == 1
    assert len(await agent.tasks(deployed["id"])) == 1


async def test_clients_may_wait_for_the_first_version(agent: Agent) -> None:
    slow = LINES.replace(b"import os, socketserver", b"import os, socketserver, time; time.sleep(1)")
    begun = await agent.begin("lines", slow, networking=TCP)
    await agent.until(lambda: _refuses(begun), lambda refused: not refused)

    async with line_to(begun) as line:
        assert await line.say(b"early\n") == b"early\n"

    assert (await agent.settled(begun["id"]))["status"] == "running"


async def test_a_task_that_is_killed_ends_its_connections_and_is_followed(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP, env={"GREETS": "yes"})
    async with line_to(deployed) as line:
        pid = int((await line.hear()).split()[-1])

        os.kill(pid, signal.SIGKILL)

        with contextlib.suppress(ConnectionResetError):
            assert await line.hear_to_end() == b""
    # A process that dies may close what it accepted before it stops accepting.
    await agent.until(lambda: agent.tasks(deployed["id"], "failed"), lambda ended: len(ended) == 1)
    async with line_to(deployed) as line:
        assert int((await line.hear()).split()[-1]) != pid


async def test_an_app_may_change_what_it_speaks(agent: Agent) -> None:
    await agent.deploy("app", ENVIRONMENT)
    assert (await agent.get("app")).status == 200

    by_tcp = await agent.deploy("app", LINES, networking=TCP)
    async with line_to(by_tcp) as line:
        assert await line.say(b"x\n") == b"x\n"
    assert (await agent.get("app")).status == 404

    await agent.deploy("app", ENVIRONMENT)
    assert (await agent.get("app")).status == 200
    await agent.until(lambda: _refuses(by_tcp), lambda refused: refused)


async def test_a_stopped_app_refuses_connections(agent: Agent) -> None:
    deployed = await agent.deploy("lines", LINES, networking=TCP)

    await agent.ask("POST", f"/api/v1/deployments/{deployed['id']}/cancel")

    await agent.until(lambda: _refuses(deployed), lambda refused: refused)


async def _refuses(deployed: Json) -> bool:
    try:
        async with line_to(deployed):
            return False
    except ConnectionRefusedError:
        return True


async def _listening(agent: Agent, deployed: Json) -> Json:
    """Wait until the proxy listens on a deployment's port."""

    await agent.until(lambda: _refuses(deployed), lambda refused: not refused)
    return await agent.until(lambda: agent.deployment(deployed["id"]), lambda found: found["reason"] is None)
