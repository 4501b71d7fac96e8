"""Tiny workloads, each one executable file of the standard library only; upload them as they are.

They start in milliseconds and answer on HOST and PORT. What they can be asked is said in each file.
"""

from pathlib import Path

_HERE = Path(__file__).parent

ECHO = _HERE / "echo.py"  # HTTP: answers what it was asked, as JSON
SLOW_START = _HERE / "slow_start.sh"  # listens after SLOW_S seconds (default 1), then as ECHO would
CRASH = _HERE / "crash.sh"  # writes a line and exits with CODE (default 3)
STUBBORN = _HERE / "stubborn.py"  # ignores SIGTERM
DOUBLE_FORK = _HERE / "double_fork.py"  # leaves a daemon in another session; writes both pids
FLOOD = _HERE / "flood.sh"  # writes numbered lines as fast as it can
ENVIRONMENT = _HERE / "environment.py"  # writes its environment and more as JSON, and exits
WEBSOCKET_ECHO = _HERE / "websocket_echo.py"  # RFC 6455: sends back what it gets
ONE_SHOT = _HERE / "one_shot.sh"  # writes a line and exits with 0
BUSY = _HERE / "busy.py"  # holds MEGABYTES, has burnt SECONDS_OF_CPU once it listens
GREEDY = _HERE / "greedy.py"  # takes the memory that MEGABYTES asks for, and says if it could
EVERY = (
    ECHO,
    SLOW_START,
    CRASH,
    STUBBORN,
    DOUBLE_FORK,
    FLOOD,
    ENVIRONMENT,
    WEBSOCKET_ECHO,
    ONE_SHOT,
    GREEDY,
    BUSY,
)
