"""Tells the router which hosts and which port lead to a deployment, by what is stored of it."""

from paas.core.hosts import hosts_of, preview_label
from paas.engine.world import World
from paas.routes import Rules
from paas.store.snapshots import Stored


def route(world: World, stored: Stored) -> None:
    """Let its hosts and its port lead to it. Repeatable."""
    deployment = stored.deployment
    world.router.route(
        deployment.id,
        deployment.app_id,
        hosts_of(
            preview=preview_label(stored.app.name, deployment.sha, deployment.environment),
            domain=world.settings.domain,
            app_subdomain=stored.app.subdomain if stored.serves_app else None,
            environment=stored.environment_label,
        ),
        Rules(
            health_path=deployment.spec.networking.health_path,
            speaks_http=deployment.spec.networking.protocol == "http",
            wake_policy=stored.app.wake_policy,
        ),
    )
    world.router.route_port(deployment.id, stored.tcp_port, takes=stored.takes_port)
