"""What comes next: one table of situations, each decided by plan()."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.actions import (
    AbortStart,
    Activate,
    Build,
    CreateTasks,
    EndDeployment,
    PublishTask,
    RecordEnd,
    StartTask,
    StopTask,
)
from paas.core.draft import Plan
from paas.core.live import Demand
from paas.core.model import Instance, Task
from paas.core.plan import on_demand, plan
from paas.core.records import replace
from paas.core.room import ENDLESS
from paas.core.snapshot import Snapshot
from paas.core.spec import Process, Spec
from paas.core.states import DeploymentState, TaskState
from tests.core.records import DEPLOYMENT, SNAPSHOT, serving, task, up

PENDING, STARTING, RUNNING = TaskState.PENDING, TaskState.STARTING, TaskState.RUNNING


def in_state(state: DeploymentState, snapshot: Snapshot = SNAPSHOT) -> Snapshot:
    return replace(snapshot, deployment=replace(snapshot.deployment, state=state))


def failed(name: str, *, ended_at: float, reason: str = "") -> Task:
    """A task that never became ready."""
    return task(name, TaskState.FAILED, crashed=True, ready_at=None, ended_at=ended_at, reason=reason)


def test_a_queued_deployment_waits_for_its_artifact() -> None:
    waiting = replace(in_state(DeploymentState.QUEUED), has_artifact=False)

    assert plan(waiting, 0).actions == ()


def test_a_queued_deployment_with_an_artifact_is_built() -> None:
    assert plan(in_state(DeploymentState.QUEUED), 0).actions == (Build(),)


def test_a_build_that_a_killed_agent_left_is_done_again() -> None:
    assert plan(in_state(DeploymentState.BUILDING), 0).actions == (Build(),)


@pytest.mark.parametrize(
    "state", [DeploymentState.QUEUED, DeploymentState.BUILDING, DeploymentState.STARTING]
)
def test_a_deployment_overtaken_by_a_newer_one_is_cancelled(state: DeploymentState) -> None:
    overtaken = replace(in_state(state), newer_is_current=True)

    (action,) = plan(overtaken, 0).actions
    assert isinstance(action, EndDeployment)
    assert action.to is DeploymentState.CANCELLED


def test_a_new_deployment_gets_all_its_tasks() -> None:
    new = in_state(DeploymentState.STARTING, serving(spec=Spec(replicas=3)))

    assert plan(new, 0).actions == (CreateTasks(3),)


def test_a_new_deployment_takes_over_only_when_all_are_ready() -> None:
    one, two = task("1"), task("2", STARTING)
    half = replace(
        in_state(DeploymentState.STARTING, serving(one, two, spec=Spec(replicas=2))), in_hand=frozenset("2")
    )

    assert plan(half, 0).actions == ()
    ready = in_state(DeploymentState.STARTING, serving(one, task("2"), spec=Spec(replicas=2)))
    assert plan(ready, 0).actions == (Activate(),)


def test_a_deployment_born_asleep_needs_no_task() -> None:
    assert plan(in_state(DeploymentState.STARTING, serving(spec=Spec(replicas=0))), 0).actions == (
        Activate(),
    )


def test_a_new_deployment_fails_with_the_reason_of_its_task() -> None:
    dead = task("1", TaskState.FAILED, crashed=True, ended_at=2.0, reason="it exited with 3")

    (action,) = plan(replace(in_state(DeploymentState.STARTING), ended=(dead,)), 3).actions
    assert action == EndDeployment(DeploymentState.FAILED, "it exited with 3")


def test_a_sleeper_has_its_next_task_made_ahead_and_starts_nothing() -> None:
    assert plan(serving(), 1000).actions == (CreateTasks(1),)
    assert plan(serving(task("1", PENDING)), 1000).actions == ()


def test_a_waiting_request_starts_the_task_made_ahead() -> None:
    ahead = task("1", PENDING)

    assert plan(serving(ahead, waiting=1), 1000).actions == (StartTask(ahead),)


def test_one_start_serves_any_number_of_waiters() -> None:
    under_way = replace(serving(task("1", STARTING), waiting=200), in_hand=frozenset("1"))

    assert plan(under_way, 1000).actions == ()


def test_scaled_to_zero_still_wakes_with_one_task() -> None:
    assert plan(serving(waiting=1, spec=Spec(replicas=0)), 1000).actions == (CreateTasks(1),)


def test_a_used_app_stays_until_its_idle_time_is_over() -> None:
    app = serving(task("1"), last_used=1000)

    early, late = plan(app, 1299), plan(app, 1300)

    assert early.actions == ()
    assert early.look_again_at == 1300
    assert late.actions[0] == StopTask(task("1"), "idle", only_if_idle=True)


def test_an_open_request_keeps_it_awake_however_long() -> None:
    decided = plan(serving(task("1"), last_used=1000, in_flight=1), 99999)

    assert decided.actions == ()
    assert decided.look_when_idle


def test_asked_to_sleep_it_drains_and_stops() -> None:
    asked = serving(task("1"), last_used=1000, in_flight=1)
    asked = replace(asked, deployment=replace(asked.deployment, slept_at=1001.0))

    assert plan(asked, 1002).actions[0] == StopTask(task("1"), "idle", only_if_idle=False)


def test_without_cold_start_it_never_sleeps() -> None:
    assert plan(serving(task("1"), spec=Spec(cold_start_enabled=False)), 1e9).actions == ()


def test_zero_replicas_without_cold_start_is_refused() -> None:
    decided = plan(serving(spec=Spec(replicas=0, cold_start_enabled=False)), 0)

    assert decided.actions == ()
    assert decided.refusal is not None


def test_a_task_that_ended_by_itself_is_recorded() -> None:
    gone = replace(
        serving(task("1"), last_used=1000),
        seen={task("1").id: Instance(task_id=task("1").id, status="exited", exit_code=7)},
    )

    assert RecordEnd(task("1"), 7) in plan(gone, 1001).actions


def test_a_running_task_found_after_a_restart_takes_traffic_again() -> None:
    found = replace(serving(task("1")), published={})

    assert PublishTask(task("1")) in plan(found, 1001).actions


@pytest.mark.parametrize(
    ("state", "expected"),
    [(STARTING, StartTask), (TaskState.STOPPING, StopTask)],
)
def test_what_a_killed_agent_left_half_done_is_done_again(state: TaskState, expected: type) -> None:
    left = task("1", state)

    assert any(isinstance(action, expected) for action in plan(serving(left), 1000).actions)


def test_after_a_failure_requests_are_refused_until_the_next_try() -> None:
    dead = failed("1", ended_at=1000.0, reason="it exited with 3")
    broken = replace(serving(waiting=1), ended=(dead,))

    refused, retried = plan(broken, 1000.5), plan(broken, 1001)

    assert refused.actions == ()
    assert refused.refusal is not None
    assert refused.refusal.until == refused.look_again_at == 1001
    assert retried.actions == (CreateTasks(1),)
    assert retried.refusal is None


def test_failures_in_a_row_are_called_a_crash_loop_and_tried_ever_later() -> None:
    dead = tuple(failed(str(n), ended_at=1000.0 - n, reason="no") for n in range(6))

    refusal = plan(replace(serving(waiting=1), ended=dead), 1000).refusal

    assert refusal is not None
    assert "crash loop" in refusal.reason
    assert refusal.until == 1032


def test_a_wake_by_its_owner_forgets_failures() -> None:
    dead = failed("1", ended_at=1000.0)
    broken = replace(serving(), ended=(dead,), deployment=replace(DEPLOYMENT, woken_at=1000.1))

    assert plan(broken, 1000.2).actions == (CreateTasks(1),)


def test_too_many_tasks_are_stopped_and_missing_ones_made() -> None:
    three = serving(task("1"), task("2"), task("3"), last_used=1000)
    short = serving(task("1"), last_used=1000, spec=Spec(replicas=3))

    assert len([a for a in plan(three, 1001).actions if isinstance(a, StopTask)]) == 2
    assert plan(short, 1001).actions == (CreateTasks(2),)


def test_a_changed_spec_replaces_tasks_only_after_new_ones_are_ready() -> None:
    old, new = task("1"), task("2", revision=2)
    changed = replace(serving(old, last_used=1000), deployment=replace(DEPLOYMENT, revision=2))
    replaced = replace(serving(old, new, last_used=1000), deployment=replace(DEPLOYMENT, revision=2))

    assert plan(changed, 1001).actions == (CreateTasks(1),)
    assert plan(replaced, 1001).actions == (StopTask(old, "its deployment changed"),)


def test_a_task_that_ran_out_of_time_is_killed_without_waiting() -> None:
    limited = serving(
        task("1", started_at=1000.0), last_used=1009, in_flight=1, spec=Spec(max_runtime_secs=10)
    )

    early, late = plan(limited, 1009), plan(limited, 1010)

    assert early.look_again_at == 1010
    assert isinstance(late.actions[-1], StopTask)
    assert not late.actions[-1].drains


def test_a_task_asked_to_stop_is_replaced() -> None:
    asked = serving(task("1", stop_requested=True), last_used=1000)

    decided = plan(asked, 1001).actions

    assert CreateTasks(1) in decided
    assert any(isinstance(action, StopTask) for action in decided)


def test_an_ended_deployment_stops_everything_and_gives_up_starts() -> None:
    ended = in_state(
        DeploymentState.CANCELLED, replace(serving(task("1"), task("2", STARTING)), in_hand=frozenset("2"))
    )

    decided = plan(ended, 0)

    assert {type(action) for action in decided.actions} == {StopTask, AbortStart}
    assert not decided.routed


def test_a_start_that_is_not_recorded_yet_is_given_up_too() -> None:
    begun = replace(serving(task("1", PENDING)), in_hand=frozenset("1"))

    assert plan(in_state(DeploymentState.CANCELLED, begun), 0).actions == (AbortStart(task("1", PENDING)),)


def test_a_stopped_app_keeps_its_host_and_says_so() -> None:
    decided = plan(in_state(DeploymentState.STOPPED), 0)

    assert decided.routed
    assert decided.refusal is not None
    assert decided.refusal.until is None


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    states = st.sampled_from(list(TaskState))
    drawn = [
        task(
            str(number),
            draw(states),
            process=draw(st.sampled_from(("web", "web", "worker", "release", "gone"))),
            revision=draw(st.integers(1, 2)),
            stop_requested=draw(st.booleans()),
            crashed=draw(st.booleans()),
            ended_at=draw(st.floats(0, 2000)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    ended_states = (TaskState.STOPPED, TaskState.FAILED)
    live = tuple(item for item in drawn if item.state not in ended_states)
    seen = [item for item in live if draw(st.booleans())]
    return Snapshot(
        deployment=replace(
            DEPLOYMENT,
            state=draw(st.sampled_from(list(DeploymentState))),
            revision=2,
            slept_at=draw(st.floats(0, 2000)),
            processes={"worker": ("work",)} if draw(st.booleans()) else {},
            release=("release",) if draw(st.booleans()) else None,
            spec=Spec(
                replicas=draw(st.integers(0, 3)),
                processes={"worker": Process(replicas=draw(st.integers(0, 2)), sleeps=draw(st.booleans()))},
                cold_start_enabled=draw(st.booleans()),
                max_runtime_secs=draw(st.none() | st.floats(1, 100)),
            ),
        ),
        has_artifact=draw(st.booleans()),
        is_current=draw(st.booleans()),
        newer_is_current=draw(st.booleans()),
        live=live,
        ended=tuple(item for item in drawn if item.state in ended_states),
        seen=up(*seen),
        published={
            item.id: 0
            for item in live
            if item.state is RUNNING and item.process == "web" and draw(st.booleans())
        },
        demand=Demand(
            waiting=draw(st.integers(0, 3)),
            in_flight=draw(st.integers(0, 3)),
            last_used=draw(st.floats(0, 2000)),
        ),
        in_hand=frozenset(item.id for item in live if draw(st.booleans())),
        opened_at=draw(st.floats(0, 2000)),
        can_freeze=draw(st.booleans()),
    )


@given(snapshots(), st.floats(0, 4000))
def test_no_plan_touches_what_is_in_hand_or_starts_more_than_wanted(s: Snapshot, now: float) -> None:
    decided = plan(s, now)

    for action in decided.actions:
        if isinstance(action, StartTask | StopTask | PublishTask | RecordEnd):
            assert action.task.id not in s.in_hand
        if isinstance(action, AbortStart):
            assert action.task.id in s.in_hand
    made = [action for action in decided.actions if isinstance(action, CreateTasks)]
    wanted = {"web": max(1, s.deployment.spec.replicas), "worker": 2, "release": 1}
    assert len({action.process for action in made}) == len(made)
    assert all(action.count <= wanted[action.process] for action in made)
    if decided.look_again_at is not None:
        assert decided.look_again_at >= now


@given(snapshots(), st.floats(0, 4000))
def test_a_waiting_request_never_finds_a_plan_that_does_nothing_for_it(s: Snapshot, now: float) -> None:
    """Somebody waits: then a task runs, one is on its way, or the request is refused with a reason."""
    s = replace(in_state(DeploymentState.ACTIVE, s), demand=replace(s.demand, waiting=1))

    decided = plan(s, now)

    on_its_way = any(
        isinstance(action, StartTask | PublishTask | RecordEnd | StopTask) and action.task.process == "web"
        for action in decided.actions
    )
    is_made = any(isinstance(action, CreateTasks) and action.process == "web" for action in decided.actions)
    assert s.published or on_its_way or is_made or s.in_hand or decided.refusal is not None


def test_an_app_that_served_is_started_at_once_after_its_first_crash() -> None:
    killed = task("1", TaskState.FAILED, crashed=True, ready_at=98.0, ended_at=99.0)
    ahead = task("2", PENDING)

    once = replace(serving(ahead, waiting=1), ended=(killed,))
    twice = replace(once, ended=(killed, replace(killed, ended_at=98.5)))
    never_ready = replace(once, ended=(failed("1", ended_at=99.0),))

    assert plan(once, 99.1).actions == (StartTask(ahead),)
    assert plan(twice, 99.1).refusal is not None
    assert plan(never_ready, 99.1).refusal is not None


def asleep(s: Snapshot) -> Snapshot:
    """Nothing of it runs, and all that a request needs was made ahead."""
    unstarted = [replace(task, state=PENDING, process="web", revision=2) for task in s.live]
    spec = replace(s.deployment.spec, replicas=len(unstarted))
    deployment = replace(s.deployment, state=DeploymentState.ACTIVE, spec=spec)
    return replace(s, deployment=deployment, live=tuple(unstarted), seen={}, published={})


@given(snapshots().map(asleep), st.floats(0, 4000), st.floats(0, 4000), st.integers(1, 3), st.floats(0, 4000))
def test_what_is_said_ahead_of_requests_is_what_they_bring_about(
    s: Snapshot, now: float, later: float, waiting: int, evicted_at: float
) -> None:
    starts = on_demand(s, now)

    demand = replace(s.demand, waiting=waiting)
    asked = replace(s, demand=demand, in_hand=frozenset(), room=ENDLESS, evicted_at=evicted_at)
    if starts:
        assert plan(asked, max(now, later)) == Plan(actions=starts)


def test_what_a_sleeping_one_starts_is_said_ahead() -> None:
    pending = task("t1", PENDING)
    asleep = replace(SNAPSHOT, live=(pending,))

    assert on_demand(asleep, 1000.0) == (StartTask(pending),)


def test_what_a_failure_holds_back_is_not_said_ahead() -> None:
    pending = task("t2", PENDING)
    asleep = replace(SNAPSHOT, live=(pending,), ended=(failed("t1", ended_at=999.5),))

    assert on_demand(asleep, 1000.0) == ()
    assert on_demand(asleep, 1001.0) == (StartTask(pending),)
