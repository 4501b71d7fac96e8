"""The router alone: counts, waiters, hosts. Pure functions on one thread, so exact."""

import sys

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Refusal
from paas.router import Router
from paas.routes import Entry, Rules, Upstream
from paas.tallies import KEPT_WAKES, WakeLog

ONE, TWO = DeploymentId("one"), DeploymentId("two")
APP = AppId("app")


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Rig:
    def __init__(self) -> None:
        self.clock = Clock()
        self.pokes: list[DeploymentId] = []
        self.router = Router(self.clock, self.pokes.append)

    def routed(self, key: DeploymentId = ONE, *hosts: str) -> Entry:
        self.router.route(key, APP, hosts or (f"{key}.localhost",), Rules())
        entry = self.router.resolve((hosts or (f"{key}.localhost",))[0])
        assert entry is not None
        return entry

    def publish(self, key: DeploymentId, task: str) -> None:
        self.router.publish(key, TaskId(task), "127.0.0.1", 1)


def test_the_task_with_the_least_in_flight_is_chosen() -> None:
    rig = Rig()
    entry = rig.routed()
    for task in ("a", "b", "c"):
        rig.publish(ONE, task)

    taken = [rig.router.take(entry) for _ in range(6)]

    assert sorted(upstream.task_id for upstream in taken if upstream) == ["a", "a", "b", "b", "c", "c"]
    assert rig.router.demand(ONE).in_flight == 6


def test_tasks_with_equally_much_in_flight_take_turns() -> None:
    rig = Rig()
    entry = rig.routed()
    for task in ("a", "b", "c"):
        rig.publish(ONE, task)
    chosen = []

    for _ in range(6):
        upstream = rig.router.take(entry)
        assert upstream is not None
        chosen.append(upstream.task_id)
        rig.router.give_back(upstream)

    assert sorted(chosen) == ["a", "a", "b", "b", "c", "c"]


def test_all_who_wait_are_resumed_by_one_publish_and_counted() -> None:
    rig = Rig()
    entry = rig.routed()
    resumed: list[Upstream | Refusal] = []
    waiters = [rig.router.wait(entry, resumed.append) for _ in range(3)]
    waiters[1].cancel()

    rig.clock.time += 2
    rig.publish(ONE, "a")

    assert len(resumed) == 2
    assert rig.router.published(ONE) == {TaskId("a"): 2}
    assert rig.router.demand(ONE).waiting == 0
    stats = rig.router.wake_stats(entry)
    assert stats is not None
    assert (stats.count, stats.last) == (1, 2.0)


def test_a_waiter_that_was_the_last_leaves_no_demand() -> None:
    rig = Rig()
    waiter = rig.router.wait(rig.routed(), lambda _: None)
    assert rig.router.demand(ONE).waiting == 1

    waiter.cancel()
    waiter.cancel()

    assert rig.router.demand(ONE).waiting == 0


def test_a_refusal_answers_those_who_wait_and_stays_until_it_ends() -> None:
    rig = Rig()
    entry = rig.routed()
    resumed: list[Upstream | Refusal] = []
    rig.router.wait(entry, resumed.append)
    refusal = Refusal(reason="no", until=None)

    rig.router.refuse(ONE, refusal)

    assert resumed == [refusal]
    assert entry.refusal is refusal
    rig.publish(ONE, "a")
    assert entry.refusal is None


def test_a_busy_task_is_not_withdrawn_for_being_idle() -> None:
    rig = Rig()
    entry = rig.routed()
    rig.publish(ONE, "a")
    upstream = rig.router.take(entry)
    assert upstream is not None

    assert not rig.router.withdraw(ONE, TaskId("a"), only_if_idle=True)
    assert rig.router.published(ONE)
    rig.router.give_back(upstream)
    assert rig.router.withdraw(ONE, TaskId("a"), only_if_idle=True)
    assert rig.router.take(entry) is None


def test_the_last_request_of_a_withdrawn_task_tells_that_it_is_drained() -> None:
    rig = Rig()
    entry = rig.routed()
    rig.publish(ONE, "a")
    taken = [rig.router.take(entry) for _ in range(2)]
    used_at = entry.last_used
    rig.clock.time += 5
    rig.router.withdraw(ONE, TaskId("a"))
    drained: list[bool] = []
    assert rig.router.when_drained(TaskId("a"), lambda: drained.append(True))

    for upstream in taken:
        assert upstream is not None
        assert drained == []
        rig.router.give_back(upstream)

    assert drained == [True]
    assert entry.last_used == used_at, "the end of a drained request is no use"
    assert not rig.router.when_drained(TaskId("a"), lambda: None)


def test_a_request_that_does_not_count_leaves_no_use() -> None:
    rig = Rig()
    entry = rig.routed()
    rig.publish(ONE, "a")
    rig.clock.time += 5

    upstream = rig.router.take(entry, counts_as_use=False)
    assert upstream is not None
    rig.router.give_back(upstream, counts_as_use=False)

    assert rig.router.demand(ONE).last_used == 1000.0


def test_the_end_of_the_last_request_pokes_if_asked() -> None:
    rig = Rig()
    entry = rig.routed()
    rig.publish(ONE, "a")
    taken = [rig.router.take(entry) for _ in range(2)]
    rig.router.poke_when_idle(ONE)
    rig.pokes.clear()

    for upstream in taken:
        assert upstream is not None
        rig.router.give_back(upstream)

    assert rig.pokes == [ONE]


def test_a_host_changes_hands_without_a_moment_of_nobody() -> None:
    rig = Rig()
    old = rig.routed(ONE, "app.localhost", "one.localhost")
    rig.publish(ONE, "a")
    assert rig.router.take(old) is not None

    rig.router.route(ONE, APP, ("one.localhost",), Rules())
    assert rig.router.resolve("app.localhost") is old
    new = rig.routed(TWO, "app.localhost", "two.localhost")

    assert rig.router.resolve("app.localhost") is new
    assert rig.router.resolve("one.localhost") is old
    assert old.last_used == 0.0, "what it served for the host it lost is no use of its own"
    rig.router.unroute(TWO)
    assert rig.router.resolve("app.localhost") is None


def test_removing_a_deployment_refuses_its_waiters_and_withdraws_its_tasks() -> None:
    rig = Rig()
    entry = rig.routed()
    withdrawn: list[str] = []
    rig.router.on_withdrawn(lambda upstream: withdrawn.append(upstream.task_id))
    rig.publish(ONE, "a")
    resumed: list[Upstream | Refusal] = []
    rig.router.wait(entry, resumed.append)

    rig.router.unroute(ONE)

    assert withdrawn == ["a"]
    assert isinstance(resumed[0], Refusal)
    assert rig.router.resolve("one.localhost") is None
    rig.router.unroute(ONE)


def test_wakes_are_split_into_phases_from_the_first_waiter_on() -> None:
    rig = Rig()
    entry = rig.routed()
    rig.router.wait(entry, lambda _: None)
    rig.clock.time += 1
    submitted_at = rig.clock.time
    rig.clock.time += 2

    rig.router.publish(
        ONE, TaskId("a"), "127.0.0.1", 1, submitted_at=submitted_at, started_at=submitted_at + 0.5
    )
    rig.router.note_first_byte(entry, 0.25)
    rig.router.note_first_byte(entry, 9)

    stats = rig.router.wake_stats(entry)
    assert stats is not None
    phases = stats.phases
    assert [phase.last for phase in (phases.queue, phases.start, phases.ready)] == [1, 0.5, 1.5]
    assert (phases.first_byte.last, phases.first_byte.count) == (0.25, 1)
    assert stats.last == 3


def test_many_wakes_take_no_more_room_than_the_last_few() -> None:
    log = WakeLog()

    for number in range(1000):
        log.note(0.0, None, None, float(number))

    assert (log.count, log.stats().p50, log.stats().last) == (1000, 1000 - KEPT_WAKES / 2, 999)
    assert log.stats().phases.ready.total == sum(range(1000))
    assert sum(map(sys.getsizeof, (log, log._ring, log._totals))) < 1024


def test_a_deployment_that_keeps_a_host_is_used_as_before() -> None:
    rig = Rig()
    development = rig.routed(ONE, "app.localhost", "app-development.localhost", "preview.localhost")
    rig.publish(ONE, "a")
    used_at = development.last_used

    rig.routed(TWO, "app.localhost", "app-production.localhost", "other.localhost")

    assert not development.demoted
    assert development.last_used == used_at > 0
    assert rig.router.resolve("app-development.localhost") is development
