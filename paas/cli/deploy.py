"""deploy: a program becomes a new version of an app, and the steps are shown."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TypedDict, Unpack

import click

from paas.cli import apps, building, output, packing, rollout
from paas.cli.apps import AppName
from paas.cli.client import Client, decode
from paas.cli.packing import Package
from paas.cli.problems import Problem
from paas.cli.session import Session, verb
from paas.cli.views import DEFAULT_NAMESPACE, App, Artifact, Deployment

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
    pull: bool
    volume: tuple[dict[str, object], ...]
    dockerfile: str | None
    target: str | None
    build_arg: tuple[tuple[str, str], ...]
    no_cache: bool
    native: bool
    port: int | None
    app_name: str | None
    namespace: str
    environment: str | None
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


@click.command("deploy")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--image", metavar="REF", help="Run this container image; then there is no PATH.")
@click.option("--pull", is_flag=True, help="Ask the registry for the image even if it is here.")
@click.option(
    "--volume", type=Mount(), multiple=True, metavar="V", help="NAME:/path[:ro|:shared], of a container."
)
@click.option("--dockerfile", metavar="FILE", help="Build this one of the folder.  [default: Dockerfile]")
@click.option("--target", metavar="STAGE", help="Build up to this stage of the Dockerfile.")
@click.option("--build-arg", type=Variable(), multiple=True, metavar="K=V", help="ARG of the Dockerfile.")
@click.option("--no-cache", is_flag=True, help="Build every step anew.")
@click.option("--native", is_flag=True, help="Run the folder's program, although it has a Dockerfile.")
@click.option("--port", type=int, metavar="N", help="Where the app listens; also told to it as PORT.")
@click.option("--name", "app_name", help="The app.  [default: after the file or folder]")
@click.option("--namespace", default=DEFAULT_NAMESPACE, show_default=True, help="The app's namespace.")
@click.option("--environment", help="production, development or any other.  [default: development]")
@click.option("-e", "--env", type=Variable(), multiple=True, metavar="K=V", help="A variable; repeatable.")
@click.option("--replicas", type=int, metavar="N", help="Tasks when it is awake, 0 to 100.")
@click.option("--health-path", metavar="PATH", help="Ready when this path answers 2xx or 3xx.")
@click.option("--tcp", is_flag=True, help="It speaks no HTTP: a port of the proxy's leads to it.")
@click.option("--proxy-port", type=int, metavar="N", help="That port; --tcp goes without saying.")
@click.option("--idle-timeout", type=Seconds(), help="Sleep after so long without use: 90, 5m.")
@click.option("--freeze-after", type=Seconds(), help="Freeze it before that, after so long without use.")
@click.option("--no-sleep", is_flag=True, help="Never sleep (cold_start_enabled: false).")
@click.option("--max-runtime", type=Seconds(), help="End a task after so long.")
@click.option("--start-timeout", type=Seconds(), help="How long it may take to become ready.")
@click.option("--stop-grace", type=Seconds(), help="Between SIGTERM and SIGKILL.")
@click.option("--memory", metavar="SIZE", help="Limit of a task, such as 128Mi.")
@click.option("--cpu", metavar="SHARE", help="Limit of a task, such as 100m for a tenth of a core.")
@verb
def deploy_command(session: Session, path: Path | None, **options: Unpack[DeployOptions]) -> None:
    """Deploy PATH: an executable file, an archive, or a folder with a Dockerfile, a Procfile or a program.

    With --image instead of PATH, a container of that image.

    Creates the app when it is new. Follows until it is ready or has failed; Ctrl-C detaches and
    leaves it to the agent. The last line is the URL.
    """
    image = options["image"]
    if (path is None) == (image is None):
        raise click.UsageError("give PATH or --image, one of them")
    wish = None if path is None else _build_wish(path, options)
    if wish is None and _build_option(options):
        raise click.UsageError(f"{_build_option(options)} is for what is built: a folder with a Dockerfile")
    name = AppName(options["namespace"], options["app_name"] or _default_name(path, image))
    app, source = _source(session, name, path, wish, image)
    raw = session.client.call("POST", f"/api/v1/apps/{app.id}/deployments", body=source | _wishes(options))
    rollout.follow(session, str(name), decode(raw, Deployment))


def _source(
    session: Session, name: AppName, path: Path | None, wish: building.Wish | None, image: str | None
) -> tuple[App, dict[str, object]]:
    """Make the app if it is new, and have at the agent what it is to run."""
    if wish is not None:
        app = _existing_or_new(session, name)
        return app, {"image": building.build(session, app, wish, _progress).image_id}
    if path is None:
        return _existing_or_new(session, name), {"image": image}
    with packing.packed(path) as package:
        app = _existing_or_new(session, name)
        return app, {"artifact_id": _upload(session, package)}


def _build_wish(path: Path, options: DeployOptions) -> building.Wish | None:
    """Say what is to be built of a path; None if it is no folder with a Dockerfile."""
    if options["native"] or not path.is_dir() or not building.is_wanted(path, options["dockerfile"]):
        return None
    return building.Wish(
        folder=path,
        dockerfile=options["dockerfile"] or building.DOCKERFILE,
        target=options["target"],
        args=options["build_arg"],
        no_cache=options["no_cache"],
    )


def _build_option(options: DeployOptions) -> str:
    """Name the first option that only a build understands; empty if none was given."""
    given = {
        "--dockerfile": options["dockerfile"],
        "--target": options["target"],
        "--build-arg": options["build_arg"],
        "--no-cache": options["no_cache"],
    }
    return next((name for name, value in given.items() if value), "")


def _default_name(path: Path | None, image: str | None) -> str:
    """Name the app after the file or folder, or after the image without registry, tag and digest."""
    if path is not None:
        return packing.app_name(path)
    return packing.valid_name((image or "").partition("@")[0].rpartition("/")[2].partition(":")[0])


def _wishes(options: DeployOptions) -> dict[str, object]:
    """Say in the API's words what was given; the app's defaults and the API's supply the rest."""
    resources = {"memory": options["memory"], "cpu": options["cpu"]}
    given = {
        "environment": options["environment"],
        "env": dict(options["env"]) or None,
        "replicas": options["replicas"],
        "networking": _networking(options) or None,
        "pull": "always" if options["pull"] else None,
        "volumes": list(options["volume"]) or None,
        "idle_timeout_secs": options["idle_timeout"],
        "idle": {"freeze_after_secs": options["freeze_after"]} if options["freeze_after"] else None,
        "cold_start_enabled": False if options["no_sleep"] else None,
        "max_runtime_secs": options["max_runtime"],
        "start_timeout_secs": options["start_timeout"],
        "stop_grace_secs": options["stop_grace"],
        "resources": {key: value for key, value in resources.items() if value is not None} or None,
    }
    return {key: value for key, value in given.items() if value is not None}


def _networking(options: DeployOptions) -> dict[str, object]:
    given = {
        "health_path": options["health_path"] or None,
        "port": options["port"],
        "protocol": "tcp" if options["tcp"] or options["proxy_port"] is not None else None,
        "proxy_port": options["proxy_port"],
    }
    return {key: value for key, value in given.items() if value is not None}


def _existing_or_new(session: Session, name: AppName) -> App:
    try:
        return apps.find(session.client, name)
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
    body = {"name": name.name, "namespace": name.namespace}
    try:
        app = decode(session.client.call("POST", "/api/v1/apps", body=body), App)
    except Problem as problem:
        if problem.status != HTTPStatus.CONFLICT:
            raise
        return _made_meanwhile(session.client, name, problem)
    if not session.as_json:
        output.step(f"Created {name}")
    return app


def _made_meanwhile(client: Client, name: AppName, conflict: Problem) -> App:
    """Take the app that another deploy made a moment ago; else the conflict is with another's name."""
    try:
        return apps.find(client, name)
    except Problem:
        raise conflict from None


def _upload(session: Session, package: Package) -> str:
    body = {"name": package.name, "content_type": package.content_type}
    artifact = decode(session.client.call("POST", "/api/v1/artifacts", body=body), Artifact)
    if not session.as_json:
        output.step(f"Uploading {package.name}, {output.size(package.size_bytes)}")
    with _progress(session, package.size_bytes) as sent:
        session.client.upload(
            f"/api/v1/artifacts/{artifact.id}/upload", package.file, package.size_bytes, sent
        )
    return artifact.id


@contextmanager
def _progress(session: Session, size_bytes: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar while bytes leave, for people at a terminal only."""
    if session.as_json or not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console  # noqa: PLC0415 - 60 ms that only a bar is worth
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("upload", total=size_bytes)
        yield lambda count: progress.advance(task, count)


def _ignore(count: int) -> None:
    del count
