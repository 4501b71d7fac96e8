"""doctor: what is wrong with the machine or the agent, and the command that mends it."""

from pathlib import Path

import click
import msgspec

from paas.cli import output
from paas.cli.client import UNREACHABLE, decode
from paas.cli.problems import FAILED, Problem
from paas.cli.session import Session, verb
from paas.cli.views import Check, Diagnosis

USUAL_CONFIG = Path("/etc/paas/config.toml")
SYSTEMD_RUNS = Path("/run/systemd/system")
UNIT = Path("/etc/systemd/system/paas.service")


@click.command("doctor")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"The agent's configuration.  [default: {USUAL_CONFIG}, if it is there]",
)
@verb
def doctor_command(session: Session, config: Path | None) -> None:
    """Look for what is wrong, and name the command that mends it. Also when no agent runs."""
    checks = [*_of_config(config), *_of_agent(session)]
    ok = all(check.ok for check in checks)
    if session.as_json:
        output.document(msgspec.json.encode(Diagnosis(ok=ok, checks=checks)))
    else:
        _print(checks)
    if not ok:
        click.get_current_context().exit(FAILED)


def _of_config(path: Path | None) -> list[Check]:
    from paas import config  # noqa: PLC0415 - no other verb reads it
    from paas.core.errors import PaasError  # noqa: PLC0415 - likewise

    if path is None and not USUAL_CONFIG.exists():
        return []
    path = path or USUAL_CONFIG
    try:
        config.load(path)
    except PaasError as error:
        return [
            Check(name="configuration", ok=False, detail=error.message, fix=error.hint or f"editor {path}")
        ]
    return [Check(name="configuration", ok=True, detail=str(path))]


def _of_agent(session: Session) -> list[Check]:
    try:
        diagnosis = decode(session.client.get("/api/v1/doctor"), Diagnosis)
    except Problem as problem:
        fix = problem.hint
        if problem.code == UNREACHABLE:
            fix = "systemctl start paas" if SYSTEMD_RUNS.exists() and UNIT.exists() else "paas serve"
            fix += " (journalctl -u paas says why it ended)" if fix.startswith("systemctl") else ""
        return [Check(name="agent", ok=False, detail=problem.message, fix=fix)]
    return [Check(name="agent", ok=True, detail=f"answers at {session.client.url}"), *diagnosis.checks]


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = click.style("ok   ", fg="green") if check.ok else click.style("wrong", fg="red", bold=True)
        click.echo(f"{mark}  {check.name.ljust(width)}  {output.printable(check.detail)}")
        if check.fix is not None:
            label = "mend it" if not check.ok else "if wanted"
            click.echo(f"{' ' * (width + 9)}{label}: {output.printable(check.fix)}")
