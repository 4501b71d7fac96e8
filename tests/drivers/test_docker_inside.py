"""What a container finds around itself: variables, privileges, limits."""

from datetime import timedelta
from pathlib import Path

from paas.core.records import replace
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_containers import CAPABILITIES
from tests.contract.docker_rig import WAITING, DockerRig
from tests.drivers.docker_steps import output_of, until_exited

# From linux/capability.h, by number.
NUMBERS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7,
    "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18,
}  # fmt: skip


async def test_the_environment_says_where_to_listen(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = replace(
        docker_rig.spec("cat /proc/self/environ", env={"A": "x y\n'z'", "PORT": "1", "HOST": "h"}), port=8123
    )

    output = await output_of(docker, docker_rig, spec)

    env = dict(pair.split("=", 1) for pair in output.strip("\0").split("\0"))
    assert env["A"] == "x y\n'z'"
    assert (env["PORT"], env["HOST"], env["TASK_ID"]) == ("8123", "0.0.0.0", spec.task_id)


async def test_privileges_are_few_from_inside(docker: DockerDriver, docker_rig: DockerRig) -> None:
    spec = docker_rig.spec("cat /proc/self/status; ls -a / /dev; cat /proc/self/mountinfo")

    output = await output_of(docker, docker_rig, spec)

    status = dict(
        line.split(":", 1) for line in output.splitlines() if line.startswith(("Cap", "NoNew", "Sec"))
    )
    allowed = sum(1 << NUMBERS[name] for name in CAPABILITIES)
    assert int(status["CapBnd"], 16) == allowed
    assert int(status["CapEff"], 16) == allowed
    assert int(status["NoNewPrivs"]) == 1
    assert int(status["Seccomp"]) == 2  # filtered
    assert "docker.sock" not in output
    assert not {"sda", "kmsg", "mem", "fuse"} & set(output.split())


async def test_namespaces_are_its_own(docker: DockerDriver, docker_rig: DockerRig) -> None:
    kinds = ("pid", "net", "ipc", "uts", "mnt")
    spec = docker_rig.spec(WAITING)

    instance = await docker.start(spec)

    for kind in kinds:
        theirs, ours = Path(f"/proc/{instance.pid}/ns/{kind}"), Path(f"/proc/self/ns/{kind}")
        assert theirs.readlink() != ours.readlink()


async def test_limits_are_real(docker: DockerDriver, docker_rig: DockerRig) -> None:
    script = "i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all started; wait"
    spec = docker_rig.spec(script, pids=10)

    output = await output_of(docker, docker_rig, spec)

    assert "all started" not in output
    limits = docker_rig.inspect(spec.task_id)["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == spec.memory_bytes
    assert limits["NanoCpus"] == 1_000_000_000
    assert limits["LogConfig"]["Config"]["max-size"]


async def test_more_memory_than_allowed_ends_it_and_is_told(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    spec = docker_rig.spec("x=0123456789; while :; do x=$x$x; done", memory_bytes=8 * 1024 * 1024)

    await docker.start(spec)
    await until_exited(docker, spec.task_id)
    exit_code = await docker.stop(spec.task_id, grace=timedelta(0))

    assert exit_code == 137
    assert (await docker.look([spec.task_id]))[spec.task_id].oom_killed
