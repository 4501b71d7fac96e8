"""Unpack an archive from a stranger: nothing outside the folder, nothing special, nothing endless."""

import errno
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from paas.builders.trees import EXECUTABLE, UnpackLimits, quoted, refused
from paas.core.errors import BadArchive, PaasError, Unavailable

COPY_SIZE = 256 * 1024
READ_LIMIT = 8 * 1024 * 1024  # one read for a header; Python's readers take headers into memory whole
NAME_LIMIT = 4096  # PATH_MAX of Linux
DEPTH_LIMIT = 64  # folders in folders; deleting a tree recurses
PRIVILEGED = stat.S_ISUID | stat.S_ISGID


def unpack_tar(source: BinaryIO, folder: Path, limits: UnpackLimits, *, gzipped: bool) -> None:
    """Unpack into an empty folder. Raises BadArchive naming the member and the cause; then the folder
    may hold a part, but nothing was ever written outside it.
    """
    plain: BinaryIO = cast(BinaryIO, GzipFile(fileobj=source)) if gzipped else source
    unpacking = _Unpacking(folder, limits)
    # Headers and padding count too, or an archive of empty members could go on for ever.
    stream = _Forward(plain, limits.bytes + limits.files * 2048 + READ_LIMIT)
    with _told_apart("the archive"), tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
        while member := archive.next():
            # tarfile keeps every header otherwise; the attribute is in its code, not in its types
            archive.members = []  # type: ignore[attr-defined]
            with _told_apart(quoted(member.name)):
                _unpack_tar_member(unpacking, archive, member)
        stream.drain()


def unpack_zip(source: BinaryIO, folder: Path, limits: UnpackLimits) -> None:
    """Unpack into an empty folder; the same promises as `unpack_tar`."""
    unpacking = _Unpacking(folder, limits)
    with _told_apart("the archive"), _Bounded(source) as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with _told_apart(quoted(member.filename)):
                _unpack_zip_member(unpacking, archive, member)


def _unpack_tar_member(unpacking: "_Unpacking", archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.mode & PRIVILEGED:
        raise refused(member.name, "it has a set-uid or set-gid bit")
    if member.issparse():
        raise refused(member.name, "it is a sparse file")
    if member.isdir():
        unpacking.add_folder(member.name)
    elif member.issym():
        unpacking.add_symbolic_link(member.name, member.linkname)
    elif member.islnk():
        unpacking.add_hard_link(member.name, member.linkname)
    elif member.isreg():
        content = archive.extractfile(member)
        if content is None:
            raise refused(member.name, "it has no content")
        unpacking.add_file(member.name, content, member.size, executable=bool(member.mode & EXECUTABLE))
    else:
        raise refused(member.name, "it is a device or another special file")


def _unpack_zip_member(unpacking: "_Unpacking", archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise refused(member.filename, "it is encrypted")
    mode = member.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if mode & PRIVILEGED:
        raise refused(member.filename, "it has a set-uid or set-gid bit")
    if member.is_dir():
        unpacking.add_folder(member.filename)
    elif kind == stat.S_IFLNK:
        with archive.open(member) as content:
            target = content.read(NAME_LIMIT + 1)
        unpacking.add_symbolic_link(member.filename, os.fsdecode(target))
    elif member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refused(member.filename, "it is packed with an unusual method")  # whose memory is unbounded
    elif kind in {0, stat.S_IFREG}:
        with archive.open(member) as content:
            executable = bool(mode & EXECUTABLE)
            unpacking.add_file(member.filename, content, member.file_size, executable=executable)
    else:
        raise refused(member.filename, "it is a device or another special file")


class _Unpacking:
    """One folder being filled: knows what was written, so that no member is reached through a link."""

    def __init__(self, folder: Path, limits: UnpackLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes_left = limits.bytes
        self._members = 0
        self._seen: set[PurePosixPath] = set()

    def add_folder(self, name: str) -> None:
        relative = self._claim(name, repeatable=True)
        self._make_parents(name, relative / "-")

    def add_file(self, name: str, content: IO[bytes], size: int, *, executable: bool) -> None:
        target = self._target(name)
        written = 0
        with target.open("xb") as file:
            while chunk := content.read(COPY_SIZE):
                written += len(chunk)
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise refused(name, f"the archive holds more than {self._limits.bytes} bytes")
                file.write(chunk)
        if written != size:
            raise refused(name, f"it is cut short: {written} of {size} bytes")
        target.chmod(0o755 if executable else 0o644)

    def add_symbolic_link(self, name: str, link: str) -> None:
        target = self._target(name)
        relative = target.relative_to(self._folder).parent
        if not link or "\0" in link or len(link) > NAME_LIMIT or _leaves(relative, link):
            raise refused(name, f"its link {quoted(link)} leaves the folder")
        target.symlink_to(link)

    def add_hard_link(self, name: str, link: str) -> None:
        source = _relative(link)
        if source is None or source not in self._seen:
            raise refused(name, f"its link {quoted(link)} leads to nothing in the archive before it")
        self._make_parents(link, source)
        origin = self._folder / source
        if not stat.S_ISREG(origin.lstat().st_mode):
            raise refused(name, f"its link {quoted(link)} does not lead to a file")
        os.link(origin, self._target(name), follow_symlinks=False)

    def _target(self, name: str) -> Path:
        relative = self._claim(name, repeatable=False)
        self._make_parents(name, relative)
        return self._folder / relative

    def _claim(self, name: str, *, repeatable: bool) -> PurePosixPath:
        """Count a member and refuse a name that is unsafe or was there before."""
        self._count(name)
        relative = _relative(name)
        if relative is None:
            raise refused(name, "its name is absolute, climbs with `..`, or is too long")
        if not repeatable and (relative in self._seen or not relative.parts):
            raise refused(name, "its name comes twice")
        self._seen.add(relative)
        return relative

    def _count(self, name: str) -> None:
        self._members += 1
        if self._members > self._limits.files:
            raise refused(name, f"the archive holds more than {self._limits.files} members")

    def _make_parents(self, name: str, relative: PurePosixPath) -> None:
        """Make the folders above a member, none of which may be a link or a file."""
        folder = self._folder
        for part in relative.parts[:-1]:
            folder = folder / part
            try:
                folder.mkdir(mode=0o755)
                folder.chmod(0o755)  # whatever the umask is
                self._count(name)
            except FileExistsError:
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise refused(name, "a link or a file stands in its path") from None


class _Forward(io.RawIOBase):
    """What tarfile reads from: forward only, each read and the whole bounded."""

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        super().__init__()
        self._source = source
        self._limit_bytes = limit_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self._position:
            raise tarfile.ReadError("it does not go forward")
        while self._position < offset:
            if not self.read(min(COPY_SIZE, offset - self._position)):
                break
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > READ_LIMIT:
            raise BadArchive("cannot unpack the archive: a header in it is too large")
        pieces = []
        while size and (piece := self._source.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
        if self._position > self._limit_bytes:
            raise BadArchive("cannot unpack the archive: it becomes larger than allowed")
        return b"".join(pieces)

    def drain(self) -> None:
        """Read to the end, where gzip keeps its check sum."""
        while self.read(COPY_SIZE):
            pass


class _Bounded(io.BufferedReader):
    """A file that gives no more than a header's worth at once: zipfile reads its directory whole."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__(cast(io.RawIOBase, source))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > READ_LIMIT:
            raise BadArchive("cannot unpack the archive: its directory is too large")
        return super().read(size)


def _relative(name: str) -> PurePosixPath | None:
    """Normalize a member's name; None if it is absolute, climbs, or cannot be a path."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not name:
        return None
    if len(name) > NAME_LIMIT or len(path.parts) > DEPTH_LIMIT:
        return None
    return path


def _leaves(folder: Path, link: str) -> bool:
    joined = os.path.normpath(folder / link)
    return link.startswith("/") or joined == ".." or joined.startswith("../")


BROKEN: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # zipfile's word for an encrypted member
    UnicodeError,
    ValueError,
    OverflowError,
)
NAME_ERRORS = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL})


@contextmanager
def _told_apart(what: str) -> Iterator[None]:
    """Translate the readers' errors: a broken archive is its sender's, a full disk is ours."""
    try:
        yield
    except BROKEN as error:
        raise BadArchive(f"cannot unpack {what}: it is damaged ({error})") from error
    except OSError as error:
        # gzip raises a bare OSError, without errno, for bytes that are not gzip's.
        theirs = error.errno is None or error.errno in NAME_ERRORS
        kind: type[PaasError] = BadArchive if theirs else Unavailable
        raise kind(f"cannot unpack {what}: {error.strerror or error}") from error
