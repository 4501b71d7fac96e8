"""What can be said to `deploy`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, TypeVar

import click

from paas.cli.views import DEFAULT_NAMESPACE

F = TypeVar("F", bound=Callable[..., object])
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Variable(click.ParamType[tuple[str, str]]):
    name = "K=V"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, equals, content = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{name} is not a variable such as COLOUR=blue", param, ctx)
        return name, content


class Seconds(click.ParamType[float]):
    """A length of time: 90, 90s, 5m, 2h."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value} is not a length of time such as 90, 30s or 5m", param, ctx)
        return float(match[1]) * SECONDS[match[2]]


class Mount(click.ParamType[dict[str, object]]):
    """A volume: NAME:/path/inside or /host/path:/path/inside, with :ro or :shared behind it."""

    name = "HOST:PATH[:ro|:shared]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, object]:
        host_path, _, rest = str(value).partition(":")
        container_path, _, how = rest.partition(":")
        if not host_path or not container_path or how not in {"", "ro", "shared"}:
            self.fail(f"{value} is not a volume such as data:/var/lib/data or site:/www:ro", param, ctx)
        return {
            "host_path": host_path,
            "container_path": container_path,
            "read_only": how == "ro",
            "exclusive": not how,
        }


class DeployOptions(TypedDict):
    image: str | None
    git: str | None
    ref: str | None
    git_path: str | None
    zip_file: Path | None
    pull: bool
    volume: tuple[dict[str, object], ...]
    dockerfile: str | None
    target: str | None
    build_arg: tuple[tuple[str, str], ...]
    no_cache: bool
    native: bool
    port: int | None
    app_name: str | None
    namespace: str | None
    environment: str | None
    prod: bool
    wait: bool
    env: tuple[tuple[str, str], ...]
    replicas: int | None
    health_path: str | None
    tcp: bool
    proxy_port: int | None
    idle_timeout: float | None
    freeze_after: float | None
    no_sleep: bool
    max_runtime: float | None
    start_timeout: float | None
    stop_grace: float | None
    memory: str | None
    cpu: str | None


OPTIONS = (
    click.option("--image", metavar="REF", help="Run this container image; then there is no PATH."),
    click.option("--git", metavar="URL", help="Build and deploy this repository; then there is no PATH."),
    click.option("--ref", metavar="REF", help="Of the repository: a branch, a tag or a commit."),
    click.option("--path", "git_path", metavar="FOLDER", help="Of the repository: the folder that is built."),
    click.option(
        "--zip",
        "zip_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Deploy this archive; the same as PATH.",
    ),
    click.option("--pull", is_flag=True, help="Ask the registry for the image even if it is here."),
    click.option(
        "--volume", type=Mount(), multiple=True, metavar="V", help="NAME:/path[:ro|:shared], of a container."
    ),
    click.option("--dockerfile", metavar="FILE", help="Build this one of the folder.  [default: Dockerfile]"),
    click.option("--target", metavar="STAGE", help="Build up to this stage of the Dockerfile."),
    click.option("--build-arg", type=Variable(), multiple=True, metavar="K=V", help="ARG of the Dockerfile."),
    click.option("--no-cache", is_flag=True, help="Build every step anew."),
    click.option("--native", is_flag=True, help="Run the folder's program, although it has a Dockerfile."),
    click.option("--port", type=int, metavar="N", help="Where the app listens; also told to it as PORT."),
    click.option("--name", "app_name", help="The app.  [default: after the file or folder]"),
    click.option("--namespace", help=f"The app's namespace.  [default: {DEFAULT_NAMESPACE}]"),
    click.option("--environment", help="production, development or any other.  [default: development]"),
    click.option("--prod", is_flag=True, help="The same as --environment production."),
    click.option("--wait/--no-wait", default=True, show_default=True, help="Follow until it is ready."),
    click.option(
        "-e", "--env", type=Variable(), multiple=True, metavar="K=V", help="A variable; repeatable."
    ),
    click.option("--replicas", type=int, metavar="N", help="Tasks when it is awake, 0 to 100."),
    click.option("--health-path", metavar="PATH", help="Ready when this path answers 2xx or 3xx."),
    click.option("--tcp", is_flag=True, help="It speaks no HTTP: a port of the proxy's leads to it."),
    click.option("--proxy-port", type=int, metavar="N", help="That port; --tcp goes without saying."),
    click.option("--idle-timeout", type=Seconds(), help="Sleep after so long without use: 90, 5m."),
    click.option("--freeze-after", type=Seconds(), help="Freeze it before that, after so long without use."),
    click.option("--no-sleep", is_flag=True, help="Never sleep (cold_start_enabled: false)."),
    click.option("--max-runtime", type=Seconds(), help="End a task after so long."),
    click.option("--start-timeout", type=Seconds(), help="How long it may take to become ready."),
    click.option("--stop-grace", type=Seconds(), help="Between SIGTERM and SIGKILL."),
    click.option("--memory", metavar="SIZE", help="Limit of a task, such as 128Mi."),
    click.option("--cpu", metavar="SHARE", help="Limit of a task, such as 100m for a tenth of a core."),
)


def deploy_options(function: F) -> F:
    """Add all of them to a command."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
