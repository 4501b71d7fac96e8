"""paas doctor: what is wrong, and the command that mends it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas import doctor
from paas.docker import probe
from tests.cli.conftest import Command
from tests.harness import Agent


async def test_it_looks_at_agent_and_machine(agent: Agent, paas: Command) -> None:
    found = json.loads(paas("doctor", "--json").out)

    checks = {check["name"]: check for check in found["checks"]}
    assert checks["agent"]["ok"]
    assert checks["disk"]["ok"]
    assert checks["git"]["ok"]
    assert checks["native builds"]["ok"]
    assert found["ok"] == all(check["ok"] for check in found["checks"])
    assert all(check["fix"] for check in found["checks"] if not check["ok"])


async def test_what_is_wrong_is_told_with_its_remedy_and_exit_code(paas: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[proxy]\nlisen = 'x'\n")

    result = paas("doctor", "--config", config)

    assert result.code == 1
    assert "line 2: unknown key proxy.lisen" in result.out
    assert "did you mean proxy.listen?" in result.out


async def test_it_works_without_an_agent(agent: Agent, paas: Command) -> None:
    agent.kill()

    result = paas("doctor")

    assert result.code == 1
    assert "no agent answers" in result.out
    assert "connection refused" in result.out
    assert "mend it: " in result.out


@contextlib.asynccontextmanager
async def engine(path: Path, answer: bytes | None) -> AsyncIterator[None]:
    """Listen as an engine would; without an answer it hangs."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + answer)
        else:
            await reader.read()  # until the client leaves
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
        await served.wait()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "detail", "fix"),
    [
        (b'{"Version": "19.03.1", "ApiVersion": "1.40"}', "too old", "--only-upgrade docker.io"),
        (b"hello", "no Docker engine", "containers.engine"),
        (None, "does not answer", "systemctl restart docker"),
    ],
)
async def test_an_engine_that_is_no_good(tmp_path: Path, answer: bytes | None, detail: str, fix: str) -> None:
    async with engine(tmp_path / "e.sock", answer):
        check = await probe.check_engine(tmp_path / "e.sock", is_used=True)

    assert not check.ok
    assert detail in check.detail
    assert fix in (check.fix or "")


async def test_an_engine_that_answers(tmp_path: Path) -> None:
    async with engine(tmp_path / "e.sock", b'{"Version": "20.10.24", "ApiVersion": "1.41"}'):
        check = await probe.check_engine(tmp_path / "e.sock", is_used=True)

    assert (check.ok, check.fix) == (True, None)
    assert "20.10.24 (API 1.41)" in check.detail


async def test_an_absent_engine_is_a_fault_only_where_it_is_used(tmp_path: Path) -> None:
    used = await probe.check_engine(tmp_path / "e.sock", is_used=True)
    unused = await probe.check_engine(tmp_path / "e.sock", is_used=False)

    assert (used.ok, unused.ok) == (False, True)
    assert used.fix in ("apt-get install docker.io", "systemctl start docker")


async def test_an_engine_that_ended_left_its_socket(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "e.sock"))

    check = await probe.check_engine(tmp_path / "e.sock", is_used=True)

    assert (check.ok, check.fix) == (False, "systemctl start docker")


async def test_a_proxy_that_containers_cannot_reach() -> None:
    async def gateway() -> str:
        return "127.0.0.1"

    check = await doctor.check_proxy_reach(gateway(), "127.0.0.2", 1)

    assert not check.ok
    assert check.fix is not None
    assert 'proxy.listen = "0.0.0.0:1"' in check.fix
