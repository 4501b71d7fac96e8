"""How each kind of driver is set up for the suite; also used by the process that plays a dying agent."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paas.core.ids import AppId, DeploymentId, TaskId, new_task_id
from paas.core.model import TaskSpec
from paas.drivers.process import ProcessDriver

NOBODY = (65534, 65534)


@dataclass(frozen=True, slots=True)
class NativeRig:
    """A folder for one machine's worth of native tasks. `root` must be reachable by the apps' user."""

    root: Path
    use_cgroups: bool = True
    user: tuple[int, int] | None = None

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


def is_alive(pid: int) -> bool:
    """Say whether a process lives; a zombie does not, however late its parent looks."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


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
