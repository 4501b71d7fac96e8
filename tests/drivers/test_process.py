"""What is particular to native tasks: what they inherit, what they may not do, what refuses them a start."""

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from paas.core.errors import StartFailed, StateUnusable
from paas.core.ids import TaskId
from paas.drivers.process import ProcessDriver
from paas.launching.limits import memory_by_rlimit
from paas.task_logs import TaskLogs
from tests import programs
from tests.contract.rigs import NOBODY, NativeRig, processes_of
from tests.contract.test_driver import until_exited
from tests.requirements import require_root
from tests.waiting import until

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
    "port": "of a ship",
    "LONG": "long " * 20_000,
}


async def test_the_environment_is_exactly_what_it_should_be(driver: ProcessDriver, rig: NativeRig) -> None:
    os.environ["SECRET_OF_THE_AGENT"] = "x"
    spec = rig.spec(programs.ENVIRONMENT, env={**AWKWARD, "PORT": "1", "HOST": "0.0.0.0", "TASK_ID": "x"})

    env = (await rig.facts_of(driver, spec))["env"]

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

    facts = await rig.facts_of(driver, spec)

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
        facts = await rig.facts_of(driver, spec)

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
    await until_exited(driver, first.task_id)
    assert "No such file" in rig.output(first.task_id)
    await driver.forget(first.task_id)

    await driver.start(second)

    await until(lambda: rig.output(second.task_id) == "kept\n")
    assert not (rig.root / "runs" / first.task_id).exists()


async def test_limits_by_rlimit_where_no_group_keeps_them(driver: ProcessDriver, rig: NativeRig) -> None:
    spec = rig.spec(programs.ENVIRONMENT, max_runtime_secs=7.5)

    facts = await rig.facts_of(driver, spec)

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
