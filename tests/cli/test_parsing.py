"""The command line itself: what is taken and what is refused before anything is asked."""

import pytest
from click.testing import CliRunner

from paas import __version__
from paas.cli.root import VERBS, paas


@pytest.mark.parametrize("arguments", [["-h"], *([verb, "--help"] for verb in VERBS)])
def test_every_verb_explains_itself(arguments: list[str]) -> None:
    result = CliRunner().invoke(paas, arguments)

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_version() -> None:
    assert CliRunner().invoke(paas, ["--version"], prog_name="paas").output == f"paas {__version__}\n"


def test_mistyped_verb_names_the_nearest() -> None:
    result = CliRunner().invoke(paas, ["deplyo"])

    assert result.exit_code == 2
    assert "did you mean deploy?" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "/nowhere/at-all"], "does not exist"),
        (["deploy", "/", "-e", "COLOUR"], "COLOUR is not a variable"),
        (["deploy", "/", "--idle-timeout", "soon"], "soon is not a length of time"),
        (["scale", "hello", "101"], "101 is more than 100 tasks"),
        (["scale", "hello", "worker=all"], "all is not a number of tasks"),
        (["scale", "hello", "-1"], "-1"),
        (["wake", "a/b/c"], "a/b/c is not NAME or NAMESPACE/NAME"),
        (["wake", "/b"], "/b is not NAME or NAMESPACE/NAME"),
        (["logs", "hello", "--since", "yesterday"], "yesterday is neither a time"),
        (["logs", "hello", "--since", "999999d"], "999999d is neither a time"),
        (["logs", "hello", "-n", "10001"], "10001"),
        (["completion", "fish"], "fish"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(paas, arguments)

    assert result.exit_code == 2
    assert words in result.output
