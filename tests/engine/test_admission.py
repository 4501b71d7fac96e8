"""Start slots and memory pressure in a whole engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paas.core.records import replace
from paas.core.spec import Idle, Resources, Spec
from paas.core.states import TaskState
from paas.engine.admission import SAMPLE_SECS, read_host_memory
from paas.engine.reconciler import AGAIN_AFTER_SECS
from paas.engine.world import EngineSettings
from tests.engine.fake_driver import Machine, Program
from tests.engine.jumping_loop import jump
from tests.engine.rig import DRAIN, Engine, running, until

MIB = 1024**2
SPEC = Spec(idle_timeout_secs=3600, resources=Resources(memory="100Mi"))
SETTINGS = EngineSettings(domain="localhost", drain=DRAIN, starts_at_once=2, reserved_memory_percent=10)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on a machine with 1000 MiB that starts two at once."""
    machine = Machine()
    available(machine, 900)
    async with running(tmp_path, machine, settings=SETTINGS) as engine:
        yield engine
    machine.close()


def available(machine: Machine, mib: int) -> None:
    """Leave the machine so much memory, and let the last look at it grow old."""
    jump(2 * SAMPLE_SECS)
    machine.total_bytes, machine.available_bytes = 1000 * MIB, mib * MIB


async def test_no_more_start_at_once_than_there_are_slots(small: Engine) -> None:
    machine = small.machine
    names = [f"app{number}" for number in range(6)]
    for name in names:
        await small.asleep(name, SPEC)
    machine.programs["good"] = Program(hangs=True)
    before = len(machine.started)

    requests = [small.ask(name) for name in names]
    await until(lambda: machine.hanging == 2)
    await small.until_quiet_but_for(2)
    most = machine.hanging
    machine.let_start()
    await until(lambda: all(request.answers for request in requests))

    assert most == 2
    assert len(machine.started) == before + 6
    assert all(request.upstream is not None for request in requests)


async def test_who_came_first_starts_first(small: Engine) -> None:
    machine = small.machine
    names = [f"app{number}" for number in range(5)]
    known = {name: await small.asleep(name, SPEC) for name in names}
    machine.programs["good"] = Program(hangs=True)
    for number, name in enumerate(names, start=1):
        small.ask(name)
        await small.until_quiet_but_for(min(number, 2))
    machine.started.clear()

    machine.let_start()
    await until(lambda: len(machine.started) == 5)

    of = [(await small.task(task_id)).deployment_id for task_id in machine.started]
    assert of == [known[name].id for name in names]


async def test_a_start_that_hangs_keeps_its_slot_no_longer_than_it_may_take(small: Engine) -> None:
    machine = small.machine
    for name in ("one", "two", "three"):
        await small.asleep(name, replace(SPEC, start_timeout_secs=20 if name != "three" else 600))
    machine.programs["good"] = Program(listens=False)
    for name in ("one", "two"):
        small.ask(name)
    await until(lambda: len(machine.up()) == 2)
    third = small.ask("three")
    await small.until_quiet_but_for(2)
    assert len(machine.up()) == 2

    machine.programs["good"] = Program()
    jump(21)
    await until(lambda: third.answers)

    assert third.upstream is not None


async def test_one_who_leaves_the_line_holds_nobody_up(small: Engine) -> None:
    machine = small.machine
    for name in ("one", "two", "leaves", "last"):
        await small.asleep(name, SPEC)
    machine.programs["good"] = Program(hangs=True)
    for name in ("one", "two"):
        small.ask(name)
    await until(lambda: machine.hanging == 2)
    leaving, last = small.ask("leaves"), small.ask("last")
    await small.until_quiet_but_for(2)
    leaving.give_back()

    machine.let_start()
    await until(lambda: last.answers)

    assert last.upstream is not None


async def test_the_longest_idle_is_stopped_for_a_wake_and_no_other(small: Engine) -> None:
    machine = small.machine
    sleeper = await small.asleep("sleeper", SPEC)
    kept = {}
    for name in ("oldest", "frozen", "busy", "never"):
        spec = replace(SPEC, cold_start_enabled=name != "never")
        if name == "frozen":
            spec = replace(spec, idle=Idle(freeze_after_secs=10))
        kept[name] = await small.served(name, spec)
        await small.until_quiet()
        jump(30)
    busy = small.ask("busy")
    await small.until_quiet()
    jump(5)
    machine.bytes_each = 100 * MIB
    available(machine, 4 * 100 + 150)  # 50 beyond the reserve

    request = small.ask("sleeper")
    await until(lambda: request.answers)

    assert request.upstream is not None
    await small.until_tasks(kept["oldest"], TaskState.PENDING)
    assert (await small.tasks(kept["oldest"], TaskState.STOPPED))[
        0
    ].reason == "idle, and others need its memory"
    for name in ("frozen", "busy", "never"):
        assert len(await small.tasks(kept[name], TaskState.RUNNING)) == 1, name
    assert not busy.left
    await small.until_tasks(sleeper, TaskState.RUNNING)


async def test_with_nobody_idle_it_is_refused_until_there_is_memory(small: Engine) -> None:
    machine = small.machine
    await small.asleep("sleeper", SPEC)
    await small.served("busy", SPEC)
    busy = small.ask("busy")
    available(machine, 150)

    refused = small.ask("sleeper")
    await until(lambda: refused.answers)
    available(machine, 900)
    await small.until_quiet()
    jump(3)
    await small.until_quiet()
    served = small.ask("sleeper")
    await until(lambda: served.answers)

    assert refused.refusal is not None
    assert "not enough memory" in refused.refusal.reason
    assert refused.refusal.until is not None
    assert served.upstream is not None
    assert busy.upstream is not None


async def test_what_others_start_with_at_the_same_time_is_counted(small: Engine) -> None:
    """Memory that a start will take does not show yet, and two starts may not both have it."""
    machine = small.machine
    for name in ("one", "two"):
        await small.asleep(name, SPEC)
    await small.until_quiet()
    machine.programs["good"] = Program(hangs=True)
    available(machine, 250)  # room for one

    # What was read while somebody committed is not kept: the first that asks may have to wait for a pass.
    requests = [small.ask(name) for name in ("one", "two")]
    await until(lambda: any(request.answers for request in requests))
    available(machine, 900)
    machine.let_start()
    await until(lambda: all(request.answers for request in requests))

    assert sorted(request.upstream is not None for request in requests) == [False, True]


async def test_a_request_waits_until_memory_can_be_read_again(
    small: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    machine = small.machine
    await small.asleep("hello", SPEC)
    await small.until_quiet()
    jump(2 * SAMPLE_SECS)
    machine.tells_memory = False

    request = small.ask("hello")

    await until(lambda: "Cannot look at a deployment" in caplog.text)
    assert "Cannot wake a deployment" in caplog.text  # by the request itself, which was not hurt
    assert not request.answers
    machine.tells_memory = True
    jump(AGAIN_AFTER_SECS)
    await until(lambda: request.answers)
    assert request.upstream is not None


def test_what_the_host_has_of_memory_is_read_as_the_kernel_tells_it() -> None:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())

    found = read_host_memory()

    assert found.total_bytes == int(lines["MemTotal"].split()[0]) * 1024
    available = int(lines["MemAvailable"].split()[0]) * 1024
    assert abs(found.available_bytes - available) < found.total_bytes / 4
