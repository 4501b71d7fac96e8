"""A history of wishes, traffic, mishaps and deaths, played to an engine; then everything must be true."""

import asyncio
import contextlib
import copy
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from paas.core.errors import PaasError
from paas.core.hosts import serving_deployment
from paas.core.ids import AppId, ArtifactId, DeploymentId, TaskId
from paas.core.model import App, Deployment
from paas.core.records import replace
from paas.core.spec import Idle, Process, Spec
from paas.core.states import (
    UNSETTLED_DEPLOYMENT,
    DeploymentState,
)
from paas.engine.world import EngineSettings
from paas.store import apps, tasks
from tests.engine.fake_driver import Machine, Program
from tests.engine.history import check_history
from tests.engine.jumping_loop import jump
from tests.engine.leading import check_that_all_have_a_place, hosts_that_lead_astray
from tests.engine.rest import what_is_not_at_rest
from tests.engine.rig import DRAIN, Engine, Request, running

APPS = 3
PROGRAMS: Mapping[str, Program] = {
    "good": Program(),
    "bad": Program(exits=3),
    "slow": Program(listens=False),
    "hanging": Program(hangs=True),
    "stubborn": Program(stubborn=True),
    "refused": Program(refused="the machine does not want it"),
    "works": Program(),
    "done": Program(exits=0),
}
CAN_SERVE = ("good", "slow", "hanging", "stubborn")
WORKERS: tuple[dict[str, Process], ...] = (
    {},
    {"worker": Process(command="works")},
    {"worker": Process(command="works", sleeps=False), "other": Process(command="stubborn", replicas=2)},
    {"worker": Process(command="bad")},
)
RELEASES = (None, None, "done", "bad", "works", "hanging")  # one that works has no end
PROGRAM_NAMES = ("good", "good", "good", "bad", "slow", "hanging", "stubborn", "refused")
ENVIRONMENTS = ("production", "development", "staging")
JUMPS = (0.5, 2.0, 11.0, 31.0, 70.0, 301.0)
IDLE_SECS = 60.0
FREEZE_SECS = 20.0
SETTINGS = EngineSettings(
    domain="localhost",
    drain=DRAIN,
    resync=timedelta(hours=1),
    starts_at_once=2,
    reserved_memory_percent=10,
)
LEAP_SECS = 20.0
SETTLED_WITHIN_SECS = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens; `which` and `how` choose among what is there, `turns` what it does next to."""

    verb: str
    which: int
    how: int
    turns: int


class Scenario:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._machine = Machine()
        self._machine.programs = {name: copy.copy(program) for name, program in PROGRAMS.items()}
        self._apps: list[App] = []
        self._artifacts: dict[AppId, ArtifactId] = {}
        self._deployed: list[Deployment] = []
        self._peak: dict[DeploymentId, int] = {}
        self._requests: list[Request] = []
        self._engine: Engine

    async def play(self, history: Iterable[Step]) -> None:
        lives: list[list[Step]] = [[]]
        for step in history:
            lives[-1].append(step)
            if step.verb == "die":
                lives.append([])
        with contextlib.closing(self._machine):
            for life in lives:
                opens = len(life) != 1 or life[0].verb != "die"
                async with running(
                    self._folder, self._machine, wait=opens, settings=SETTINGS
                ) as self._engine:
                    self._requests = []
                    for step in life:
                        await self._do(step)
                    if life is lives[-1]:
                        await self._settle()

    async def _do(self, step: Step) -> None:
        verb: Callable[[Step], Awaitable[None]] = getattr(self, f"_{step.verb}")
        with contextlib.suppress(PaasError):  # it may not be possible now
            await verb(step)
        for _ in range(step.turns):
            await asyncio.sleep(0)
        if self._engine.opened.is_set():
            await self._check_what_is_always_true()

    # What may happen

    async def _deploy(self, step: Step) -> None:
        if len(self._apps) <= step.which % APPS:
            artifact_id = await self._engine.artifact("broken" if step.how == 7 else "fine")
            self._apps.append(await self._engine.app(f"app{len(self._artifacts)}"))
            self._artifacts[self._apps[-1].id] = artifact_id
        app = self._apps[step.which % len(self._apps)]
        spec = Spec(
            artifact_id=self._artifacts[app.id],
            replicas=(1, 1, 2, 1, 0)[(step.which + step.how) % 5],
            cold_start_enabled=step.how != 6,
            idle_timeout_secs=IDLE_SECS,
            idle=Idle(freeze_after_secs=FREEZE_SECS if step.which % 2 else None),
            start_timeout_secs=600,
            processes=WORKERS[step.how % len(WORKERS)],
            release=RELEASES[(step.which + step.how) % len(RELEASES)],
        )
        deployment = await self._engine.deploy(
            app,
            PROGRAM_NAMES[step.how],
            environment=ENVIRONMENTS[(step.which // APPS + step.how) % len(ENVIRONMENTS)],
            spec=spec,
        )
        self._deployed.append(deployment)
        self._peak[deployment.id] = max(1, spec.replicas)

    async def _ask(self, step: Step) -> None:
        """Request the host of an app, that of an environment, or the preview of a deployment."""
        if step.how % 3 and self._apps:
            host = self._apps[step.which % len(self._apps)].subdomain
            if step.how % 3 == 1:
                host += f"-{ENVIRONMENTS[step.how % len(ENVIRONMENTS)]}"
        elif self._deployed:
            host = self._preview(self._deployed[-1 - step.which % len(self._deployed)])
        else:
            return
        self._requests.append(Request(self._engine.router, f"{host}.localhost").ask())

    async def _give_back(self, step: Step) -> None:
        if self._requests:
            self._requests.pop(step.which % len(self._requests)).give_back()

    async def _sleep(self, step: Step) -> None:
        await self._engine.commands.deployments.sleep(self._some(step.which))

    async def _wake(self, step: Step) -> None:
        await self._engine.commands.deployments.wake(self._some(step.which))

    async def _scale(self, step: Step) -> None:
        key, replicas = self._some(step.which), step.how % 4
        self._peak[key] = max(self._peak[key], replicas)
        await self._engine.commands.deployments.change(
            key,
            lambda spec: replace(
                spec, replicas=replicas, processes=WORKERS[(step.how + step.which) % len(WORKERS)]
            ),
        )

    async def _reprogram(self, step: Step) -> None:
        env = {"PROGRAM": PROGRAM_NAMES[step.how]}
        await self._engine.commands.deployments.change(self._some(step.which), lambda spec: spec, env=env)

    async def _restart(self, step: Step) -> None:
        self._note_made(await self._engine.commands.deployments.restart(self._some(step.which)))

    async def _cancel(self, step: Step) -> None:
        await self._engine.commands.deployments.cancel(self._some(step.which))

    async def _promote(self, step: Step) -> None:
        source = self._some(step.which)
        environment = ENVIRONMENTS[step.how % len(ENVIRONMENTS)]
        self._note_made(await self._engine.commands.releases.promote(source, environment))

    async def _roll_back(self, step: Step) -> None:
        app = self._apps[step.which % len(self._apps)]
        environment = (None, *ENVIRONMENTS)[step.how % (len(ENVIRONMENTS) + 1)]
        self._note_made(await self._engine.commands.releases.roll_back(app.id, environment=environment))

    async def _delete_environment(self, step: Step) -> None:
        app = self._apps[step.which % len(self._apps)]
        await self._engine.commands.environments.delete(app.id, ENVIRONMENTS[-1])

    async def _delete_app(self, _: Step) -> None:
        if len(self._apps) > 1:  # one stays, so that something is served
            await self._engine.commands.apps.delete(self._apps[1].id)
            del self._apps[1]

    async def _stop_task(self, step: Step) -> None:
        live = sorted(await tasks.live_ids(self._engine.database.reader))
        if live:
            await self._engine.commands.tasks.stop(live[step.which % len(live)])

    async def _crash(self, step: Step) -> None:
        up = list(self._machine.up())
        if up:
            self._machine.loses_hints = step.how == 0
            self._machine.end(up[step.which % len(up)], step.how)
            self._machine.loses_hints = False

    async def _release(self, _: Step) -> None:
        """Let what hangs start, and what is up listen."""
        self._machine.let_start()
        self._machine.programs["hanging"].hangs = True
        for task_id in self._machine.up():
            self._machine.listen(task_id)

    async def _pass_time(self, step: Step) -> None:
        jump(JUMPS[step.how % len(JUMPS)])

    async def _breathe(self, step: Step) -> None:
        await asyncio.sleep(0.002 * step.how)

    async def _squeeze(self, step: Step) -> None:
        """Leave the machine more or less memory: its reserve is a tenth of it."""
        left = (0.05, 0.11, 0.12, 1.0)[step.how % 4]
        self._machine.available_bytes = int(self._machine.total_bytes * left)

    async def _refuse_freezes(self, _: Step) -> None:
        self._machine.can_freeze = not self._machine.can_freeze

    async def _fill_disk(self, _: Step) -> None:
        await self._engine.fill_disk()

    async def _free_disk(self, _: Step) -> None:
        await self._engine.free_disk()

    async def _die(self, _: Step) -> None:
        """Leave the engine after this step's turns; the next one finds what it left."""

    # What must be true

    async def _check_what_is_always_true(self) -> None:
        router, reader = self._engine.router, self._engine.database.reader
        published = {deployment.id: set(router.published(deployment.id)) for deployment in self._deployed}
        frozen = {task_id for task_id, run in self._machine.runs.items() if run.frozen}
        doubled = await reader.all(
            "SELECT app_id, environment FROM deployments WHERE state = 'active'"
            " GROUP BY app_id, environment HAVING count(*) > 1"
        )
        assert doubled == [], "two are active in one environment"
        await check_that_all_have_a_place(self._engine)
        for key, ids in published.items():
            assert not ids & frozen, "a frozen task takes traffic"
            if len(ids) > self._peak[key]:
                known = [await self._engine.task(task_id) for task_id in ids]
                revisions = Counter(task.revision for task in known if not task.stop_requested)
                assert max(revisions.values(), default=0) <= self._peak[key], "more tasks than wanted"

    async def _settle(self) -> None:
        await self._engine.free_disk()
        self._machine.can_freeze = True
        self._machine.available_bytes = self._machine.total_bytes
        for program in self._machine.programs.values():
            program.listens = True
        await self._until_true(self._unanswered)
        await check_history(self._engine, self._apps)
        await self._until_true(lambda: hosts_that_lead_astray(self._engine, self._apps))
        for app in self._apps:
            await self._check_that_it_serves(app)
        await self._until_true(self._awake)

    async def _until_true(self, problems: Callable[[], Awaitable[list[str]]]) -> None:
        """Let time pass, in leaps that a start in hand survives, until there is no problem left."""
        end = time.monotonic() + SETTLED_WITHIN_SECS
        while found := await problems():
            assert time.monotonic() < end, found
            self._machine.let_start()
            for task_id in self._machine.up():
                self._machine.listen(task_id)
            for request in self._requests:
                if request.upstream is not None:
                    request.give_back()
            await asyncio.sleep(0.003)
            jump(LEAP_SECS)

    async def _unanswered(self) -> list[str]:
        waiting = [f"a request to {request.host} waits" for request in self._requests if request.waits]
        states = {deployment.id: await self._state(deployment.id) for deployment in self._deployed}
        unsettled = [f"{key} is {state}" for key, state in states.items() if state in UNSETTLED_DEPLOYMENT]
        return waiting + unsettled

    async def _check_that_it_serves(self, app: App) -> None:
        """Request the app's host until its current deployment answers, if that can."""
        current = await apps.current_deployments(self._engine.database.reader, app.id)
        key = serving_deployment(current)
        deployment = None if key is None else await self._engine.deployment(key)
        if deployment is None or deployment.state is not DeploymentState.ACTIVE:
            return
        spec = deployment.spec
        env = (await self._engine.world.variables.env_of_specs([deployment]))[deployment.id]
        if env["PROGRAM"] not in CAN_SERVE or not (spec.replicas or spec.cold_start_enabled):
            return
        served: list[TaskId] = []

        async def not_served() -> list[str]:
            if not self._requests or not self._requests[-1].waits:
                self._requests.append(Request(self._engine.router, f"{app.subdomain}.localhost").ask())
            served.extend(request.task_id for request in self._requests[-2:] if request.task_id)
            return [] if served else [f"{app.name} is not served: {self._requests[-1]}"]

        for request in self._requests:
            request.give_back()
        self._requests = []
        await self._until_true(not_served)
        assert (await self._engine.task(served[0])).deployment_id == deployment.id

    async def _awake(self) -> list[str]:
        for request in self._requests:
            request.give_back()
        return await what_is_not_at_rest(self._engine, self._deployed)

    def _some(self, which: int) -> DeploymentId:
        """Choose a deployment, the newest first. Raises PaasError if there is none."""
        if not self._deployed:
            raise PaasError("nothing was deployed yet")
        return self._deployed[-1 - which % len(self._deployed)].id

    def _note_made(self, deployment: Deployment) -> None:
        if deployment.id not in self._peak:
            self._deployed.append(deployment)
            self._peak[deployment.id] = max(1, deployment.spec.replicas)

    def _preview(self, deployment: Deployment) -> str:
        app = next((app for app in self._apps if app.id == deployment.app_id), None)
        return f"{app.name if app else 'gone'}-{deployment.sha}-{deployment.environment}"

    async def _state(self, key: DeploymentId) -> DeploymentState:
        return (await self._engine.deployment(key)).state
