"""Where hosts lead: each environment's to what is current there, and none to what has no environment."""

from collections.abc import Iterable

from paas.core.model import App
from paas.store import apps, environments
from paas.store.deployments import LIVE
from tests.engine.rig import Engine

MOST = 100


async def hosts_that_lead_astray(engine: Engine, known: Iterable[App]) -> list[str]:
    """Name them, once nothing is to be deployed any more."""
    found = []
    for app in known:
        current = await apps.current_deployments(engine.database.reader, app.id)
        there, _ = await environments.page(engine.database.reader, app.id, limit=MOST, offset=0)
        for environment in there:
            entry = engine.router.resolve(f"{environment.label}.localhost")
            leads_to = None if entry is None else entry.deployment_id
            if leads_to != current.get(environment.slug):
                found.append(f"{environment.label} leads to {leads_to}")
    return found


async def check_that_all_have_a_place(engine: Engine) -> None:
    """Nothing is deployed in an environment that is not there."""
    lost = await engine.database.reader.all(
        "SELECT d.id FROM deployments d JOIN apps a ON a.id = d.app_id AND a.deleted_at IS NULL"
        " LEFT JOIN environments e ON e.app_id = d.app_id AND e.slug = d.environment"
        f" WHERE e.slug IS NULL AND d.state IN {LIVE}"
    )
    assert lost == [], "live in no environment"


async def current_of_its_time(engine: Engine, app: App, environment: str) -> tuple[str | None, float]:
    """Say what is current in an environment, and since when there is such a one: never, if there is none."""
    there = await environments.get(engine.database.reader, app.id, environment)
    return (None, float("inf")) if there is None else (there.current_deployment_id, there.created_at)
