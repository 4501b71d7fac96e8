"""install.sh from outside: what it says, and the whole of `try` in a fresh checkout."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.requirements import require

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECS = 60.0
COMMANDS = ("try", "test", "install", "uninstall", "help")


def install_sh(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        ["/bin/bash", str(REPOSITORY / "install.sh"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_SECS,
    )


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_names_every_command(arguments: tuple[str, ...]) -> None:
    answer = install_sh(*arguments)

    assert answer.returncode == 0
    assert [command for command in COMMANDS if f"\n  {command}" not in answer.stdout] == []


def test_an_unknown_command_is_refused_with_the_help() -> None:
    answer = install_sh("trial")

    assert answer.returncode == 2
    assert "Usage:" in answer.stderr


def folder_of_tools(folder: Path, *names: str) -> str:
    """Make a PATH on which only those programs are."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def test_without_python_it_says_the_one_command(tmp_path: Path) -> None:
    path = folder_of_tools(tmp_path / "bin", "dirname", "apt-get", "id")

    answer = install_sh("try", path=path)

    assert answer.returncode == 1
    assert "there is no python3 here" in answer.stderr
    assert "\n    apt-get update && apt-get install -y python3 python3-venv" in answer.stderr


def test_without_the_venv_module_it_says_the_one_command(tmp_path: Path) -> None:
    checkout = fresh_checkout(tmp_path)
    path = folder_of_tools(tmp_path / "bin", "dirname", "apt-get", "id", "cat", "sha256sum", "cut", "grep")
    python = tmp_path / "bin" / "python3"
    # As on Debian without python3-venv: the interpreter is there, ensurepip is not.
    python.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    answer = subprocess.run(
        ["/bin/bash", str(checkout / "install.sh"), "try"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path},
        timeout=PATIENCE_SECS,
    )

    assert answer.returncode == 1
    assert "\n    apt-get update && apt-get install -y python3-venv\n" in answer.stderr
    assert not (checkout / ".venv").exists()


def test_install_and_uninstall_ask_for_root() -> None:
    setpriv = require("setpriv")
    as_nobody = [] if os.geteuid() else [str(setpriv), "--reuid=65534", "--regid=65534", "--clear-groups"]
    script = (REPOSITORY / "install.sh").read_text()  # nobody may not enter every folder a checkout is in

    for command in ("install", "uninstall"):
        answer = subprocess.run(
            [*as_nobody, "/bin/bash", "-c", script, "install.sh", command],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=PATIENCE_SECS,
        )
        assert answer.returncode == 1
        assert f"sudo ./install.sh {command}" in answer.stderr


def test_shell_scripts_pass_shellcheck() -> None:
    shellcheck = require("shellcheck")

    for arguments in (
        ["install.sh", ".ci/run"],
        ["--shell=sh", "--exclude=SC1091", "paas/drivers/launch.sh"],
    ):
        answer = subprocess.run(
            [str(shellcheck), *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout


def test_a_wheel_holds_all_that_runs(tmp_path: Path) -> None:
    source = fresh_checkout(tmp_path)

    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            tmp_path,
            source,
        ],
        check=True,
        timeout=PATIENCE_SECS,
    )

    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(source))
        for path in (source / "paas").rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".sh", ".typed"}
    }
    assert ours - held == set()


# `try`, as somebody at a terminal would see it


@dataclass(slots=True)
class Trial:
    process: subprocess.Popen[bytes]
    output: Path
    temporary: Path

    def until_said(self, words: str) -> str:
        """Wait until it has said so and return all that it said."""
        end = time.monotonic() + PATIENCE_SECS
        while words not in (said := self.output.read_text()):
            assert time.monotonic() < end, said
            assert self.process.poll() is None, said
            time.sleep(0.02)
        return said

    def curl(self, url: str) -> bytes:
        """Do what the printed `curl` does; names below localhost are this machine (RFC 6761)."""
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        port = host.rpartition(":")[2]
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}/", headers={"Host": host})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as answer:
            body: bytes = answer.read()
        return body

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECS)

    def leftovers(self) -> list[str]:
        """List processes that name or work in its temporary folder, and that folder's files."""
        found = [str(path) for path in self.temporary.iterdir()]
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if f"{self.temporary}/" in line or (entry / "cwd").readlink().is_relative_to(self.temporary):
                    found.append(line)
            except OSError:
                continue  # it ended meanwhile
        return found


def fresh_checkout(folder: Path) -> Path:
    """Copy what is here now, committed or not, and nothing that was made from it."""
    made = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", ".hypothesis", "build"
    )
    return Path(shutil.copytree(REPOSITORY, folder / "checkout", ignore=made))


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    # Not below pytest's own folder: apps of root's agent run as another user, who may not enter that.
    temporary = Path(tempfile.mkdtemp(prefix="paas-test-"))
    temporary.chmod(0o711)
    output = tmp_path / "output"
    with output.open("wb") as said:
        process = subprocess.Popen(
            ["/bin/bash", str(fresh_checkout(tmp_path) / "install.sh"), "try"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PAAS_VENV": sys.prefix, "TMPDIR": str(temporary)},
        )
    running = Trial(process, output, temporary)
    yield running
    if process.poll() is None:
        running.end(signal.SIGTERM)
    shutil.rmtree(temporary)


def test_try_deploys_sleeps_wakes_and_leaves_nothing(trial: Trial) -> None:
    said = trial.until_said("What happens")
    url = next(line.split()[1] for line in said.splitlines() if line.strip().startswith("curl http"))
    first = trial.curl(url)
    trial.until_said("asleep\n")

    woken = trial.curl(url)

    assert first.startswith(b"Hello")
    assert woken.startswith(b"Hello")
    assert woken != first
    said = trial.until_said("woken by a request in")
    assert [word for word in ("deployed", "ready", "idle", "asleep", "woken") if word not in said] == []
    assert trial.leftovers() != []
    assert trial.end(signal.SIGINT) == 0
    assert trial.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_try_leaves_nothing_however_it_is_ended(trial: Trial, number: signal.Signals) -> None:
    trial.until_said("What happens")

    assert trial.end(number) == 0
    assert trial.leftovers() == []


def test_try_leaves_nothing_when_it_is_ended_while_it_starts(trial: Trial) -> None:
    end = time.monotonic() + PATIENCE_SECS
    while not any(trial.temporary.glob("paas-try-*")):
        assert time.monotonic() < end
        time.sleep(0.005)

    trial.end(signal.SIGINT)

    assert trial.leftovers() == []
