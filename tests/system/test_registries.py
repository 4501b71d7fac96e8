"""Passwords of registries with a real agent: kept over its death, and readable nowhere but to it."""

import asyncio
import base64
import os
import shutil
import signal
import stat
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from paas.engine.registries import credentials
from paas.store.database import Database
from paas.vault import Vault
from tests.harness import REPOSITORY, Agent, running

PASSWORD = "pass-phrase-that-nothing-else-says"
LOGIN = {"username": "ann", "password": PASSWORD}
JSON = {"Content-Type": "application/json"}
PATH = "/api/v1/registries/ghcr.io"


async def opened(state: Path, credentials_folder: Path | None = None) -> tuple[str, str] | None:
    """Open the state as the agent does for a pull."""
    async with Database.open(state / "paas.db") as database:
        vault = Vault(state / "secrets.key", credentials=credentials_folder)
        return await credentials(database.reader, vault, "ghcr.io")


def start_refused(agent: Agent) -> tuple[int, str]:
    """Start an agent that cannot use its state, and return its exit code and what it says."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "paas", "serve", "--state", str(agent.state)),
            *("--api", "127.0.0.1:0", "--proxy", "127.0.0.1:0"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
        env={**os.environ, **agent.environment},
    )
    return done.returncode, done.stderr


def written(state: Path) -> dict[str, bytes]:
    """Read all that the agent keeps, but for the lock and SQLite's own bookkeeping."""
    unsteady = (".lock", "-shm", "-wal", ".log")
    return {
        str(path.relative_to(state)): path.read_bytes()
        for path in sorted(state.rglob("*"))
        if path.is_file() and not path.name.endswith(unsteady)
    }


async def test_what_was_acknowledged_outlives_a_killed_agent(agent: Agent) -> None:
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    agent.kill()
    agent.start()

    assert (await agent.ask("GET", PATH))["username"] == "ann"
    agent.kill()
    assert await opened(agent.state) == ("ann", PASSWORD)
    assert stat.S_IMODE((agent.state / "secrets.key").stat().st_mode) == 0o600


async def test_an_agent_without_secrets_makes_no_key_and_loads_no_cipher(agent: Agent) -> None:
    assert (await agent.ask("GET", "/api/v1/registries"))["data"] == []

    assert not (agent.state / "secrets.key").exists()
    assert "cryptography" not in Path(f"/proc/{agent.pid}/maps").read_text()
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    assert "cryptography" in Path(f"/proc/{agent.pid}/maps").read_text()
    agent.kill()
    agent.start()
    assert "cryptography" not in Path(f"/proc/{agent.pid}/maps").read_text()


async def test_the_password_is_nowhere_but_sealed(agent: Agent) -> None:
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    await agent.api("PUT", PATH, json={**LOGIN, "user": 1})
    await agent.api("PUT", PATH, data=f'{{"password": "{PASSWORD}", }}', headers=JSON)
    await agent.ask("PUT", PATH, json={**LOGIN, "username": "bob"})
    asked = (PATH, "/api/v1/registries", "/api/v1/events", "/api/v1/version", "/openapi.json")
    shown = [(await agent.api("GET", path)).body for path in asked]
    shown += [Path(f"/proc/{agent.pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
    agent.kill(signal.SIGTERM)

    key = (agent.state / "secrets.key").read_text().strip()
    found = b"".join(path.read_bytes() for path in agent.state.rglob("*") if path.is_file())
    everything = found.replace(key.encode(), b"", 1) + b"".join(shown)
    for secret in (PASSWORD.encode(), base64.b64encode(PASSWORD.encode()), key.encode(), bytes.fromhex(key)):
        assert secret not in everything
    assert b"bob" in everything, "the search does find what is there"


async def test_a_lost_key_stops_the_agent_before_it_writes(agent: Agent) -> None:
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    agent.kill(signal.SIGTERM)
    key = (agent.state / "secrets.key").rename(agent.state.parent / f"{agent.state.name}.key")
    before = written(agent.state)

    try:
        code, said = start_refused(agent)

        assert code == 1
        assert f"their key {agent.state}/secrets.key is not there" in said
        assert "put it back from a backup" in said
        assert written(agent.state) == before
    finally:
        key.rename(agent.state / "secrets.key")
    agent.start()
    assert (await agent.ask("GET", PATH))["username"] == "ann"


async def test_a_wrong_key_stops_the_agent_and_a_deleted_secret_frees_it(agent: Agent) -> None:
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    agent.kill(signal.SIGTERM)
    right = (agent.state / "secrets.key").read_text()
    (agent.state / "secrets.key").write_text("00" * 32)

    code, said = start_refused(agent)

    assert code == 1
    assert "secrets.key is not the key of all of them" in said
    (agent.state / "secrets.key").write_text(right)
    agent.start()
    await agent.ask("DELETE", PATH, expect=204)
    agent.kill(signal.SIGTERM)
    (agent.state / "secrets.key").write_text("00" * 32)
    agent.start()


async def test_a_copied_database_tells_nothing_without_its_key(agent: Agent, tmp_path: Path) -> None:
    await agent.ask("PUT", PATH, json=LOGIN, expect=201)
    agent.kill(signal.SIGTERM)
    for path in agent.state.glob("paas.db*"):
        shutil.copy(path, tmp_path)

    async with Database.open(tmp_path / "paas.db") as database:
        rows = await database.reader.all("SELECT * FROM registries")

    assert [row["username"] for row in rows] == ["ann"]
    assert PASSWORD.encode() not in rows[0]["sealed_password"]
    assert not (tmp_path / "secrets.key").exists()


async def test_a_credential_of_systemd_takes_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "paas-key").write_text(os.urandom(32).hex() + "\n")
    async with running(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}) as agent:
        await agent.ask("PUT", PATH, json=LOGIN, expect=201)
        agent.kill()
        agent.start()

        assert (await agent.ask("GET", PATH))["username"] == "ann"
        assert not (agent.state / "secrets.key").exists()
        assert await opened(agent.state, tmp_path) == ("ann", PASSWORD)


@pytest.mark.parametrize("sign", ["secrets.key*", "secrets.key", "*"])
async def test_an_agent_killed_while_it_makes_its_first_key_starts_again(agent: Agent, sign: str) -> None:
    async def put() -> bool:
        assert agent.session is not None
        try:
            async with agent.session.put(agent.api_url + PATH, json=LOGIN) as answer:
                return answer.status == HTTPStatus.CREATED
        except aiohttp.ClientError:
            return False

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(put())
        while not any(agent.state.glob(sign)):  # noqa: ASYNC110 - any moment will do, the earlier the better
            await asyncio.sleep(0)
        agent.kill()
    agent.start()

    listed = (await agent.ask("GET", "/api/v1/registries"))["data"]
    assert len(listed) == 1 or not asked.result()
    await agent.ask("PUT", PATH, json=LOGIN, expect=200 if listed else 201)
    agent.kill()
    assert await opened(agent.state) == ("ann", PASSWORD)
