"""How each kind of driver is set up for the suite; also used by the process that plays a dying agent."""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from paas.core.ids import AppId, DeploymentId, TaskId, new_task_id
from paas.core.model import TaskSpec
from paas.core.ports import Driver
from paas.core.records import replace
from paas.drivers.process import ProcessDriver
from tests import programs
from tests.contract.dying import let_die
from tests.waiting import until

NOBODY = (65534, 65534)
ENDING = 0x4  # PF_EXITING, in the flags of proc(5): its memory and environment are gone already


class Rig(Protocol):
    """One machine's worth of tasks, which outlives every driver made for it."""

    @property
    def refused(self) -> str:
        """Say what a start of `absent` is refused with."""

    def driver(self) -> AbstractAsyncContextManager[Driver]: ...

    def waiting(self) -> TaskSpec:
        """Describe a task that does nothing until it is asked to end."""

    def stubborn(self) -> TaskSpec:
        """Describe a task that ends only when it is killed."""

    def ending(self, code: int) -> TaskSpec:
        """Describe a task that ends at once with this exit code."""

    def serving(self, port: int) -> TaskSpec:
        """Describe a task that listens at this port."""

    def absent(self) -> TaskSpec:
        """Describe a task whose program, or image, is not there."""

    async def until_up(self, spec: TaskSpec) -> None:
        """Wait until a started task, stubborn or not, is what it was described as."""

    def alive(self, task_id: TaskId) -> int:
        """Count what lives of a task."""

    async def start_and_die(self, specs: list[TaskSpec]) -> Mapping[TaskId, int | None]:
        """Let another agent start tasks and be killed; gives the process id of each."""


@dataclass(frozen=True, slots=True)
class NativeRig:
    """A folder for one machine's worth of native tasks. `root` must be reachable by the apps' user."""

    root: Path
    use_cgroups: bool = True
    user: tuple[int, int] | None = None

    @property
    def refused(self) -> str:
        return "not unpacked"

    def driver(self, *, parked: int = 1) -> ProcessDriver:
        (self.root / "logs").mkdir(exist_ok=True)
        return ProcessDriver(
            run_root=self.root / "runs",
            programs_root=self.root / "programs",
            homes_root=self.root / "homes",
            log_path=self.log_path,
            user=self.user,
            parked=parked,
            use_cgroups=self.use_cgroups,
        )

    def waiting(self) -> TaskSpec:
        return self.spec(programs.CRASH, command=("sleep", "1000"))

    def stubborn(self) -> TaskSpec:
        return self.spec(programs.STUBBORN)

    def ending(self, code: int) -> TaskSpec:
        return self.spec(programs.CRASH, env={"CODE": str(code)})

    def serving(self, port: int) -> TaskSpec:
        return self.spec(programs.ECHO, port=port)

    def absent(self) -> TaskSpec:
        return replace(self.waiting(), artifact_sha256="absent")

    async def until_up(self, spec: TaskSpec) -> None:
        await until(lambda: processes_of(spec.task_id))
        if spec.artifact_sha256 == programs.STUBBORN.name:
            await until(lambda: "cannot be asked" in self.output(spec.task_id))

    def alive(self, task_id: TaskId) -> int:
        return len(processes_of(task_id))

    async def start_and_die(self, specs: list[TaskSpec]) -> dict[TaskId, int]:
        """Let another process play the agent, and kill it with SIGKILL."""
        order = {"root": str(self.root), "use_cgroups": self.use_cgroups, "user": self.user}
        return await let_die({"native": order}, specs)

    def log_path(self, task_id: TaskId) -> Path:
        return self.root / "logs" / f"{task_id}.log"

    def install(self, program: Path) -> None:
        """Put a program where a builder would have unpacked it."""
        folder = self.root / "programs" / program.name
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / program.name
        if not target.exists():
            target.write_bytes(program.read_bytes())
            target.chmod(0o755)

    def spec(
        self,
        program: Path,
        *,
        env: Mapping[str, str] | None = None,
        port: int = 40001,
        command: tuple[str, ...] | None = None,
        memory_bytes: int = 128 * 1024 * 1024,
        max_runtime_secs: float | None = None,
    ) -> TaskSpec:
        self.install(program)
        return TaskSpec(
            task_id=new_task_id(),
            deployment_id=DeploymentId("d-1"),
            app_id=AppId("a-1"),
            artifact_sha256=program.name,
            command=command or (f"./{program.name}",),
            env=env or {},
            port=port,
            cpu_millis=1000,
            memory_bytes=memory_bytes,
            max_runtime_secs=max_runtime_secs,
        )

    def output(self, task_id: TaskId) -> str:
        return self.log_path(task_id).read_text(errors="replace")

    async def facts_of(self, driver: Driver, spec: TaskSpec) -> Any:
        """Start a task of `programs.ENVIRONMENT` and return what it found itself in."""
        await driver.start(spec)
        await until(lambda: self.output(spec.task_id).endswith("\n"))
        return json.loads(self.output(spec.task_id))


def is_alive(pid: int) -> bool:
    """Say whether a process lives; one that is ending does not, however late its parent looks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in {"Z", "X"} and not int(fields[6]) & ENDING


def processes_of(task_id: TaskId) -> list[int]:
    """List living processes that carry a task's id in their environment."""
    wanted = f"TASK_ID={task_id}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (path / "environ").read_bytes().split(b"\0") and is_alive(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def descriptors() -> int:
    """Count this process's open files."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterdir opens one of its own at another time
