"""Lets another process play the agent, and kills it with SIGKILL."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from paas.core.ids import TaskId
from paas.core.model import TaskSpec


async def let_die(rig: Mapping[str, Any], specs: list[TaskSpec]) -> dict[TaskId, int]:
    """Start tasks in a process that is killed; `rig` is one entry, its kind with what it is made of."""
    agent = await asyncio.create_subprocess_exec(  # noqa: TID251 - this is not the agent
        sys.executable,
        "-m",
        "tests.contract.dying_agent",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    assert agent.stdin
    assert agent.stdout
    order = {"rig": rig, "specs": [msgspec.to_builtins(spec) for spec in specs]}
    agent.stdin.write(json.dumps(order).encode() + b"\n")
    line = await asyncio.wait_for(agent.stdout.readline(), 30)
    agent.kill()
    await agent.wait()
    return {TaskId(task_id): pid for task_id, pid in json.loads(line).items()}
