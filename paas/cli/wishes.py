"""What a new version is to be: what its manifest says, and over that what was given as options."""

from collections.abc import Mapping

import click

from paas.cli.deploy_options import DeployOptions
from paas.cli.problems import Problem
from paas.manifest import Manifest

PRODUCTION = "production"


def environment(manifest: Manifest | None, options: DeployOptions) -> str | None:
    """Say which environment is meant; None: the agent's usual one."""
    if options["prod"] and options["environment"] not in {None, PRODUCTION}:
        raise click.UsageError(f"give --prod or --environment {options['environment']}, one of them")
    given = PRODUCTION if options["prod"] else options["environment"]
    return given or (None if manifest is None else manifest.environment)


def spec(manifest: Manifest | None, options: DeployOptions) -> dict[str, object]:
    """Say in the API's words what is wanted; the app's defaults and the API's supply the rest."""
    said = {} if manifest is None else manifest.spec
    return _over(said, _given(options))


def variables(manifest: Manifest | None, options: DeployOptions) -> dict[str, str]:
    said = {} if manifest is None else manifest.env
    return {**said, **dict(options["env"])}


def build_option(options: DeployOptions) -> str:
    """Name the first option that only a build understands; empty if none was given."""
    given = {
        "--dockerfile": options["dockerfile"],
        "--target": options["target"],
        "--build-arg": options["build_arg"],
        "--no-cache": options["no_cache"],
    }
    return next((name for name, value in given.items() if value), "")


def refuse_without_git(options: DeployOptions) -> None:
    """Raise UsageError for what only a repository has."""
    for name, value in (("--ref", options["ref"]), ("--path", options["git_path"])):
        if value is not None:
            raise click.UsageError(f"{name} is for a repository: give --git too")


def refuse_with_git(options: DeployOptions) -> None:
    """Raise for what a build that is deployed by the agent cannot be given."""
    if options["env"]:
        raise Problem(
            "cannot give variables to what is fetched: they would be kept with the build",
            hint="write them into paas.toml, or set them for the app",
        )


def _over(said: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Lay options over the manifest, table by table; a list takes the place of a list."""
    merged = dict(said)
    for key, value in given.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = {**old, **value} if both else value  # type: ignore[dict-item]  # `both` says so
    return merged


def _given(options: DeployOptions) -> dict[str, object]:
    resources = {"memory": options["memory"], "cpu": options["cpu"]}
    given = {
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
