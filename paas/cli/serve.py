"""serve: run the agent itself, here, until a signal."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from paas.cli.problems import Problem
from paas.core.records import replace

if TYPE_CHECKING:
    from paas.config import Config


class ServeOptions(TypedDict):
    config: Path | None
    state: Path | None
    api: str | None
    proxy: str | None
    domain: str | None


@click.command("serve")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration (TOML).")
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="DIR", help="Where the agent keeps its state."
)
@click.option("--api", metavar="HOST:PORT", help="Where its API listens; port 0 takes a free one.")
@click.option("--proxy", metavar="HOST:PORT", help="Where traffic to the apps comes in.")
@click.option("--domain", metavar="NAME", help="The domain below which the apps have their hosts.")
def serve_command(**options: Unpack[ServeOptions]) -> None:
    """Run the agent until SIGTERM or Ctrl-C. Apps that run then go on running."""
    from paas import agent  # noqa: PLC0415 - no other verb should pay for the agent
    from paas import config as configuration  # noqa: PLC0415 - likewise
    from paas.core.errors import PaasError  # noqa: PLC0415 - likewise

    try:
        config = configuration.load(options["config"]) if options["config"] else configuration.Config()
        config = _overlaid(config, options)
    except PaasError as error:
        raise Problem(error.message, hint=error.hint) from error
    sys.exit(agent.main(config))


def _overlaid(config: "Config", options: ServeOptions) -> "Config":
    """Lay the options over the file: what the command line says wins. Raises BadConfig."""
    from paas.config import split_address  # noqa: PLC0415 - likewise

    for address in (options["api"], options["proxy"]):
        if address is not None:
            split_address(address)
    proxy = replace(
        config.proxy,
        listen=options["proxy"] or config.proxy.listen,
        domain=options["domain"] or config.proxy.domain,
    )
    return replace(
        config,
        state=str(options["state"] or config.state),
        api=replace(config.api, listen=options["api"] or config.api.listen),
        proxy=proxy,
    )
