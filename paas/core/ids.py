"""Id types and how they are made."""

import secrets
import uuid
from typing import NewType

AppId = NewType("AppId", str)
ArtifactId = NewType("ArtifactId", str)
BuildId = NewType("BuildId", str)
DeploymentId = NewType("DeploymentId", str)
TaskId = NewType("TaskId", str)


def new_app_id() -> AppId:
    return AppId(str(uuid.uuid4()))


def new_artifact_id() -> ArtifactId:
    return ArtifactId(str(uuid.uuid4()))


def new_build_id() -> BuildId:
    return BuildId(str(uuid.uuid4()))


def new_deployment_id() -> DeploymentId:
    return DeploymentId(str(uuid.uuid4()))


def new_task_id() -> TaskId:
    return TaskId(str(uuid.uuid4()))


def new_sha() -> str:
    """Make the 8 hex characters that name a deployment in its preview host."""
    return secrets.token_hex(4)


def is_uuid(text: str) -> bool:
    """Say whether text is a UUID in its canonical form, as all our ids are."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
