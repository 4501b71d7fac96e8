"""Names that become hosts: no two may have one, and whoever comes second is refused."""

from paas.core import hosts
from paas.core.errors import Conflict
from paas.core.model import App, Environment
from paas.store import environments, host_labels
from paas.store.database import Tx

TAKEN = "SUBDOMAIN_TAKEN"


async def ensure_environment(tx: Tx, app: App, slug: str, *, now: float) -> Environment:
    """Read an environment of an app; its first use makes it. Raises Conflict if another has its host."""
    return await environments.get(tx, app.id, slug) or await new_environment(tx, app, slug, now=now)


async def new_environment(
    tx: Tx, app: App, slug: str, *, now: float, pull_request: int | None = None
) -> Environment:
    """Make an environment that is not there yet. Raises Conflict if another has its host."""
    label = hosts.environment_label(app.subdomain, app.id, slug)
    holder = await host_labels.holder(tx, label)
    if holder is not None:
        raise Conflict(
            f"cannot create the environment {slug} of {app.name}: its host {label} belongs to {holder}",
            code=TAKEN,
            field="environment",
            hint="choose another name for it",
        )
    environment = await environments.add(tx, app, slug, now=now, pull_request=pull_request)
    await environments.announce(tx, environment, "created", now=now)
    return environment


async def refuse_taken_app(tx: Tx, app: App, slugs: tuple[str, ...]) -> None:
    """Raise Conflict if somebody has the host of a new app, or of one of its first environments."""
    own = hosts.environment_label
    for label in (app.subdomain, *(own(app.subdomain, app.id, slug) for slug in slugs)):
        holder = await host_labels.holder(tx, label)
        if holder is not None:
            raise Conflict(
                f"cannot create app {app.name}: the subdomain {label} belongs to {holder}",
                code=TAKEN,
                field="name",
                hint="choose another name or namespace",
            )
