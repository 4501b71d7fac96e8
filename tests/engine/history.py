"""What the events of an engine tell, and what they may not."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from paas.core.ids import DeploymentId
from paas.core.model import App
from paas.core.states import DEPLOYMENT_MOVES, TASK_MOVES
from tests.engine.leading import current_of_its_time
from tests.engine.rig import Engine

# By kind of event: which may follow which, and which may come first.
MOVES: Mapping[str, set[str]] = {
    "": {"task.pending", "deployment.queued"},
    **{f"task.{old}": {f"task.{new}" for new in allowed} for old, allowed in TASK_MOVES.items()},
    **{
        f"deployment.{old}": {f"deployment.{new}" for new in allowed}
        for old, allowed in DEPLOYMENT_MOVES.items()
    },
}


async def check_history(engine: Engine, known: Iterable[App]) -> None:
    """Every state moved as its table allows, and the newest that was ever active is current."""
    paths: dict[str, list[str]] = {}
    released: set[DeploymentId] = set()
    active: list[DeploymentId] = []
    for event in await engine.events():
        if event.deployment_id is not None and event.kind in ("task.starting", "task.stopped"):
            process = event.facts.get("process", "web")
            if process == "release" and event.kind == "task.stopped":
                released.add(event.deployment_id)
            elif process != "release" and event.kind == "task.starting":
                deployment = await engine.deployment(event.deployment_id)
                assert deployment.id in released or deployment.spec.release is None, "it was not released"
        if event.kind in MOVES and event.task_id is not None:
            paths.setdefault(event.task_id, [""]).append(event.kind)
        elif event.kind in MOVES and event.deployment_id is not None:
            paths.setdefault(event.deployment_id, [""]).append(event.kind)
            if event.kind == "deployment.active":
                active.append(event.deployment_id)
    for key, path in paths.items():
        assert all(new in MOVES[old] for old, new in pairwise(path)), (key, path)
    for app in known:
        of_app = [await engine.deployment(key) for key in active]
        for environment in {d.environment for d in of_app if d.app_id == app.id}:
            current, since = await current_of_its_time(engine, app, environment)
            of_its_time = [d for d in of_app if d.environment == environment and d.created_at >= since]
            newest = max(
                (d for d in of_its_time if d.app_id == app.id), key=lambda d: d.version, default=None
            )
            assert current == (newest and newest.id), f"{app.name}: an older version took over"
