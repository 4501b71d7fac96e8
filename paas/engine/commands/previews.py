"""Give each pull request an environment of its own, and take it away with the pull request."""

from paas.core.builds import Rollout
from paas.core.errors import Conflict
from paas.core.ids import DeploymentId
from paas.core.records import dataclass, field
from paas.core.source_config import Origin, Outcome, SourceConfig
from paas.engine.commands.builds import BuildCommands
from paas.engine.commands.environments import EnvironmentCommands
from paas.engine.commands.from_source import queue
from paas.engine.commands.versions import existing_app
from paas.github.deliveries import Proposed, Settled
from paas.store import deliveries, environments, reports
from paas.store.database import Tx


def slug_of(number: int) -> str:
    return f"pr-{number}"


@dataclass(slots=True)
class Previews:
    """Works in the transaction of a delivery; `ended` are deployments to be poked after it."""

    builds: BuildCommands
    environments: EnvironmentCommands
    ended: set[DeploymentId] = field(default_factory=set)

    async def propose(self, tx: Tx, config: SourceConfig, news: Proposed) -> Outcome:
        """Build the last commit of a pull request for its environment, which is made if it is not there.

        What comes out of a fork is not built: whoever may open a pull request could read the app's variables.
        """
        slug = slug_of(news.number)
        if not config.previews:
            return _nothing(config, "pull requests are left alone: previews are off")
        if news.is_foreign:
            return _nothing(config, f"pull request {news.number} comes from a fork: it is not built")
        environment = await environments.get(tx, config.app_id, slug)
        if environment is None and news.is_update and await deliveries.have_ended(tx, config.app_id, slug):
            # The last push before it was closed may come after that, and nobody would close it again.
            return _nothing(config, f"pull request {news.number} was closed, and not opened again")
        if environment is None:
            try:
                app = await existing_app(tx, config.app_id)
                await self.environments.add(tx, app, slug, news.number)
            except Conflict as error:
                return _nothing(config, error.message)
        elif environment.pull_request != news.number:
            return _nothing(config, f"the environment {slug} was made by hand")
        build = await queue(
            tx,
            self.builds,
            config,
            news.commit,
            Rollout(environment=slug, cause="pull_request", is_preview=True),
            Origin(branch=news.branch, pull_request=news.number),
            replaces=True,
        )
        await reports.add_commit(tx, build, news.commit)
        await reports.add_preview(tx, config.app_id, news.number)
        return Outcome(
            app_id=config.app_id,
            action="build",
            reason=f"commit {news.commit} of pull request {news.number} is built and deployed to {slug}",
            environment=slug,
            build_id=build.id,
        )

    async def settle(self, tx: Tx, config: SourceConfig, news: Settled) -> Outcome:
        """Delete the environment of a pull request with all that runs in it or is built for it."""
        slug = slug_of(news.number)
        environment = await environments.get(tx, config.app_id, slug)
        if environment is None or environment.pull_request != news.number:
            return _nothing(config, f"pull request {news.number} has no environment")
        app = await existing_app(tx, config.app_id)
        self.ended |= await self.environments.remove(tx, app, slug)
        return Outcome(
            app_id=config.app_id,
            action="delete_environment",
            reason=f"pull request {news.number} was closed: {slug} is deleted",
            environment=slug,
        )


def _nothing(config: SourceConfig, reason: str) -> Outcome:
    return Outcome(app_id=config.app_id, action="none", reason=reason)
