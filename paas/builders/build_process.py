"""Run the commands of one build, and end all of it: when it is done, too large, too long or not wanted."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

from paas.builders import disk
from paas.builders.build_lines import BuildLines
from paas.builders.containment import Containment, ProcessLimits
from paas.builders.threads import done_in_thread
from paas.core.errors import BuildFailed, Unavailable
from paas.core.ports import BuildReport
from paas.core.records import dataclass
from paas.launching import children

LOOK_SECS = 1.0
MEBIBYTE = 1024 * 1024
# It is held before it runs anything of the build's.
GATE = 'read -r _ || exit 125; exec "$@" </dev/null'
MEASURE = (
    "find \"$@\" -xdev -ignore_readdir_race -printf '%b %n\\n' 2>/dev/null"
    " | awk '{ blocks += $1 / $2; files += 1 } END { printf \"%d %d\\n\", blocks * 512, files }'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What one build may take."""

    secs: float
    processes: ProcessLimits
    workspace_bytes: int
    workspace_files: int
    output_bytes: int  # about; of more only the end is kept
    free_bytes: int = disk.LEAST_FREE_BYTES  # that it leaves on the disk


class BuildProcess:
    """Runs one command of one build, whose files are below `folders`."""

    def __init__(self, containment: Containment, folders: Sequence[Path], limits: RunLimits) -> None:
        self._containment = containment
        self._folders = folders
        self._limits = limits

    async def run(self, command: Sequence[str], report: BuildReport) -> int:
        """Run it to its end and give its exit code; when this ends in any way, nothing of it is left.

        Raises BuildFailed for a limit that it went over, and Unavailable if it cannot be started.
        """
        try:
            async with asyncio.timeout(self._limits.secs):
                return await self._run(command, report)
        except TimeoutError:
            raise BuildFailed(
                f"cannot build: not done after {self._limits.secs:g} s",
                hint="builds.timeout_secs in the agent's configuration allows more",
            ) from None
        except OSError as error:
            raise Unavailable(f"cannot build: {error.strerror or error}") from error

    async def _run(self, command: Sequence[str], report: BuildReport) -> int:
        await asyncio.to_thread(self._containment.end_former)
        pid, gate, output = self._start(command)
        end = _Once(self._containment, pid)
        lines = BuildLines(self._limits.output_bytes)
        try:
            async with children.reading(output) as stream:
                with gate:
                    await done_in_thread(self._containment.hold, pid, self._limits.processes)
                    gate.write(b"\n")
                async with self._watched(pid), asyncio.TaskGroup() as group:
                    group.create_task(_print(stream, lines, report), name="output of a build")
                    await children.until_ended(pid)
                    await end.now()  # what it left behind holds the pipe open
        except BaseExceptionGroup as errors:
            raise _leaf(errors) from errors
        finally:
            await end.now()
            if left := lines.finish():
                await report.say(left)
        return await end.now()

    def _start(self, command: Sequence[str]) -> tuple[int, BinaryIO, int]:
        gate_reader, gate_writer = os.pipe()
        reader, writer = os.pipe()
        name, _, value = self._containment.variable.partition("=")
        try:
            pid = children.spawn(
                ("/bin/sh", "-c", GATE, "build", *command),
                {**children.PLAIN_ENVIRONMENT, name: value},
                stdin=gate_reader,
                output=writer,
            )
        except OSError as error:
            os.close(gate_writer)
            os.close(reader)
            raise Unavailable(f"cannot start a build: {error.strerror or error}") from error
        finally:
            os.close(gate_reader)
            os.close(writer)
        return pid, os.fdopen(gate_writer, "wb", buffering=0), reader

    @contextlib.asynccontextmanager
    async def _watched(self, pid: int) -> AsyncIterator[None]:
        """Give the block up, with BuildFailed, once the build takes more than it may."""
        async with asyncio.TaskGroup() as group:
            watches = [
                group.create_task(disk.watch(self._folders, self._limits.free_bytes), name="disk of a build"),
                group.create_task(self._watch_files(), name="files of a build"),
            ]
            if not self._containment.memory_is_limited:
                watches.append(group.create_task(self._watch_memory(pid), name="memory of a build"))
            yield
            for watch in watches:
                watch.cancel()

    async def _watch_files(self) -> NoReturn:
        while True:
            began = time.monotonic()
            size_bytes, files = await measure(self._folders)
            if size_bytes > self._limits.workspace_bytes:
                raise BuildFailed(
                    f"cannot build: its files take more than {self._limits.workspace_bytes} bytes",
                    hint="builds.workspace_bytes in the agent's configuration allows more",
                )
            if files > self._limits.workspace_files:
                raise BuildFailed(
                    f"cannot build: it has made more than {self._limits.workspace_files} files",
                    hint="builds.workspace_files in the agent's configuration allows more",
                )
            await asyncio.sleep(max(LOOK_SECS, 4 * (time.monotonic() - began)))  # a fifth of the time at most

    async def _watch_memory(self, pid: int) -> NoReturn:
        most = self._limits.processes.memory_bytes
        while True:
            if await asyncio.to_thread(self._containment.memory_bytes, pid) > most:
                raise BuildFailed(
                    f"cannot build: it uses more than {most // MEBIBYTE} MiB of memory",
                    hint="builds.memory_bytes in the agent's configuration allows more",
                )
            await asyncio.sleep(LOOK_SECS)


async def measure(folders: Collection[Path]) -> tuple[int, int]:
    """Say how many bytes of disk the files below these folders take, and how many there are.

    Raises Unavailable where the system has no process left for it, and OSError.
    """
    code, said = await children.run(("/bin/sh", "-c", MEASURE, "measure", *map(str, folders)))
    if code:
        raise Unavailable(f"cannot measure the files of a build: the shell ended with code {code}")
    size_bytes, files = said.split()
    return int(size_bytes), int(files)


class _Once:
    """Ends a build's processes once, also for a caller that is cancelled meanwhile."""

    def __init__(self, containment: Containment, pid: int) -> None:
        self._containment = containment
        self._pid = pid
        self._ending: asyncio.Future[int] | None = None

    async def now(self) -> int:
        if self._ending is None:
            loop = asyncio.get_running_loop()
            self._ending = loop.run_in_executor(None, self._containment.end, self._pid)
        try:
            await asyncio.wait([self._ending])
        except asyncio.CancelledError:
            await asyncio.wait([self._ending])  # milliseconds; whoever goes on counts on its end
            raise
        return self._ending.result()


async def _print(stream: asyncio.StreamReader, lines: BuildLines, report: BuildReport) -> None:
    while chunk := await stream.read(children.READ_SIZE):
        if whole := lines.feed(chunk):
            await report.say(whole)


def _leaf(error: BaseException) -> BaseException:
    """Take an error out of the groups that the ends of task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
