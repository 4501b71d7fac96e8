"""The fake driver of the engine's tests, held to the same suite as the real one."""

from dataclasses import dataclass, field

from paas.core.ids import AppId, DeploymentId, TaskId, new_task_id
from paas.core.model import TaskSpec
from paas.core.records import replace
from tests.engine.fake_driver import FakeDriver, Machine, Program


@dataclass(frozen=True, slots=True)
class FakeRig:
    machine: Machine = field(default_factory=Machine)

    @property
    def refused(self) -> str:
        return "not unpacked"

    def driver(self) -> FakeDriver:
        return FakeDriver(self.machine)

    def waiting(self) -> TaskSpec:
        return self._spec("waiting", Program(listens=False))

    def stubborn(self) -> TaskSpec:
        return self._spec("stubborn", Program(listens=False, stubborn=True))

    def ending(self, code: int) -> TaskSpec:
        return self._spec(f"ends with {code}", Program(exits=code))

    def serving(self, port: int) -> TaskSpec:
        return replace(self._spec("serving", Program()), port=port)

    def absent(self) -> TaskSpec:
        return self._spec("absent", Program(refused="its program is not unpacked"))

    async def until_up(self, spec: TaskSpec) -> None:
        assert self.machine.runs[spec.task_id].is_up

    def alive(self, task_id: TaskId) -> int:
        return int(task_id in self.machine.up())

    async def start_and_die(self, specs: list[TaskSpec]) -> dict[TaskId, int | None]:
        abandoned = FakeDriver(self.machine)
        return {spec.task_id: (await abandoned.start(spec)).pid for spec in specs}

    def _spec(self, name: str, program: Program) -> TaskSpec:
        self.machine.programs[name] = program
        return TaskSpec(
            task_id=new_task_id(),
            deployment_id=DeploymentId("d-1"),
            app_id=AppId("a-1"),
            artifact_sha256="",
            command=("run",),
            env={"PROGRAM": name},
            port=40001,
            cpu_millis=1000,
            memory_bytes=128 * 1024 * 1024,
            max_runtime_secs=None,
        )
