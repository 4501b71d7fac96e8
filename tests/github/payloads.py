"""Deliveries as GitHub writes them: its own example payloads, signed by its own code."""

import hashlib
import hmac
import json
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.requirements import leave_out, require

HERE = Path(__file__).resolve().parent
HOOK = "/api/v1/webhooks/github"
REPOSITORY = "Codertocat/Hello-World"  # that the examples are about
PUSHED = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"  # the commit of their pushes
PROPOSED = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"  # the commit of their pull requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One delivery: its body, and the header that vouches for it."""

    event: str
    body: str
    signature: str
    delivery: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def action(self) -> str | None:
        action = self.json.get("action")
        return None if action is None else str(action)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-GitHub-Event": self.event,
            "X-GitHub-Delivery": self.delivery,
            "X-Hub-Signature-256": self.signature,
        }


def examples(secret: str, replacements: Mapping[str, str] | None = None) -> list[Payload]:
    """Read every example, with some text replaced before it is signed."""
    node = require("node")
    if not (HERE / "node_modules").is_dir():
        leave_out("needs GitHub's example payloads (npm ci --prefix tests/github)")
    done = subprocess.run(
        [str(node), str(HERE / "payloads.mjs"), secret, json.dumps(replacements or {})],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [Payload(**json.loads(line)) for line in done.stdout.splitlines()]


def signed(secret: str, event: str, document: object, **more: str) -> Payload:
    """Sign a delivery of a test's own."""
    body = json.dumps(document)
    digest = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    return Payload(event=event, body=body, signature=f"sha256={digest}", **more)
