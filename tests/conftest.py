"""Hooks and fixtures for all tests."""

import os
import signal
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import docker_engine
from tests.harness import Agent, running
from tests.requirements import STRICT


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    """Run a real agent with a state directory of its own; nothing of it is left afterwards."""
    async with running() as agent:
        yield agent


def pytest_configure(config: pytest.Config) -> None:
    # What is ignored stays so in every program that a test starts, and shells ignore it for whatever
    # runs in their background; a handler does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _let_examples_take_their_time()
    _name_engine(config)


def _let_examples_take_their_time() -> None:
    """Set no deadline for an example of Hypothesis: the 200 ms of its default are the machine's to give."""
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


def _name_engine(config: pytest.Config) -> None:
    """Name the folder of the engine that the workers of this run may start; they inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ[docker_engine.RUN] = str(docker_engine.new_run())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        docker_engine.stop_engine(Path(os.environ[docker_engine.RUN]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip, by whatever way, into a failure where leaving out is forbidden."""
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out, which PAAS_TEST_STRICT forbids: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"left out, which PAAS_TEST_STRICT forbids: {report.longreprtext}"
    return report
