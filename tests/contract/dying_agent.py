"""Play an agent that starts tasks and is killed: `python -m tests.contract.dying_agent`.

Reads one JSON object from stdin: rig and specs; starts them, writes one line of JSON, process ids by task,
and waits for its end.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from paas.core.model import TaskSpec
from tests.contract.docker_rig import DockerRig
from tests.contract.rigs import NativeRig, Rig


def rig_of(order: Any) -> Rig:  # what json gave
    match order:
        case {"docker": made_of}:
            return DockerRig(Path(made_of["socket"]), Path(made_of["root"]), made_of["agent_id"])
        case {"native": made_of}:
            user = made_of["user"]
            return NativeRig(
                Path(made_of["root"]), made_of["use_cgroups"], None if user is None else (user[0], user[1])
            )
    raise ValueError(order)


async def main(order: Any) -> None:
    specs = [msgspec.convert(spec, TaskSpec) for spec in order["specs"]]
    async with rig_of(order["rig"]).driver() as driver:
        pids = {}
        for spec in specs:
            pids[spec.task_id] = (await driver.start(spec)).pid
        print(json.dumps(pids), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
