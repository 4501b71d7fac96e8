"""Which folders of the host containers see."""

import os
from pathlib import Path

import pytest

from paas.core.errors import StartFailed
from paas.core.ids import AppId
from paas.core.spec import Volume
from paas.drivers.docker import DockerDriver
from paas.drivers.docker_volumes import VolumeRoots
from tests.contract.docker_rig import WAITING, DockerRig
from tests.drivers.docker_steps import output_of

APP = AppId("a-1")


@pytest.fixture
def roots(tmp_path: Path) -> VolumeRoots:
    (tmp_path / "allowed" / "data").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return VolumeRoots(
        own=tmp_path / "volumes", others=(tmp_path / "allowed",), socket=tmp_path / "allowed/run/docker.sock"
    )


def source(roots: VolumeRoots, host_path: str) -> str:
    (mount,) = roots.mounts(APP, (Volume(host_path=host_path, container_path="/data"),))
    return str(mount["Source"])


def test_a_bare_name_is_a_folder_of_the_app_s_own(roots: VolumeRoots) -> None:
    first, again = source(roots, "data"), source(roots, "data")

    assert first == again == str(roots.own / APP / "data")
    assert Path(first).is_dir()
    (other,) = roots.mounts(AppId("a-2"), (Volume(host_path="data", container_path="/data"),))
    assert other["Source"] != first


@pytest.mark.parametrize("name", ["..", ".", "", "-x", ".hidden", "a b", "a\n", "a:b", "é"])
def test_a_name_that_is_none_is_refused(roots: VolumeRoots, name: str) -> None:
    with pytest.raises(StartFailed, match="cannot mount"):
        source(roots, name)


def test_a_folder_below_a_root_may_be_mounted(roots: VolumeRoots) -> None:
    wanted = roots.others[0] / "data"

    assert source(roots, str(wanted)) == str(wanted)


@pytest.mark.parametrize("path", ["/", "/etc", "{tmp}/secret", "{tmp}/allowed/../secret", "{tmp}/allowed2"])
def test_a_folder_outside_the_roots_is_refused(roots: VolumeRoots, tmp_path: Path, path: str) -> None:
    (tmp_path / "allowed2").mkdir()

    with pytest.raises(StartFailed, match="does not lie below"):
        source(roots, path.format(tmp=tmp_path))


def test_a_link_out_of_a_root_is_refused(roots: VolumeRoots, tmp_path: Path) -> None:
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "allowed" / "deep").symlink_to(tmp_path)

    for path in ("allowed/link", "allowed/deep/secret"):
        with pytest.raises(StartFailed, match="does not lie below"):
            source(roots, str(tmp_path / path))


def test_a_named_volume_that_became_a_link_is_refused(roots: VolumeRoots, tmp_path: Path) -> None:
    (roots.own / APP).mkdir(parents=True)
    (roots.own / APP / "data").symlink_to(tmp_path / "secret")

    with pytest.raises(StartFailed, match="does not lie below"):
        source(roots, "data")


def test_a_folder_that_is_not_there_is_not_made(roots: VolumeRoots) -> None:
    path = roots.others[0] / "typo"

    with pytest.raises(StartFailed, match="No such file"):
        source(roots, str(path))

    assert not path.exists()


def test_the_engine_s_socket_is_never_given(roots: VolumeRoots) -> None:
    roots.socket.parent.mkdir()

    for path in (roots.socket.parent, roots.others[0]):
        with pytest.raises(StartFailed, match="socket"):
            source(roots, str(path))


def test_what_is_neither_folder_nor_file_is_refused(roots: VolumeRoots) -> None:
    path = roots.others[0] / "pipe"
    os.mkfifo(path)

    with pytest.raises(StartFailed, match="neither a folder nor a file"):
        source(roots, str(path))


async def test_what_a_task_writes_is_there_for_the_next(docker: DockerDriver, docker_rig: DockerRig) -> None:
    volumes = (Volume(host_path="data", container_path="/data"),)
    await output_of(docker, docker_rig, docker_rig.spec("echo kept > /data/file", volumes=volumes))

    output = await output_of(docker, docker_rig, docker_rig.spec("cat /data/file", volumes=volumes))

    assert output == "kept\n"


async def test_a_volume_may_be_read_only(docker: DockerDriver, docker_rig: DockerRig) -> None:
    volume = Volume(host_path="data", container_path="/data", read_only=True)

    output = await output_of(docker, docker_rig, docker_rig.spec("echo x > /data/file", volumes=(volume,)))

    assert "Read-only file system" in output


async def test_a_link_put_there_after_the_container_was_made_is_refused(
    docker: DockerDriver, docker_rig: DockerRig
) -> None:
    folder = docker_rig.root / "allowed" / "data"
    folder.mkdir(parents=True)
    spec = docker_rig.spec(WAITING, volumes=(Volume(host_path=str(folder), container_path="/data"),))
    await docker.prepare(spec)

    folder.rmdir()
    folder.symlink_to("/etc")

    with pytest.raises(StartFailed, match="does not lie below"):
        await docker.start(spec)
