#!/usr/bin/python3 -IS
"""Write what a process inherits, as one line of JSON: environment, limits, descriptors, signals, ids."""

import json
import os
import resource
import signal
from pathlib import Path

descriptors = {}
for path in Path("/proc/self/fd").iterdir():
    try:
        descriptors[path.name] = str(path.readlink())
    except FileNotFoundError:  # the one that listed the folder
        continue
status = dict(
    line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
)
facts = {
    "env": dict(os.environ),
    "cwd": str(Path.cwd()),
    "descriptors": descriptors,
    "ignored_signals": int(status["SigIgn"], 16) & ~(1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)),
    "blocked_signals": int(status["SigBlk"], 16),
    "uid": os.getuid(),
    "gid": os.getgid(),
    "groups": os.getgroups(),
    "capabilities": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip() == "1",
    "session": os.getsid(0),
    "process_group": os.getpgid(0),
    "pid": os.getpid(),
    "umask": os.umask(0),
    "data_limit": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "cpu_limit": resource.getrlimit(resource.RLIMIT_CPU)[0],
}
print(json.dumps(facts), flush=True)
