"""How long a sleeping app's first request takes, over what the program itself needs to start.

    python -m benchmarks.wake --rounds 30

Each round does both to each program, one right after the other: start it by hand and ask it, then ask
a real agent's proxy for it while it sleeps there. What counts is the difference inside a round: what
else the machine does, it does to both. Connect to first byte, native, without a sandbox.
"""

import argparse
import asyncio
import itertools
import os
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import agent_figures, frozen
from benchmarks.figures import load, p50_p95, table
from benchmarks.programs import make_all
from tests.harness import Agent, running

HOST = "127.0.0.1"
PAUSE_SECS = 0.0001  # between tries to connect: short at first, for programs that start at once,
PATIENT_PAUSE_SECS = 0.001  # then longer, to leave the processor to the program
SHORT_FOR_SECS = 0.01
PATIENCE_SECS = 30.0
WARM_REQUESTS = 5
QUIET_SECS = 0.02  # until the agent has done what a wake or a sleep leaves to do, and is in no hurry any more
AMPLE = {"cpu": "2", "memory": "512Mi"}  # the default of a tenth of a core would slow both its start and ours
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # the same interpreters for both
FRESH = {"PATH": SYSTEM_PATH, "PYTHONDONTWRITEBYTECODE": ""}  # keep bytecode, as an installed agent does
_ports = itertools.count(31000)  # neither the agent's nor the kernel's


@dataclass(slots=True)
class Program:
    name: str
    file: Path
    host: str = ""
    deployment_id: str = ""
    own_ms: list[float] = field(default_factory=list)
    wake_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)

    def over_ms(self) -> list[float]:
        return [wake - own for wake, own in zip(self.wake_ms, self.own_ms, strict=True)]


def main() -> None:
    options = argparse.ArgumentParser(description="Measure wakes against the program's own start.")
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--starts", type=int, default=7, help="how often the agent itself is started")
    options.add_argument("--only", help="only programs whose name has this word, and nothing of the agent")
    arguments = options.parse_args()
    print(f"Load before: {load()}\n")
    asyncio.run(_measure(arguments.rounds, arguments.starts, arguments.only))
    print(f"Load after: {load()}")


async def _measure(rounds: int, starts: int, only: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="paas-wake-") as folder:
        files = make_all(Path(folder))
        programs = [Program(name, file) for name, file in files.items() if not only or only in name]
        async with running(environment=FRESH) as agent:
            for program in programs:
                await _deploy(agent, program)
            for number in range(-2, rounds):  # two to warm up
                for program in programs:
                    await _round(agent, program, counts=number >= 0)
            _print_wakes(programs, rounds)
            await frozen.print_frozen(agent, {each.name: each.file for each in programs}, rounds)
            if only is None:
                await agent_figures.print_deploys(agent, next(iter(files.values())), rounds)
    if only is None:
        agent_figures.print_starts(starts)
        await agent_figures.print_commits()


async def _deploy(agent: Agent, program: Program) -> None:
    name = program.file.stem
    settled = await agent.deploy(name, program.file, resources=AMPLE)
    program.host = f"{name}-default.localhost"
    program.deployment_id = settled["id"]


async def _round(agent: Agent, program: Program, *, counts: bool) -> None:
    await until_prepared(agent, program.deployment_id)
    own_ms = start_by_hand([str(program.file)], program.file.parent)
    proxy = ("127.0.0.1", int(agent.proxy_url.rpartition(":")[2]))
    wake_ms = ask(proxy, program.host)
    await asyncio.sleep(QUIET_SECS)
    warm_ms = statistics.median(ask(proxy, program.host) for _ in range(WARM_REQUESTS))
    if counts:
        program.own_ms.append(own_ms)
        program.wake_ms.append(wake_ms)
        program.warm_ms.append(warm_ms)


async def until_prepared(agent: Agent, deployment_id: str) -> None:
    """Put it to sleep, and wait until its next task lies prepared, as it does after any idle time."""
    await agent.ask("POST", f"/api/v1/deployments/{deployment_id}/sleep")
    await agent.until_asleep(deployment_id)
    (pending,) = await agent.until(
        lambda: agent.tasks(deployment_id, "pending"), lambda found: len(found) == 1
    )
    folder = agent.state / "runs" / str(pending["id"]) / "tmp"

    async def is_prepared() -> bool:
        return folder.exists()

    await agent.until(is_prepared, lambda done: done)
    await asyncio.sleep(QUIET_SECS)


def start_by_hand(command: Sequence[str], home: Path, *, path: str = "/") -> float:
    """Start a program with nothing around it, and count the milliseconds until its first byte."""
    port = _free_port()
    environment = {"PATH": SYSTEM_PATH, "HOME": str(home), "HOST": HOST, "PORT": str(port)}
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], list(command), environment, setsid=True)
    try:
        while True:
            try:
                first_byte(socket.create_connection((HOST, port), PATIENCE_SECS), "own", path)
            except ConnectionRefusedError:
                took = time.perf_counter() - began
                if took > PATIENCE_SECS:
                    raise
                time.sleep(PAUSE_SECS if took < SHORT_FOR_SECS else PATIENT_PAUSE_SECS)
            else:
                return (time.perf_counter() - began) * 1000
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def ask(address: tuple[str, int], host: str, path: str = "/") -> float:
    """Ask for a page and count the milliseconds from the connect to the first byte of a 200."""
    began = time.perf_counter()
    first_byte(socket.create_connection(address, PATIENCE_SECS), host, path)
    return (time.perf_counter() - began) * 1000


def first_byte(connection: socket.socket, host: str, path: str = "/") -> None:
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = connection.recv(4096)
    if b" 200 " not in answer[:16]:
        raise RuntimeError(f"not the answer of the program: {answer!r}")


def _free_port() -> int:
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("ports do not end")


def _print_wakes(programs: list[Program], rounds: int) -> None:
    rows = [
        (
            program.name,
            p50_p95(program.own_ms),
            p50_p95(program.wake_ms),
            p50_p95(program.over_ms()),
            p50_p95(program.warm_ms),
        )
        for program in programs
    ]
    columns = ("program", "own start", "wake", "wake over own start, paired", "warm request")
    print(table(f"Wake, ms, p50 / p95 of {rounds} interleaved rounds", columns, rows))


if __name__ == "__main__":
    main()
