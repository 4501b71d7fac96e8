"""People at a terminal: one file a group of verbs, over HTTP only; `serve` alone runs the agent here."""

from paas.cli.root import main

__all__ = ["main"]
