"""Runs the proxy alone in its own process: `python -m benchmarks.proxy_runner APP_PORT`; prints its port."""

import asyncio
import gc
import sys
import time

import uvloop

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.proxy.listener import Proxy
from paas.router import Router
from paas.routes import Rules

HOST = "hello-default.localhost"


class RealClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def serve(app_port: int) -> None:
    clock = RealClock()
    router = Router(clock, lambda _: None)
    deployment = DeploymentId("benchmark")
    router.route(deployment, AppId("benchmark"), (HOST,), Rules(health_path="/healthz"))
    router.publish(deployment, TaskId("benchmark"), "127.0.0.1", app_port)
    proxy = Proxy(router, clock)
    port = await proxy.start("127.0.0.1", 0)
    gc.freeze()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
