"""Which folder of the host a container may see, and where."""

import re
import stat
from pathlib import Path
from typing import Any

from paas.core.errors import StartFailed
from paas.core.ids import AppId
from paas.core.records import dataclass
from paas.core.spec import Volume

_BARE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
_FOR_ANY_USER = 0o777  # images bring users of their own; the folder around it is the agent's alone


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRoots:
    """`own` holds the named volumes, a folder an app; below `others` lies what else may be asked for."""

    own: Path
    others: tuple[Path, ...] = ()
    socket: Path  # the engine's, which no container may see: it is root on this machine

    def mounts(self, app_id: AppId, volumes: tuple[Volume, ...]) -> list[dict[str, Any]]:
        """Resolve volumes to the engine's mounts; a named one is made if it is absent. Blocks.

        Symbolic links are resolved before a path is compared with the roots. Raises StartFailed.
        """
        return [
            {
                "Type": "bind",
                "Source": str(self._resolve(app_id, volume)),
                "Target": volume.container_path,
                "ReadOnly": volume.read_only,
            }
            for volume in volumes
        ]

    def _resolve(self, app_id: AppId, volume: Volume) -> Path:
        try:
            if "/" in volume.host_path:
                return self._below_a_root(Path(volume.host_path))
            return self._named(app_id, volume.host_path)
        except OSError as error:
            raise StartFailed(f"cannot mount {volume.host_path}: {error.strerror or error}") from error

    def _named(self, app_id: AppId, name: str) -> Path:
        if not _BARE_NAME.match(name):
            raise StartFailed(
                f"cannot mount {name!r}: a volume's name is letters, digits, dots, dashes and underscores"
            )
        self.own.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.own / app_id
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        if not path.exists():
            path.mkdir()
            path.chmod(_FOR_ANY_USER)  # mkdir's mode is cut by the umask
        return self._below_a_root(path)

    def _below_a_root(self, path: Path) -> Path:
        resolved = path.resolve(strict=True)
        roots = [root.resolve() for root in (self.own, *self.others)]
        if not any(resolved.is_relative_to(root) for root in roots):
            led = "" if resolved == path else f", which is {resolved},"
            raise StartFailed(
                f"cannot mount {path}{led}: it does not lie below {' or '.join(map(str, roots))}",
                hint="a bare name makes a volume of the app's own; containers.volume_roots allows others",
            )
        mode = resolved.stat().st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise StartFailed(f"cannot mount {path}: it is neither a folder nor a file")
        if self.socket.resolve().is_relative_to(resolved):
            raise StartFailed(f"cannot mount {path}: the engine's socket lies in it")
        return resolved
