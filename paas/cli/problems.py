"""What ends a command early: a sentence for people or the API's own JSON, and an exit code."""

import os
from typing import IO

import click

FAILED = 1
INTERRUPTED = 130  # what shells answer for a program that SIGINT ended


class Problem(click.ClickException):
    """The command cannot go on. `status` and `code` are the API's, when it was the API that refused."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str = "CLI",
        status: int | None = None,
        exit_code: int = FAILED,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        self.status = status
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance
        self.as_json = False

    def show(self, file: IO[str] | None = None) -> None:
        del file
        if self.as_json:
            click.echo(self._json(), err=True)
            return
        color = colour_choice()
        label = "Error" if self.exit_code == FAILED else "Interrupted"
        click.echo(f"{_label(label)} {self.message}", err=True, color=color)
        if self.hint is not None:
            click.echo(f"{_label('Hint')} {self.hint}", err=True, color=color)

    def _json(self) -> str:
        import json  # noqa: PLC0415 - on the way out only

        fields = {"error": self.message, "code": self.code, "hint": self.hint}
        return json.dumps({key: value for key, value in fields.items() if value is not None})


def colour_choice() -> bool | None:
    """Say False where NO_COLOR forbids colours (https://no-color.org), else None: terminals only."""
    return False if os.environ.get("NO_COLOR") else None


def _label(word: str) -> str:
    return click.style(f"{word}:", fg="red" if word == "Error" else "yellow", bold=True)
