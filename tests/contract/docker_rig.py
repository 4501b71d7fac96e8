"""Containers of a real engine, for the suite that every driver passes and for the driver's own tests."""

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.core.ids import AppId, DeploymentId, TaskId, new_task_id
from paas.core.model import TaskSpec
from paas.core.records import replace
from paas.core.spec import Volume
from paas.docker.engine import DockerEngine
from paas.docker.images import Credentials, Images
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_containers import name_of
from paas.drivers.docker_volumes import VolumeRoots
from tests.contract.dying import let_die
from tests.contract.rigs import processes_of
from tests.docker_engine import BOX, Image, ask, ask_json, load_image
from tests.waiting import until

WAITING = "trap 'exit 143' TERM; echo ready; while :; do sleep 1000 & wait $!; done"
STUBBORN = "trap '' TERM; echo cannot be asked; while :; do sleep 0.1; done"
SERVING = "trap 'exit 143' TERM; httpd -f -p $PORT -h /www & wait $!"
NO_SUCH_IMAGE = "sha256:" + 64 * "0"


async def no_credentials(_host: str) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True, slots=True)
class DockerRig:
    """An agent's containers on one engine."""

    socket: Path
    root: Path
    agent_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answer_secs: float = 10.0
    credentials: Credentials = no_credentials

    @property
    def refused(self) -> str:
        return "(?i)no such image"

    @contextlib.asynccontextmanager
    async def driver(self) -> AsyncIterator[DockerDriver]:
        async with (
            DockerEngine(self.socket, answer_secs=self.answer_secs) as engine,
            DockerDriver(
                engine=engine,
                images=Images(engine, self.credentials),
                agent_id=self.agent_id,
                volumes=VolumeRoots(
                    own=self.root / "volumes", others=(self.root / "allowed",), socket=self.socket
                ),
            ) as driver,
        ):
            yield driver

    def waiting(self) -> TaskSpec:
        return self.spec(WAITING)

    def stubborn(self) -> TaskSpec:
        return self.spec(STUBBORN)

    def ending(self, code: int) -> TaskSpec:
        return self.spec(f"exit {code}")

    def serving(self, port: int) -> TaskSpec:
        return replace(self.spec(SERVING), port=port)

    def absent(self) -> TaskSpec:
        return self.spec(WAITING, image=NO_SUCH_IMAGE)

    async def until_up(self, spec: TaskSpec) -> None:
        await until(lambda: self.output(spec.task_id))

    def alive(self, task_id: TaskId) -> int:
        """Count first processes: an engine's container has one, however many it starts."""
        return sum(_is_first(pid) for pid in processes_of(task_id))

    async def start_and_die(self, specs: list[TaskSpec]) -> Mapping[TaskId, int | None]:
        order = {"socket": str(self.socket), "root": str(self.root), "agent_id": self.agent_id}
        return await let_die({"docker": order}, specs)

    def spec(
        self,
        script: str,
        *,
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        memory_bytes: int = 32 * 1024 * 1024,
        pids: int | None = None,
        volumes: tuple[Volume, ...] = (),
    ) -> TaskSpec:
        return TaskSpec(
            task_id=new_task_id(),
            deployment_id=DeploymentId("d-1"),
            app_id=AppId("a-1"),
            app_name="box",
            image=image or self.box(),
            command=("/bin/sh", "-c", script),
            env=env or {},
            port=8080,
            cpu_millis=1000,
            memory_bytes=memory_bytes,
            pids=pids,
            max_runtime_secs=None,
            volumes=volumes,
        )

    def box(self) -> str:
        """Give the id of the image that tests run, made when it is absent."""
        try:
            return str(ask_json(self.socket, "GET", f"/images/{BOX}/json")["Id"])
        except ValueError:
            return load_image(self.socket, Image(config={"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}))

    def inspect(self, task_id: TaskId) -> Any:
        return ask_json(self.socket, "GET", f"/containers/{name_of(task_id)}/json")

    def output(self, task_id: TaskId) -> str:
        """Read what a task wrote, without the frames that the engine puts around it."""
        raw = ask(self.socket, "GET", f"/containers/{name_of(task_id)}/logs?stdout=1&stderr=1")
        text = b""
        while raw:
            size = int.from_bytes(raw[4:8], "big")
            text, raw = text + raw[8 : 8 + size], raw[8 + size :]
        return text.decode(errors="replace")

    def names(self) -> list[str]:
        """Name all containers that carry this agent's id."""
        found = ask_json(self.socket, "GET", f"/containers/json?all=1&filters={self._ours()}")
        return [each["Names"][0].removeprefix("/") for each in found]

    def networks(self) -> list[str]:
        found = ask_json(self.socket, "GET", f"/networks?filters={self._ours()}")
        return [each["Name"] for each in found]

    def clear(self) -> None:
        """Remove whatever carries this agent's id."""
        for name in self.names():
            with contextlib.suppress(ValueError):
                ask(self.socket, "DELETE", f"/containers/{name}?force=1&v=1")
        for name in self.networks():
            with contextlib.suppress(ValueError):
                ask(self.socket, "DELETE", f"/networks/{name}")

    def _ours(self) -> str:
        return json.dumps({"label": [f"paas.agent={self.agent_id}"]}, separators=(",", ":"))


def _is_first(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return line.split()[-1] == "1"
