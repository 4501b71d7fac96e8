"""Hooks and fixtures for all tests."""

from collections.abc import AsyncIterator, Generator

import pytest

from tests.harness import Agent, running
from tests.requirements import STRICT


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    """Run a real agent with a state directory of its own; nothing of it is left afterwards."""
    async with running() as agent:
        yield agent


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
