"""Play an agent that starts tasks and is killed: `python -m tests.contract.dying_agent`.

Reads one JSON object from stdin: root, use_cgroups, user, and specs; starts them, writes one line of JSON,
process ids by task, and waits for its end.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from paas.core.model import TaskSpec
from tests.contract.rigs import NativeRig


async def main(order: Any) -> None:  # what json gave
    user = order["user"]
    rig = NativeRig(Path(order["root"]), order["use_cgroups"], None if user is None else (user[0], user[1]))
    specs = [TaskSpec(**{**spec, "command": tuple(spec["command"])}) for spec in order["specs"]]
    async with rig.driver() as driver:
        pids = {}
        for spec in specs:
            pids[spec.task_id] = (await driver.start(spec)).pid
        print(json.dumps(pids), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
