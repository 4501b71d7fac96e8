"""What is particular to native tasks: what they inherit, what they may not do, what they cost."""

import asyncio
import json
import os
import signal
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paas.core.errors import StartFailed, StateUnusable
from paas.core.ids import TaskId
from paas.core.model import TaskSpec
from paas.core.records import replace
from paas.drivers.process import ProcessDriver
from paas.drivers.start_script import MOST_AHEAD
from paas.launching.limits import memory_by_rlimit
from paas.task_logs import TaskLogs
from tests import programs
from tests.contract.native import Die
from tests.contract.rigs import NOBODY, NativeRig, descriptors, is_alive, processes_of
from tests.requirements import require_root
from tests.waiting import until

GRACE = timedelta(seconds=5)
AWKWARD = {
    "PLAIN": "value",
    "EMPTY": "",
    "QUOTES": 'it\'s "quoted" `here` $HOME \\ * ~ #!',
    "LINES": "one\ntwo\r\n\tthree\n",
    "UNICODE": "zwölf 🙂 \u0081\u0088",
    "with.dots-and-dashes": "x'y",
    "1STARTS_WITH_A_DIGIT": "z",
    "PWD": "/somewhere",
    "OLDPWD": "/elsewhere",
    "IFS": "x",
    "OPTIND": "not a number",
    "PPID": "1",
    "_": "underscore",
    "SHLVL": "7",
    "LONG": "long " * 20_000,
}


async def facts_of(driver: ProcessDriver, rig: NativeRig, spec: TaskSpec) -> Any:
    await driver.start(spec)
    await until(lambda: rig.output(spec.task_id).endswith("\n"))
    return json.loads(rig.output(spec.task_id))


async def test_the_environment_is_exactly_what_it_should_be(driver: ProcessDriver, rig: NativeRig) -> None:
    os.environ["SECRET_OF_THE_AGENT"] = "x"
    spec = rig.spec(programs.ENVIRONMENT, env={**AWKWARD, "PORT": "1", "HOST": "0.0.0.0", "TASK_ID": "x"})

    env = (await facts_of(driver, rig, spec))["env"]

    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    assert env.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own doing in a C locale
    assert env == {
        **inherited,
        **AWKWARD,
        "HOME": str(rig.root / "homes" / "a-1"),
        "TMPDIR": str(rig.root / "runs" / spec.task_id / "tmp"),
        "PORT": "40001",
        "HOST": "127.0.0.1",
        "TASK_ID": spec.task_id,
    }


async def test_nothing_else_is_inherited(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT)

    facts = await facts_of(driver, rig, spec)

    assert facts["cwd"] == str(rig.root / "programs" / programs.ENVIRONMENT.name)
    descriptors = {number: path for number, path in facts["descriptors"].items() if "/proc/" not in path}
    log = str(rig.log_path(spec.task_id))
    assert descriptors == {"0": "/dev/null", "1": log, "2": log}
    assert [number for number in signal.valid_signals() if facts["ignored_signals"] >> (number - 1) & 1] == []
    assert facts["blocked_signals"] == 0
    assert facts["umask"] == 0o022
    assert facts["session"] == facts["process_group"] != os.getsid(0)
    if rig.user is None:
        assert facts["uid"] == os.getuid()


async def test_another_user_has_no_privileges(open_root: Path) -> None:
    require_root()
    rig = NativeRig(open_root, user=NOBODY)
    spec = rig.spec(programs.ENVIRONMENT)

    async with rig.driver() as driver:
        facts = await facts_of(driver, rig, spec)

    assert (facts["uid"], facts["gid"], facts["groups"]) == (*NOBODY, [])
    assert facts["capabilities"] == [0, 0, 0, 0, 0]
    assert facts["no_new_privileges"]


@pytest.mark.parametrize(
    "attempt",
    [
        "echo exit 0 >> ../../runs/$TASK_ID/record",
        "cat ../../runs/$TASK_ID/record",
        "cat ../../logs/$TASK_ID.log",
        "echo x >> ../../runs/$TASK_ID/start",
        "rm ../../runs/$TASK_ID/start",
        "touch ../../runs/$TASK_ID/x",
        "ls ../../runs",
        "ls ../../homes",
        "touch ./x",
        "echo x >> ./crash.sh",
        "rm ../../runs/.launch.sh",
        "(exec 8>>/proc/$PPID/fd/9)",
    ],
)
async def test_another_user_cannot_touch_what_is_the_agents(open_root: Path, attempt: str) -> None:
    require_root()
    rig = NativeRig(open_root, user=NOBODY)
    spec = rig.spec(
        programs.CRASH, command=("sh", "-c", f"if {attempt}; then echo done; else echo denied; fi")
    )

    async with rig.driver() as driver:
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id).endswith(("done\n", "denied\n")))

    assert rig.output(spec.task_id).endswith("denied\n")


async def test_home_stays_and_the_temporary_folder_goes(driver: ProcessDriver, rig: NativeRig) -> None:
    command = ("sh", "-c", 'echo "$(cat "$HOME/seen" 2>&1)"; echo kept > "$HOME/seen"; touch "$TMPDIR/x"')
    first, second = (rig.spec(programs.CRASH, command=command) for _ in range(2))
    await driver.start(first)
    await until(lambda: "No such file" in rig.output(first.task_id))
    await driver.stop(first.task_id, grace=GRACE)
    await driver.forget(first.task_id)

    await driver.start(second)

    await until(lambda: rig.output(second.task_id) == "kept\n")
    assert not (rig.root / "runs" / first.task_id).exists()


async def test_limits_by_rlimit_where_no_group_keeps_them(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, max_runtime_secs=7.5)

    facts = await facts_of(driver, rig, spec)

    in_force = driver.limits_in_force()
    if in_force["memory"] == "rlimit":
        assert facts["data_limit"] == memory_by_rlimit(spec.memory_bytes)
    if in_force["cpu"] == "none":
        assert facts["cpu_limit"] == 8


@pytest.mark.parametrize(("megabytes", "said"), [("100", "taken"), ("2000", "refused")])
async def test_memory_is_limited(driver: ProcessDriver, rig: NativeRig, megabytes: str, said: str) -> None:
    if driver.limits_in_force()["memory"] != "rlimit":
        said = said.replace("refused", "")  # the kernel ends it instead
    spec = rig.spec(programs.GREEDY, env={"MEGABYTES": megabytes})

    await driver.start(spec)
    await until(lambda: not processes_of(spec.task_id) and rig.output(spec.task_id).strip() == said)


async def test_a_hundred_tasks_at_once_cost_no_descriptor_when_gone(rig: NativeRig) -> None:
    async with rig.driver() as driver:
        await run_to_the_end(driver, rig, 1)
        await until(lambda: parked(rig) == 1)
        before = descriptors()

        await run_to_the_end(driver, rig, 100)

        # Its pipe and its pidfd may not have been open yet before; a leak in every task would show as 100.
        await until(lambda: parked(rig) == 1 and descriptors() <= before + 2)
    assert parked(rig) == 0


def parked(rig: NativeRig) -> int:
    return len(list((rig.root / "runs" / ".parked").iterdir()))


async def run_to_the_end(driver: ProcessDriver, rig: NativeRig, count: int) -> None:
    specs = [rig.spec(programs.CRASH, command=("sleep", "1000")) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(driver.start(spec))
    async with asyncio.TaskGroup() as group:
        stops = [group.create_task(driver.stop(spec.task_id, grace=GRACE)) for spec in specs]
    assert {stop.result() for stop in stops} <= {143, None}  # None: asked before it had begun
    for spec in specs:
        await driver.forget(spec.task_id)


async def test_a_task_stopped_at_once_ends_at_once(driver: ProcessDriver, rig: NativeRig) -> None:
    for _ in range(20):
        spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
        await driver.start(spec)

        async with asyncio.timeout(4):
            await driver.stop(spec.task_id, grace=GRACE)

        assert processes_of(spec.task_id) == []


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
)
async def test_a_signal_to_the_group_leaves_the_exit_code(
    driver: ProcessDriver, rig: NativeRig, number: signal.Signals
) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    instance = await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    assert instance.pid

    os.killpg(instance.pid, number)

    await until(lambda: not processes_of(spec.task_id))
    assert await driver.stop(spec.task_id, grace=GRACE) == 128 + number


async def test_a_stopped_process_ends_when_asked(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    os.kill(processes_of(spec.task_id)[0], signal.SIGSTOP)

    assert await driver.stop(spec.task_id, grace=GRACE) == 143


async def test_a_killed_launcher_is_an_end_without_a_code_and_leaves_nothing(
    driver: ProcessDriver, rig: NativeRig
) -> None:
    spec = rig.spec(programs.CRASH, command=("sleep", "1000"))
    instance = await driver.start(spec)
    await until(lambda: processes_of(spec.task_id))
    assert instance.pid

    os.kill(instance.pid, signal.SIGKILL)

    await until(lambda: not processes_of(spec.task_id))
    found = (await driver.look([spec.task_id]))[spec.task_id]
    assert (found.status, found.exit_code) == ("exited", None)


async def test_a_daemon_without_environment_cannot_leave_its_group(open_root: Path) -> None:
    rig = NativeRig(open_root)
    spec = rig.spec(programs.DOUBLE_FORK, env={"CLEAR": "yes"})
    async with rig.driver() as driver:
        if driver.limits_in_force()["containment"] != "cgroup v2":
            return
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id).endswith("\n"))
        daemon = int(rig.output(spec.task_id).split()[1])

        await driver.stop(spec.task_id, grace=GRACE)

    assert not is_alive(daemon)


async def test_a_flood_is_bounded_while_the_task_runs(driver: ProcessDriver, rig: NativeRig) -> None:
    logs = TaskLogs(rig.root / "logs", kept_bytes=1024 * 1024)
    spec = rig.spec(programs.FLOOD, env={"LINES_MOST": "500000"})
    await driver.start(spec)
    logs.watch(spec.task_id)

    async with aclosing(logs.follow({spec.task_id: 0})) as lines:
        async with asyncio.timeout(30):
            async for line in lines:
                if line.message.startswith("00499999"):
                    break
    await until(lambda: rig.log_path(spec.task_id).stat().st_blocks * 512 < 2 * 1024 * 1024)

    kept = await logs.read(spec.task_id)
    logs.close()
    numbers = [int(line.message.split()[0]) for line in kept]
    assert numbers == list(range(500_000 - len(numbers), 500_000))
    assert len(numbers) > 5000


async def test_parked_launchers_end_with_the_agent(rig: NativeRig, start_and_die: Die) -> None:
    spec = rig.spec(programs.ONE_SHOT)

    await start_and_die([spec])

    folder = rig.root / "runs"
    script = str(folder / ".launch.sh").encode()
    await until(lambda: not [pid for pid in all_processes() if script in command_of(pid)])
    async with rig.driver() as driver:
        await driver.forget(spec.task_id)


async def test_a_launcher_killed_while_parked_is_replaced(rig: NativeRig) -> None:
    async with rig.driver() as driver:
        await driver.start(rig.spec(programs.ONE_SHOT))
        script = str(rig.root / "runs" / ".launch.sh").encode()
        for pid in all_processes():
            if script in command_of(pid):
                os.kill(pid, signal.SIGKILL)
        spec = rig.spec(programs.ONE_SHOT)

        try:
            await driver.start(spec)
        except StartFailed:  # it was chosen in the moment of its death
            await driver.start(spec)

        await until(lambda: rig.output(spec.task_id) == "done\n")


async def test_a_run_chosen_but_never_told_can_be_started_again(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)
        (rig.root / "runs" / spec.task_id / "record").write_text("launcher 999999 none\n")

    async with rig.driver() as driver:
        absent = await driver.survey()
        await driver.start(spec)
        await until(lambda: rig.output(spec.task_id) == "done\n")
        await driver.forget(spec.task_id)

    assert spec.task_id not in absent


async def test_a_prepared_task_is_told_what_its_start_says(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, env={"COLOUR": "blue"})
    await driver.prepare(replace(spec, port=0))

    facts = await facts_of(driver, rig, replace(spec, env={"COLOUR": "red"}))

    assert facts["env"]["COLOUR"] == "red"
    assert facts["env"]["PORT"] == str(spec.port)


async def test_the_first_of_many_prepared_tasks_starts_as_well(driver: ProcessDriver, rig: NativeRig) -> None:
    specs = [rig.spec(programs.ENVIRONMENT, env={"COLOUR": str(n)}) for n in range(MOST_AHEAD + 2)]
    for spec in specs:
        await driver.prepare(replace(spec, port=0))

    first, last = await facts_of(driver, rig, specs[0]), await facts_of(driver, rig, specs[-1])

    assert (first["env"]["COLOUR"], last["env"]["COLOUR"]) == ("0", str(MOST_AHEAD + 1))


async def test_runs_that_were_only_prepared_are_swept(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        await driver.prepare(spec)

    async with rig.driver():
        assert not (rig.root / "runs" / spec.task_id).exists()


async def test_a_disk_that_cannot_be_written_fails_the_start_with_its_reason(rig: NativeRig) -> None:
    spec = rig.spec(programs.ONE_SHOT)
    async with rig.driver() as driver:
        (rig.root / "logs").rmdir()
        (rig.root / "logs").write_text("")

        with pytest.raises(StartFailed, match=r"cannot prepare task .*: Not a directory"):
            await driver.start(spec)

        assert await driver.survey() == {}


async def test_a_folder_closed_to_the_apps_user_is_said_at_the_start(open_root: Path) -> None:
    require_root()
    rig = NativeRig(open_root, user=NOBODY)
    open_root.chmod(0o700)

    with pytest.raises(StateUnusable, match="cannot start processes as user id 65534"):
        async with rig.driver():
            pass


@pytest.mark.parametrize("name", ["A=B", "", "NUL\0"])
async def test_what_cannot_be_a_variable_fails_the_start(
    driver: ProcessDriver, rig: NativeRig, name: str
) -> None:
    with pytest.raises(StartFailed, match="cannot be an environment variable"):
        await driver.start(rig.spec(programs.ONE_SHOT, env={name: "x"}))


@pytest.mark.parametrize("task_id", ["", "..", ".parked", "a/b", "a\nb"])
async def test_a_task_id_cannot_lead_elsewhere(driver: ProcessDriver, task_id: str) -> None:
    with pytest.raises(ValueError, match="not a task id"):
        await driver.look([TaskId(task_id)])


def all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if is_alive(int(path.name))]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
