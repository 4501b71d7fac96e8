#!/usr/bin/python3 -IS
"""Leave a daemon that left the session, then write `<own pid> <daemon's pid>`.

STAY=yes: wait beside it. CLEAR=yes: the daemon has no environment. The daemon ignores SIGTERM and SIGHUP.
"""

import os
import signal
import sys

if "as-daemon" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.write(3, str(os.getpid()).encode())
    os.close(3)
    while True:
        signal.pause()

reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.dup2(writer, 3)
        environment = {} if os.environ.get("CLEAR") else dict(os.environ)
        os.execve(sys.executable, [sys.executable, "-IS", __file__, "as-daemon"], environment)
    os._exit(0)
os.close(writer)
print(os.getpid(), os.read(reader, 20).decode(), flush=True)
if os.environ.get("STAY"):
    signal.pause()
