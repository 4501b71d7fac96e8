"""What runs programs for the agent, on the loop that the agent runs on."""

import asyncio
import os
import threading

import uvloop

from paas.launching import children

PROGRAMS = 150
THREADS = 4


def test_the_end_of_a_program_closes_nothing_of_anybody_else() -> None:
    over = threading.Event()
    lost: list[OSError] = []

    def open_and_close() -> None:
        while not over.is_set():
            descriptor = os.open(os.devnull, os.O_RDONLY)
            try:
                os.fstat(descriptor)
                os.close(descriptor)
            except OSError as error:
                lost.append(error)

    async def run_programs() -> None:
        for _ in range(PROGRAMS):
            assert await children.run(["true"]) == (0, b"")

    threads = [threading.Thread(target=open_and_close) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        uvloop.run(asyncio.wait_for(run_programs(), 60))
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert lost == []
