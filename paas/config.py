"""The configuration file: TOML to a frozen Config. Unknown keys are refused with their line."""

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from paas.core.errors import PaasError
from paas.core.recipes import RecipeRow
from paas.core.records import dataclass, field, field_names
from paas.core.repositories import is_loopback

# Where packages are fetched from, and by which certificates; none of it is the agent's own secret.
PASSED = (
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("PIP_*", "UV_*", "npm_config_*", "GOPROXY", "GOSUMDB", "GONOSUMDB"),
)


class BadConfig(PaasError):
    """The configuration cannot be used; the message names file, line and cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    listen: str = "127.0.0.1:47080"
    allowed_hosts: tuple[str, ...] = ()  # names besides localhost under which the API may be asked
    upload_bytes: int = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    listen: str = "0.0.0.0:47000"
    domain: str = "localhost"
    public_scheme: str = "http"  # how users reach the proxy, for the URLs that are shown
    public_port: int = 0  # 0: the port it listens on
    head_bytes: int = 32 * 1024
    header_count: int = 100
    head_arrival_secs: float = 10
    idle_connection_secs: float = 75
    connections: int = 10_000
    waiting_per_deployment: int = 256
    waiting_total: int = 1024
    wake_patience_secs: float = 60
    tcp_first_port: int = 47100  # of the ports that apps may have which do not speak HTTP
    tcp_last_port: int = 47199


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksConfig:
    user: str = "paas-apps"  # whom native tasks run as when the agent is root
    first_port: int = 20000
    last_port: int = 29999
    log_bytes: int = 10 * 1024**2  # kept of each task's output
    starts_at_once: Annotated[int, msgspec.Meta(ge=0)] = 0  # 0: twice as many as there are processors
    reserved_memory_percent: Annotated[float, msgspec.Meta(ge=0, lt=100)] = (
        10  # of the machine's, kept free of starts; 0: none
    )
    drain_secs: float = 30  # open requests may take this long before their task is stopped
    unpacked_bytes: int = 1024**3
    unpacked_files: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersConfig:
    engine: str = ""  # the engine's socket; empty: DOCKER_HOST, else /var/run/docker.sock
    volume_roots: tuple[str, ...] = ()  # below which folders of this machine may be mounted

    def socket(self) -> Path:
        """Say where the engine listens. Raises BadConfig for a place that is no socket of this machine."""
        place = self.engine or os.environ.get("DOCKER_HOST", "")
        path = place.removeprefix("unix://") or "/var/run/docker.sock"
        if not path.startswith("/"):
            raise BadConfig(
                f"cannot use the container engine at {place!r}: it must be a socket of this machine",
                hint="set containers.engine to a path such as /var/run/docker.sock",
            )
        return Path(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildsConfig:
    user: str = "paas-builds"  # who builds natively when the agent is root
    at_once: int = 1
    timeout_secs: float = 1800
    context_bytes: int = 1024**3  # as it is sent, and once it is unpacked
    context_files: int = 50_000
    image_bytes: int = 4 * 1024**3
    memory_bytes: int = 2 * 1024**3  # of a step
    cpus: float = 1.0  # likewise
    log_bytes: int = 10 * 1024**2  # kept of each build
    processes: Annotated[int, msgspec.Meta(ge=16)] = 512  # of a native build at once, threads included
    workspace_bytes: int = 4 * 1024**3  # that a native build may take on the disk
    workspace_files: int = 400_000
    cache_bytes: int = 5 * 1024**3  # of all that native builds keep for the next
    readable: tuple[str, ...] = ()  # folders that native builds see besides the system's
    pass_env: tuple[str, ...] = PASSED  # of the agent's environment, to native builds
    recipes: tuple[RecipeRow, ...] = ()  # looked at before those that are built in


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubConfig:
    api_url: str = "https://api.github.com"  # where commits and pull requests are told of


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    deployments_per_app: int = 20  # besides those that are current
    builds_per_app: int = 20  # ended ones, with their logs
    tasks_per_deployment: int = 20  # ended ones, with their output
    events: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    state: str = ""  # empty: /var/lib/paas for root, else below the user's home
    log_level: str = "info"
    api: ApiConfig = field(default_factory=ApiConfig)
    proxy: ProxyConfig = field(default_factory=ProxyConfig)
    tasks: TasksConfig = field(default_factory=TasksConfig)
    containers: ContainersConfig = field(default_factory=ContainersConfig)
    builds: BuildsConfig = field(default_factory=BuildsConfig)
    github: GitHubConfig = field(default_factory=GitHubConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)

    def state_directory(self) -> Path:
        if self.state:
            return Path(self.state)
        if os.geteuid() == 0:
            return Path("/var/lib/paas")
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "paas"


def load(path: Path) -> Config:
    """Read a configuration file. Raises BadConfig."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"cannot read {path}: {error}") from error
    _refuse_unknown(raw, Config, text, path)
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise BadConfig(f"cannot use {path}: {error}") from error
    split_address(config.api.listen)
    split_address(config.proxy.listen)
    _check_ports(config.proxy)
    _check_api_url(config.github.api_url)
    return config


def split_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT or [IPV6]:PORT. Raises BadConfig."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):(\d{1,5})", text)
    if match is None or int(match[2]) > 65535:  # noqa: PLR2004 - the largest port
        raise BadConfig(f"cannot use the address {text!r}: it must be HOST:PORT")
    return match[1].strip("[]"), int(match[2])


def _check_ports(proxy: ProxyConfig) -> None:
    first, last = proxy.tcp_first_port, proxy.tcp_last_port
    if not 1 <= first <= last <= 65535:  # noqa: PLR2004 - the largest port
        raise BadConfig(
            f"cannot use proxy.tcp_first_port {first} to proxy.tcp_last_port {last}: no such range"
        )


def _check_api_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        is_safe = False
    if not is_safe or not parts.hostname or parts.query or parts.fragment:
        raise BadConfig(
            f"cannot use {url!r} as github.api_url: it must be https, for tokens are sent there",
            hint="it looks like https://api.github.com, or https://github.example/api/v3",
        )


def _refuse_unknown(raw: dict[str, object], shape: type, text: str, path: Path, table: str = "") -> None:
    known = {name: _TABLES.get(name) for name in field_names(shape)}
    for key, value in raw.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise BadConfig(
                f"cannot use {path}: line {_line_of(text, table, key)}: unknown key {table}{key}",
                hint=f"did you mean {table}{near[0]}?" if near else None,
            )
        inner = known[key]
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, dict) and inner is not None:
                _refuse_unknown(each, inner, text, path, f"{table}{key}.")


_TABLES: dict[str, type] = {
    "api": ApiConfig,
    "proxy": ProxyConfig,
    "tasks": TasksConfig,
    "containers": ContainersConfig,
    "builds": BuildsConfig,
    "github": GitHubConfig,
    "retention": RetentionConfig,
    "recipes": RecipeRow,
}


def _line_of(text: str, table: str, key: str) -> int:
    """Find where a key stands; tomllib does not tell."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?([^\]]+)\]", line)
        if header is not None:
            inside = header[1].strip() + "."
            if inside == f"{table}{key}.":
                return number
        elif inside == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return 1
