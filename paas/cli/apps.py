"""Which app, and which of its deployments, a verb is about."""

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote

import click
from click.shell_completion import CompletionItem

from paas.cli.client import Client, decode
from paas.cli.problems import Problem
from paas.cli.session import API_URL, api_url
from paas.cli.views import DEFAULT_NAMESPACE, App, AppPage, Deployment, DeploymentPage
from paas.core.records import dataclass

PAGE = 100
COMPLETION_SECONDS = 1.0
LIVE_STATES = frozenset({"queued", "building", "starting", "active", "superseded"})
FRONT_ENVIRONMENTS = ("production", "development")  # whose deployment serves the app's own host


@dataclass(frozen=True, slots=True)
class AppName:
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return f"/api/v1/apps/{quote(self.namespace, safe='')}/{quote(self.name, safe='')}"

    def __str__(self) -> str:
        return self.name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{self.name}"


class AppNameType(click.ParamType[AppName]):
    """NAME or NAMESPACE/NAME; completes with the apps that are there."""

    name = "app"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> AppName:
        if isinstance(value, AppName):
            return value
        namespace, slash, name = str(value).partition("/")
        if not slash:
            namespace, name = DEFAULT_NAMESPACE, namespace
        if not namespace or not name or "/" in name:
            self.fail(f"{value} is not NAME or NAMESPACE/NAME", param, ctx)
        return AppName(namespace, name)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del param
        client = Client(api_url(ctx.meta.get(API_URL)))
        try:
            raw = client.call("GET", "/api/v1/apps", query={"page_size": PAGE}, timeout=COMPLETION_SECONDS)
            names = [app.title for app in decode(raw, AppPage).data]
        except Problem:
            return []  # a shell that completes is no place for an error
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


APP = AppNameType()
app_argument = click.argument("name", metavar="APP", type=APP)


def find(client: Client, name: AppName) -> App:
    return decode(find_raw(client, name), App)


def find_raw(client: Client, name: AppName) -> bytes:
    """Read an app as the API writes it. Raises Problem, with what to do, if there is none."""
    try:
        return client.get(name.path)
    except Problem as problem:
        if problem.status == HTTPStatus.NOT_FOUND and problem.hint is None:
            problem.hint = "`paas ps` lists the apps"
        raise


def all_apps(client: Client) -> Iterator[bytes]:
    """Yield the pages of the list of apps, by name."""
    return client.pages("/api/v1/apps", {"sort_by": "name", "sort_order": "asc"})


def deployments(client: Client, app: App) -> Iterator[Deployment]:
    """Yield an app's deployments, newest first."""
    token: str | None = None
    while True:
        raw = client.get(f"/api/v1/apps/{app.id}/deployments", {"page_size": PAGE, "page_token": token})
        page = decode(raw, DeploymentPage)
        yield from page.deployments
        token = page.next_page_token
        if token is None:
            return


def deployment_id(client: Client, app: App) -> str:
    """Choose the deployment that serves the app, else the newest. Raises Problem if there is none."""
    if app.current is not None:
        return app.current.deployment_id
    newest = newest_id(client, app)
    if newest is None:
        raise Problem(
            f"{app.title} has no deployment yet",
            hint=f"paas deploy PATH --name {app.name}"
            + ("" if app.namespace == DEFAULT_NAMESPACE else f" --namespace {app.namespace}"),
        )
    return newest


def newest_id(client: Client, app: App) -> str | None:
    newest = next(deployments(client, app), None)
    return None if newest is None else newest.id


def stopped_deployment_id(client: Client, app: App) -> str | None:
    """Find the newest deployment that was stopped by hand: production's before development's."""
    stopped = [deployment for deployment in deployments(client, app) if deployment.state == "stopped"]
    for environment in FRONT_ENVIRONMENTS:
        for deployment in stopped:
            if deployment.environment_slug == environment:
                return deployment.id
    return stopped[0].id if stopped else None
