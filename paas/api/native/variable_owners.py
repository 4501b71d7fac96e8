"""Whose variables a path means: an app's, those of one of its environments, or a deployment's own."""

from paas.api.kit.parts import ApiParts
from paas.api.native import params, views
from paas.api.native.variable_fields import AppVariables
from paas.core.variables import VariableOwner, of_app, of_deployment, of_environment
from paas.engine.commands.environments import existing_environment


async def existing_owner(parts: ApiParts, wanted: AppVariables) -> VariableOwner:
    """Find whose variables are read. Raises NotFound if the app or its environment is not there."""
    app = await views.existing_app(parts, wanted.app_id)
    if wanted.environment is not None:
        await existing_environment(parts.reader, app, wanted.environment)
    return await owner_of(parts, wanted)


async def owner_of(parts: ApiParts, wanted: AppVariables | params.DeploymentPath) -> VariableOwner:
    """Find whose variables are meant. Raises NotFound for a deployment that is not there.

    Not for an app or its environment: the command that sets a variable finds the one and makes the other.
    """
    if isinstance(wanted, params.DeploymentPath):
        deployment = await views.existing_deployment(parts, wanted.deployment_id)
        return of_deployment(deployment.app_id, deployment.id)
    if wanted.environment is not None:
        return of_environment(wanted.app_id, wanted.environment)
    return of_app(wanted.app_id)
