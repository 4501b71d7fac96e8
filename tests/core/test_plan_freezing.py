"""The two levels of sleep, decided by plan()."""

from collections.abc import Iterable

import pytest

from paas.core.actions import CreateTasks, FreezeTask, RecordEnd, StartTask, StopTask, ThawTask
from paas.core.model import Instance, Task
from paas.core.plan import plan
from paas.core.records import replace
from paas.core.snapshot import Snapshot
from paas.core.spec import Idle, Spec
from paas.core.states import DeploymentState, TaskState
from tests.core.records import DEPLOYMENT, serving, task

FREEZES = Spec(idle=Idle(freeze_after_secs=30, stop_after_secs=600))


def frozen(*tasks: Task, last_used: float = 1000, waiting: int = 0, spec: Spec = FREEZES) -> Snapshot:
    """An active deployment whose tasks are frozen and take no traffic."""
    seen = {item.id: Instance(task_id=item.id, status="frozen") for item in tasks}
    return replace(serving(*tasks, last_used=last_used, waiting=waiting, spec=spec), seen=seen, published={})


def kinds(actions: Iterable[object]) -> set[type]:
    return {type(action) for action in actions}


def test_an_idle_app_is_frozen_and_later_stopped() -> None:
    app = serving(task("1"), last_used=1000, spec=FREEZES)

    early, late = plan(app, 1029), plan(app, 1030)

    assert (early.actions, early.look_again_at) == ((), 1030)
    assert late.actions == (FreezeTask(task("1")),)
    assert late.look_again_at == 1600
    assert plan(frozen(task("1")), 1599).actions == ()
    assert plan(frozen(task("1")), 1600).actions[0] == StopTask(task("1"), "idle", only_if_idle=True)


def test_by_default_nothing_is_frozen_and_idle_timeout_stops() -> None:
    app = serving(task("1"), last_used=1000, spec=Spec(idle_timeout_secs=60))

    assert plan(app, 1059).actions == ()
    assert StopTask in kinds(plan(app, 1060).actions)


def test_stop_after_takes_the_place_of_idle_timeout() -> None:
    app = serving(task("1"), last_used=1000, spec=Spec(idle_timeout_secs=60, idle=Idle(stop_after_secs=90)))

    assert plan(app, 1089).actions == ()
    assert StopTask in kinds(plan(app, 1090).actions)


def test_without_a_freezer_it_goes_straight_to_sleep() -> None:
    app = replace(serving(task("1"), last_used=1000, spec=FREEZES), can_freeze=False)

    assert plan(app, 1599).actions == ()
    assert StopTask in kinds(plan(app, 1600).actions)


def test_all_replicas_freeze_and_one_request_thaws_all() -> None:
    two = replace(FREEZES, replicas=2)
    used = serving(task("1"), task("2"), last_used=1000, spec=two)

    assert plan(used, 1030).actions == (FreezeTask(task("1")), FreezeTask(task("2")))
    asked = plan(frozen(task("1"), task("2"), waiting=1, spec=two), 1100)
    assert asked.actions == (ThawTask(task("1")), ThawTask(task("2")))


def test_an_open_request_keeps_it_from_freezing() -> None:
    decided = plan(serving(task("1"), last_used=1000, in_flight=1, spec=FREEZES), 1500)

    assert decided.actions == ()
    assert decided.look_when_idle


def test_a_wake_by_its_owner_thaws() -> None:
    woken = frozen(task("1"))
    woken = replace(woken, deployment=replace(woken.deployment, woken_at=1100.0))

    assert plan(woken, 1101).actions == (ThawTask(task("1")),)


def test_put_to_sleep_it_is_stopped() -> None:
    asked = frozen(task("1"))
    asked = replace(asked, deployment=replace(asked.deployment, slept_at=1100.0))

    assert plan(asked, 1101).actions[0] == StopTask(task("1"), "idle", only_if_idle=False)


def test_frozen_tasks_that_a_restarted_agent_finds_stay_so_as_if_used_when_it_started() -> None:
    """Their own last use was in the memory of the agent before."""
    found = replace(frozen(task("1"), last_used=0), opened_at=5000)

    assert plan(found, 5001).actions == ()
    assert plan(found, 5001).look_again_at == 5600
    assert StopTask in kinds(plan(found, 5600).actions)


def test_a_frozen_task_runs_out_of_time_by_the_clock() -> None:
    limited = replace(FREEZES, max_runtime_secs=100)
    app = frozen(task("1", started_at=1000.0), spec=limited)

    assert plan(app, 1099).look_again_at == 1100
    (action, *_) = plan(app, 1100).actions
    assert isinstance(action, StopTask)
    assert not action.drains


def test_a_frozen_app_scaled_down_keeps_what_is_wanted() -> None:
    decided = plan(frozen(task("1"), task("2"), task("3")), 1100).actions

    assert [type(action) for action in decided] == [StopTask, StopTask]


def test_a_frozen_app_scaled_up_grows_when_it_is_asked() -> None:
    three = replace(FREEZES, replicas=3)

    assert plan(frozen(task("1"), spec=three), 1100).actions == ()
    assert plan(frozen(task("1"), waiting=1, spec=three), 1100).actions == (
        CreateTasks(2),
        ThawTask(task("1")),
    )


def test_a_frozen_app_whose_spec_changed_is_stopped_and_wakes_with_the_new_one() -> None:
    changed = frozen(task("1"))
    changed = replace(changed, deployment=replace(changed.deployment, revision=2))

    decided = plan(changed, 1100).actions

    assert decided == (StopTask(task("1"), "its deployment changed"), CreateTasks(1))


def test_a_frozen_app_whose_spec_changed_serves_until_the_new_task_is_ready() -> None:
    changed = frozen(task("1"), waiting=1)
    changed = replace(changed, deployment=replace(changed.deployment, revision=2))

    assert plan(changed, 1100).actions == (CreateTasks(1), ThawTask(task("1")))


def test_a_frozen_task_asked_to_stop_is_stopped() -> None:
    assert plan(frozen(task("1", stop_requested=True)), 1100).actions[0] == StopTask(
        task("1", stop_requested=True), "stopped on request"
    )


def test_told_never_to_sleep_it_is_thawed() -> None:
    never = replace(FREEZES, cold_start_enabled=False)

    assert plan(frozen(task("1"), spec=never), 1100).actions == (ThawTask(task("1")),)
    assert plan(serving(task("1"), last_used=1000, spec=never), 1e9).actions == ()


@pytest.mark.parametrize("state", [DeploymentState.CANCELLED, DeploymentState.STOPPED])
def test_what_has_ended_is_stopped_frozen_or_not(state: DeploymentState) -> None:
    app = frozen(task("1"))
    app = replace(app, deployment=replace(app.deployment, state=state))

    assert kinds(plan(app, 1100).actions) == {StopTask}


def test_a_task_frozen_by_somebody_else_does_not_hold_up_a_deploy() -> None:
    app = frozen(task("1"))
    app = replace(app, deployment=replace(app.deployment, state=DeploymentState.STARTING))

    assert plan(app, 1100).actions == (ThawTask(task("1")),)


def test_an_app_frozen_level_without_tasks_is_just_asleep() -> None:
    """Started long ago and ended since: nothing is started only to be frozen."""
    gone = replace(serving(last_used=1000, spec=FREEZES), live=())

    assert plan(gone, 1100).actions == (CreateTasks(1),)


def test_one_of_two_frozen_tasks_that_ended_is_recorded_and_the_other_is_left() -> None:
    two = frozen(task("1"), task("2"), spec=replace(FREEZES, replicas=2))
    seen = {**two.seen, task("2").id: Instance(task_id=task("2").id, status="exited", exit_code=137)}

    assert plan(replace(two, seen=seen), 1100).actions == (RecordEnd(task("2"), 137),)


def test_while_starts_are_held_back_after_failures_frozen_tasks_still_serve() -> None:
    broken = task("9", TaskState.FAILED, crashed=True, ready_at=None, ended_at=1100.0, reason="it exited")
    asked = replace(frozen(task("1"), waiting=1, spec=replace(FREEZES, replicas=2)), ended=(broken,))

    decided = plan(asked, 1100.5)

    assert decided.refusal is None
    assert decided.actions == (ThawTask(task("1")),)


def test_a_request_of_a_sleeper_that_may_freeze_starts_it() -> None:
    ahead = task("1", TaskState.PENDING)

    assert plan(serving(ahead, waiting=1, spec=FREEZES), 1000).actions == (StartTask(ahead),)
    assert DEPLOYMENT.spec.idle == Idle()
