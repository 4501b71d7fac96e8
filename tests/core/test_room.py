"""Starts that the host has no room for: who waits, who is stopped, who is refused."""

from hypothesis import given
from hypothesis import strategies as st

from paas.core.actions import CreateTasks, EndDeployment, Evict, StartTask, StopTask
from paas.core.ids import DeploymentId
from paas.core.plan import plan
from paas.core.records import replace
from paas.core.room import Idler, Room, admit
from paas.core.snapshot import Snapshot
from paas.core.spec import Idle, Spec
from paas.core.states import DeploymentState, TaskState
from tests.core.records import serving, task

PENDING = TaskState.PENDING
MIB = 1024**2
OLDEST, OLD = (
    Idler(deployment_id=DeploymentId("oldest"), memory_bytes=60 * MIB),
    Idler(deployment_id=DeploymentId("old"), memory_bytes=60 * MIB),
)


def room(spare_mib: int, *idlers: Idler, slots: int = 9, coming_mib: int = 0) -> Room:
    return Room(
        slots=slots,
        task_bytes=100 * MIB,
        spare_bytes=spare_mib * MIB,
        coming_bytes=coming_mib * MIB,
        idlers=idlers,
    )


def waking(room: Room, *, replicas: int = 1) -> Snapshot:
    ahead = (task(str(number), PENDING) for number in range(replicas))
    return replace(serving(*ahead, waiting=1, spec=Spec(replicas=replicas)), room=room)


def test_with_room_it_starts() -> None:
    decided = plan(waking(room(100)), 1000)

    assert decided.actions == (StartTask(task("0", PENDING)),)
    assert decided.refusal is None
    assert not decided.queues


def test_below_the_reserve_the_longest_idle_are_stopped_as_many_as_it_takes() -> None:
    one, two = plan(waking(room(50, OLDEST, OLD)), 1000), plan(waking(room(-20, OLDEST, OLD)), 1000)

    assert one.actions == (Evict(OLDEST.deployment_id),)
    assert two.actions == (Evict(OLDEST.deployment_id), Evict(OLD.deployment_id))
    assert one.refusal is None
    assert one.look_again_at is not None
    assert one.look_again_at <= 1000.1


def test_while_memory_is_being_freed_nobody_else_is_stopped_and_the_request_waits() -> None:
    decided = plan(waking(room(50, OLD, coming_mib=60)), 1000)

    assert decided.actions == ()
    assert decided.refusal is None
    assert decided.look_again_at is not None


def test_with_nobody_left_to_stop_it_is_refused_for_a_moment() -> None:
    decided = plan(waking(room(50)), 1000)

    assert decided.actions == ()
    assert decided.refusal is not None
    assert "not enough memory" in decided.refusal.reason
    assert decided.refusal.until == decided.look_again_at == 1002


def test_what_fits_starts_and_serves() -> None:
    decided = plan(waking(room(250, OLDEST), replicas=3), 1000)

    assert decided.actions == (StartTask(task("0", PENDING)), StartTask(task("1", PENDING)))


def test_more_replicas_than_fit_are_no_reason_to_refuse_requests() -> None:
    grown = serving(task("1"), task("2", PENDING), last_used=1000, spec=Spec(replicas=2))

    decided = plan(replace(grown, room=room(50)), 1001)

    assert decided.actions == ()
    assert decided.refusal is None
    assert decided.look_again_at == 1003


def test_a_deploy_without_room_fails_with_the_reason() -> None:
    new = waking(room(50))
    new = replace(new, deployment=replace(new.deployment, state=DeploymentState.STARTING))

    (action,) = plan(new, 1000).actions

    assert isinstance(action, EndDeployment)
    assert action.to is DeploymentState.FAILED
    assert "not enough memory" in action.reason


def test_without_a_slot_it_stands_in_line() -> None:
    decided = plan(waking(room(900, slots=0)), 1000)

    assert decided.actions == ()
    assert decided.queues
    assert decided.refusal is None


def test_with_too_few_slots_it_starts_some_and_stands_in_line_for_the_others() -> None:
    decided = plan(waking(room(900, slots=1), replicas=2), 1000)

    assert decided.actions == (StartTask(task("0", PENDING)),)
    assert decided.queues


def test_the_evicted_one_is_stopped_if_it_is_still_idle() -> None:
    idle = replace(serving(task("1"), last_used=1000), evicted_at=1010)

    assert plan(idle, 1010).actions == (
        StopTask(task("1"), "idle, and others need its memory", only_if_idle=True),
        CreateTasks(1),
    )


def test_use_undoes_an_eviction() -> None:
    used = replace(serving(task("1"), last_used=1011), evicted_at=1010)
    in_use = replace(serving(task("1"), last_used=1000, in_flight=1), evicted_at=1010)

    assert plan(used, 1012).actions == ()
    assert plan(in_use, 1012).actions == ()


def test_what_never_sleeps_is_not_evicted() -> None:
    never = serving(task("1"), last_used=1000, spec=Spec(cold_start_enabled=False, idle=Idle()))

    assert plan(replace(never, evicted_at=1010), 1011).actions == ()


@given(
    spare=st.integers(-500, 500),
    coming=st.integers(0, 300),
    slots=st.integers(-2, 5),
    starts=st.integers(0, 5),
    idlers=st.sampled_from([(), (OLD,), (OLDEST, OLD)]),
)
def test_every_start_is_admitted_waits_or_is_refused(
    spare: int, coming: int, slots: int, starts: int, idlers: tuple[Idler, ...]
) -> None:
    there = room(spare, *idlers, slots=slots, coming_mib=coming)

    decided = admit(there, starts)

    assert 0 <= decided.count <= min(starts, max(0, slots))
    assert decided.count * there.task_bytes <= max(0, spare) * MIB
    if starts and not decided.count:
        assert decided.queues or decided.waits or decided.refused is not None
    assert not (decided.evicted and decided.refused)
