"""Which hosts a deployment answers to (contract of the native API, section 1.8)."""

import re
from collections.abc import Mapping

from paas.core.ids import AppId, DeploymentId
from paas.core.model import DEVELOPMENT, PRODUCTION

LONGEST_LABEL = 63  # RFC 1035, section 2.3.4
ID_CHARACTERS = 8  # of an app's id, where its name is too long


def subdomain(name: str, namespace: str) -> str:
    """Derive an app's first host label; two apps may collide, and the second is refused."""
    return re.sub(r"[^a-z0-9]", "-", f"{name}-{namespace}".lower())


def environment_label(app_subdomain: str, app_id: AppId, environment: str) -> str:
    """Derive the first host label of an app's environment; it may collide with another, as `subdomain` may.

    Where it would be too long, the beginning of the app's id stands for the end of its subdomain.
    """
    label = f"{app_subdomain}-{environment}"
    if len(label) <= LONGEST_LABEL:
        return label
    tail = f"-{app_id[:ID_CHARACTERS]}-{environment}"
    return app_subdomain[: LONGEST_LABEL - len(tail)] + tail


def preview_label(name: str, sha: str, environment: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", f"{name}-{sha}-{environment}".lower())


def serving_deployment(current: Mapping[str, DeploymentId]) -> DeploymentId | None:
    """Choose whose tasks answer the app's plain host: production's, else development's."""
    return current.get(PRODUCTION) or current.get(DEVELOPMENT)


def hosts_of(
    *, preview: str, domain: str, app_subdomain: str | None = None, environment: str | None = None
) -> tuple[str, ...]:
    """List the hosts of one deployment, most public first.

    `preview` is the label of its own; the app's and its environment's are given if it answers to them.
    """
    labels = (app_subdomain, environment, preview)
    return tuple(f"{label}.{domain}" for label in labels if label is not None)
