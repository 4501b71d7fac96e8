"""Container images of Debian's software, made of what its packages installed here; no registry needed."""

import io
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.requirements import require

LEFT_OUT = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bug)/|/usr/lib/debug/|/etc/(init\.d|cron)")
LIBRARY = re.compile(rb"(?:=> |^\s*)(/\S+) \(0x", re.MULTILINE)
MERGED = ("bin", "lib", "lib64", "sbin")  # links into /usr since Debian 12
ACCOUNTS = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\ndaemon:x:1000:1000::/tmp:/bin/sh\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\ndaemon:x:1000:\n"


@cache
def layer_of(*packages: str, extra: tuple[str, ...] = ()) -> bytes:
    """Pack the files of installed packages, and of `extra` paths, with the libraries that they load.

    With it come a shell (busybox), the users nobody and daemon (uid 1000), and a /tmp for all.
    """
    files = {file for package in packages for file in _installed(package)}
    for path in extra:
        files |= {each for each in [Path(path), *Path(path).rglob("*")] if not each.is_dir()}
    files |= set(_libraries(files))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add_frame(tar)
        for name, file in sorted({_merged(file): file for file in files}.items()):
            tar.add(file, arcname=str(name).lstrip("/"), recursive=False)
    return stream.getvalue()


def _installed(package: str) -> Iterator[Path]:
    listed = subprocess.run(["dpkg-query", "-L", package], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        path = Path(line)
        if line.count("/") == 1 or LEFT_OUT.search(line + "/"):
            continue  # the links of MERGED are files of packages too
        if path.is_symlink() or path.is_file():
            yield path


def _libraries(files: Iterable[Path]) -> Iterator[Path]:
    """Find what the programs and libraries among files load, however far down."""
    programs = [str(file) for file in files if not file.is_symlink() and _is_elf(file)]
    listed = subprocess.run(["ldd", *programs], capture_output=True, check=False)
    for found in set(LIBRARY.findall(listed.stdout)):
        path = Path(found.decode())
        yield path
        if path.is_symlink():
            yield path.resolve()


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _merged(file: Path) -> Path:
    """Name a file where it is behind the links of MERGED."""
    return Path("/usr") / str(file).lstrip("/") if file.parts[1] in MERGED else file


def _add_frame(tar: tarfile.TarFile) -> None:
    for folder in ("usr", *(f"usr/{name}" for name in MERGED), "etc", "var", "run", "tmp", "data"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o777 if folder in {"tmp", "run", "data"} else 0o755
        tar.addfile(entry)
    for name in MERGED:
        _add_link(tar, name, f"usr/{name}")
    tar.add(require("busybox").resolve(), arcname="usr/bin/busybox")
    for applet in ("sh", "sleep", "mkdir", "cat", "nc", "chown", "httpd"):
        _add_link(tar, f"usr/bin/{applet}", "busybox")
    for path, text in {"etc/passwd": ACCOUNTS, "etc/group": GROUPS}.items():
        entry = tarfile.TarInfo(path)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
