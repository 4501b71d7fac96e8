"""What a driver is told of a task: everything that its deployment says, and where it has to listen."""

import os

from paas.core.errors import StartFailed
from paas.core.ids import TaskId
from paas.core.model import Instance, Task, TaskSpec
from paas.core.processes import command_of
from paas.core.resources import cpu_millis, memory_bytes
from paas.core.spec import WEB
from paas.engine.neighbours import Neighbours
from paas.engine.ports import PortPool
from paas.engine.world import World
from paas.store.snapshots import Stored

DEFAULT_PORT = 8080  # where a container listens that says nothing of it


class TaskSpecs:
    def __init__(self, world: World) -> None:
        self._world = world
        self._ports = PortPool(world.settings.first_port, world.settings.last_port, run=os.getpid())
        self._neighbours = Neighbours(world.database, world.proxy, world.settings.domain)
        self._port_of: dict[TaskId, int] = {}  # of those in the host's network

    async def of(self, stored: Stored, task_id: TaskId, *, port: int, process: str = WEB) -> TaskSpec:
        """Say all that a driver needs to run a task.

        Raises StartFailed if there is nothing to run, and Unavailable for variables that cannot be read.
        """
        deployment, artifact = stored.deployment, stored.artifact
        sha256 = None if artifact is None else artifact.sha256
        command = command_of(deployment, process)
        if command is None or (sha256 is None and deployment.image is None):
            raise StartFailed("its artifact is gone")
        driver = self._world.driver(deployment)
        around = await self._neighbours.around(stored.app, deployment.environment, driver)
        boxes = stored.variables
        own = await self._world.variables.env_of_many(boxes) if boxes else {}
        return TaskSpec(
            task_id=task_id,
            deployment_id=deployment.id,
            app_id=deployment.app_id,
            app_name=stored.app.name,
            artifact_sha256=sha256 or "",
            image=deployment.image or "",
            command=command,
            env={
                **around.env,
                **own,
                "DEPLOYMENT_ID": deployment.id,
                "APP_NAME": stored.app.name,
                "ENVIRONMENT": deployment.environment,
                "PAAS_PROCESS": process,
            },
            port=port,
            listens=process == WEB,
            cpu_millis=cpu_millis(deployment.spec.resources.cpu),
            memory_bytes=memory_bytes(deployment.spec.resources.memory),
            pids=deployment.spec.resources.pids,
            max_runtime_secs=deployment.spec.max_runtime_secs,
            grace_secs=deployment.spec.stop_grace_secs,
            volumes=deployment.spec.volumes,
            hosts=around.hosts,
        )

    def port_for(self, stored: Stored, task: Task) -> int:
        """Say where a task has to listen; a port of the host's is reserved, once. Raises StartFailed."""
        own = self.own_port(stored)
        if own is not None:
            return own
        port = self._port_of.get(task.id)
        if port is None:
            port = self._port_of[task.id] = self._ports.take(stored.deployment.spec.networking.port)
        return port

    def own_port(self, stored: Stored) -> int | None:
        """Say where a task listens at an address of its own; None where it has the host's."""
        deployment = stored.deployment
        if not self._world.driver(deployment).own_network:
            return None
        return deployment.spec.networking.port or deployment.exposed_port or DEFAULT_PORT

    def note_running(self, instance: Instance) -> None:
        """Keep the port of a task that an earlier agent started, though it may not listen yet."""
        if instance.lives and instance.address is not None:
            self._port_of[instance.task_id] = instance.address.port
            self._ports.note(instance.address.port)

    def give_back(self, task_id: TaskId) -> None:
        """Let others have the port of a task that has ended."""
        port = self._port_of.pop(task_id, None)
        if port is not None:
            self._ports.give_back(port)
