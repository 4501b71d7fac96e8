"""Ports for native tasks: free ones only, in turn, and elsewhere in each run of the agent."""

import socket
from collections.abc import Iterator

import pytest

from paas.core.errors import StartFailed
from paas.engine.ports import PortPool
from tests.harness import own_ports


@pytest.fixture
def first() -> Iterator[int]:
    """Lend the first of some neighbouring ports that nobody has."""
    with own_ports() as (first, _):
        yield first


def test_ports_are_handed_out_in_turn_and_not_again_at_once(first: int) -> None:
    pool = PortPool(first, first + 3, run=0)

    taken = [pool.take(None), pool.take(None)]
    pool.give_back(taken[0])

    assert taken == [first, first + 1]
    assert pool.take(None) == first + 2


def test_each_run_of_the_agent_begins_elsewhere() -> None:
    begun = {PortPool(20000, 29999, run=run).take(None) // 100 for run in range(4000, 4020)}

    assert len(begun) == 20


def test_a_port_in_use_is_passed_over_also_when_wanted(first: int) -> None:
    last = first + 3
    pool = PortPool(first, last, run=0)
    pool.note(first + 1)

    with socket.create_server(("127.0.0.1", first)):
        assert pool.take(first) == first + 2
        assert pool.take(last) == last


def test_no_free_port_is_a_failed_start(first: int) -> None:
    pool = PortPool(first, first, run=7)
    pool.take(None)

    with pytest.raises(StartFailed, match=f"no port from {first} to {first} is free"):
        pool.take(None)
