"""Which hosts a deployment answers to (contract of the native API, section 1.8)."""

import re
from collections.abc import Mapping

from paas.core.ids import DeploymentId
from paas.core.model import DEVELOPMENT, PRODUCTION

LONGEST_LABEL = 63  # RFC 1035, section 2.3.4


def subdomain(name: str, namespace: str) -> str:
    """Derive an app's first host label; two apps may collide, and the second is refused."""
    return re.sub(r"[^a-z0-9]", "-", f"{name}-{namespace}".lower())


def preview_label(name: str, sha: str, environment: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", f"{name}-{sha}-{environment}".lower())


def serving_deployment(current: Mapping[str, DeploymentId]) -> DeploymentId | None:
    """Choose whose tasks answer the app's plain host: production's, else development's."""
    return current.get(PRODUCTION) or current.get(DEVELOPMENT)


def hosts_of(
    *, name: str, app_subdomain: str, sha: str, environment: str, domain: str, serves_app: bool
) -> tuple[str, ...]:
    """List the hosts of one deployment, most public first: `serves_app` adds the app's own."""
    preview = f"{preview_label(name, sha, environment)}.{domain}"
    return (f"{app_subdomain}.{domain}", preview) if serves_app else (preview,)
