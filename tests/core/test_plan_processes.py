"""What runs beside web, decided by plan(): workers, and the release command."""

import pytest

from paas.core.actions import (
    Activate,
    CreateTasks,
    EndDeployment,
    FreezeTask,
    RecordEnd,
    StartTask,
    StopTask,
    ThawTask,
)
from paas.core.model import Instance, Rival, Task
from paas.core.plan import plan
from paas.core.records import replace
from paas.core.snapshot import Snapshot
from paas.core.spec import Idle, Process, Spec, Volume
from paas.core.states import DeploymentState, TaskState
from tests.core.records import serving, task

PENDING, STARTING, RUNNING = TaskState.PENDING, TaskState.STARTING, TaskState.RUNNING
STAYS = {"worker": Process(sleeps=False)}
WEB = task("web")


def worker(name: str = "w", state: TaskState = RUNNING, **changes: object) -> Task:
    return task(name, state, process="worker", **changes)


def release(state: TaskState = RUNNING, **changes: object) -> Task:
    return task("r", state, process="release", **changes)


def with_worker(
    *tasks: Task,
    processes: dict[str, Process] | None = None,
    last_used: float = 1000,
    waiting: int = 0,
    spec: Spec | None = None,
) -> Snapshot:
    """An active deployment that has a worker besides its web."""
    spec = replace(spec or Spec(), processes=processes or {})
    s = serving(*tasks, last_used=last_used, waiting=waiting, spec=spec)
    return replace(s, deployment=replace(s.deployment, processes={"worker": ("work",)}))


def in_state(state: DeploymentState, s: Snapshot) -> Snapshot:
    return replace(s, deployment=replace(s.deployment, state=state))


def starting(*tasks: Task, has_release: bool = False, ended: tuple[Task, ...] = ()) -> Snapshot:
    s = in_state(DeploymentState.STARTING, with_worker(*tasks))
    return replace(s, ended=ended, deployment=replace(s.deployment, release=("go",) if has_release else None))


def test_a_new_deployment_takes_over_when_its_workers_are_up_too() -> None:
    assert plan(starting(), 0).actions == (CreateTasks(1), CreateTasks(1, "worker"))
    assert plan(starting(WEB), 0).actions == (CreateTasks(1, "worker"),)
    assert Activate() not in plan(starting(WEB, worker(state=PENDING)), 0).actions
    assert plan(starting(WEB, worker()), 0).actions == (Activate(),)


def test_a_deployment_born_asleep_starts_only_the_workers_that_never_sleep() -> None:
    asleep = in_state(DeploymentState.STARTING, with_worker(spec=Spec(replicas=0)))
    stays = in_state(DeploymentState.STARTING, with_worker(processes=STAYS, spec=Spec(replicas=0)))
    only_works = Spec(replicas=0, cold_start_enabled=False)

    assert plan(asleep, 0).actions == (Activate(),)
    assert plan(in_state(DeploymentState.STARTING, with_worker(spec=only_works)), 0).actions == (
        CreateTasks(1, "worker"),
    )
    assert plan(stays, 0).actions == (CreateTasks(1, "worker"),)


def test_a_worker_that_dies_at_once_fails_its_new_deployment_by_name() -> None:
    dead = worker(state=TaskState.FAILED, crashed=True, ended_at=2.0, reason="it exited with 3")

    assert plan(starting(ended=(dead,)), 3).actions == (
        EndDeployment(DeploymentState.FAILED, "its process worker exited with 3"),
    )


def test_workers_wake_once_requests_have_got_their_answer() -> None:
    ahead, waiting = task("web", PENDING), worker(state=PENDING)

    assert plan(with_worker(ahead, waiting, waiting=1), 1000).actions == (StartTask(ahead),)
    assert plan(with_worker(WEB, waiting), 1000).actions == (StartTask(waiting),)
    assert plan(with_worker(WEB), 1000).actions == (CreateTasks(1, "worker"),)


def test_a_worker_sleeps_after_its_web() -> None:
    idle = with_worker(WEB, worker())
    ending = with_worker(replace(WEB, state=TaskState.STOPPING), worker())
    alone = with_worker(task("next", PENDING), worker())

    assert plan(idle, 1300).actions == (StopTask(WEB, "idle", only_if_idle=True), CreateTasks(1))
    assert StopTask(worker(), "its deployment sleeps") not in plan(ending, 1300).actions
    assert plan(alone, 1300).actions == (StopTask(worker(), "its deployment sleeps"),)


def test_a_worker_that_never_sleeps_runs_while_its_deployment_is_current() -> None:
    asleep = with_worker(task("next", PENDING), worker(), processes=STAYS)
    after_a_restart = with_worker(task("next", PENDING), processes=STAYS, last_used=0)
    superseded = in_state(DeploymentState.SUPERSEDED, asleep)

    assert plan(asleep, 9999).actions == ()
    assert plan(after_a_restart, 9999).actions == (CreateTasks(1, "worker"),)
    assert plan(superseded, 9999).actions == (StopTask(worker(), "a newer version took over"),)


def test_a_superseded_deployment_works_no_more_even_if_it_is_asked() -> None:
    asked = in_state(DeploymentState.SUPERSEDED, with_worker(WEB, worker()))

    assert plan(asked, 1001).actions == (StopTask(worker(), "a newer version took over"),)


def test_a_crash_loop_of_a_worker_pauses_it_and_refuses_no_request() -> None:
    dead = tuple(
        worker(str(n), TaskState.FAILED, crashed=True, ready_at=None, ended_at=1000.0 - n) for n in range(6)
    )
    broken = replace(with_worker(WEB), ended=dead)
    asked = replace(with_worker(waiting=1), ended=dead)

    paused = plan(broken, 1001)

    assert (paused.actions, paused.look_again_at) == ((), 1032)
    assert plan(asked, 1001).refusal is None
    assert plan(asked, 1001).actions == (CreateTasks(1),)
    assert plan(replace(broken, demand=replace(broken.demand, last_used=1032)), 1032).actions == (
        CreateTasks(1, "worker"),
    )


def test_failures_of_web_do_not_hold_up_workers() -> None:
    dead = task("1", TaskState.FAILED, crashed=True, ready_at=None, ended_at=1000.0, reason="no")
    broken = replace(with_worker(), ended=(dead,))

    decided = plan(broken, 1000.5)

    assert decided.refusal is not None
    assert decided.actions == (CreateTasks(1, "worker"),)


def test_a_process_is_scaled_by_itself() -> None:
    two = with_worker(WEB, worker("1"), worker("2"))
    three = with_worker(WEB, worker("1"), processes={"worker": Process(replicas=3)})
    none = with_worker(WEB, worker("1"), worker("2", PENDING), processes={"worker": Process(replicas=0)})

    assert plan(two, 1001).actions == (StopTask(worker("1"), "fewer replicas are wanted"),)
    assert plan(three, 1001).actions == (CreateTasks(2, "worker"),)
    assert {action.task.id for action in plan(none, 1001).actions if isinstance(action, StopTask)} == {
        "1",
        "2",
    }


def test_a_process_that_is_wanted_no_more_ends() -> None:
    gone = with_worker(WEB, worker(), task("x", process="other"))

    assert plan(gone, 1001).actions == (
        StopTask(task("x", process="other"), "its process is wanted no more"),
    )


def test_a_worker_is_replaced_after_a_change_and_ended_when_its_time_is_over() -> None:
    old, new = worker("1"), worker("2", revision=2)
    s = with_worker(task("web", revision=2), old, new)
    changed = replace(s, deployment=replace(s.deployment, revision=2))
    limited = with_worker(WEB, worker(started_at=990.0), spec=Spec(max_runtime_secs=100))

    assert plan(changed, 1001).actions == (StopTask(old, "its deployment changed"),)
    assert (
        StopTask(worker(started_at=990.0), "it ran for its max_runtime_secs", drains=False)
        in plan(limited, 1090).actions
    )


def test_workers_freeze_after_their_web_and_thaw_with_it() -> None:
    spec = Spec(idle=Idle(freeze_after_secs=30, stop_after_secs=600))
    idle = with_worker(WEB, worker(), spec=spec)
    web_frozen = replace(
        idle, published={}, seen={**idle.seen, WEB.id: Instance(task_id=WEB.id, status="frozen")}
    )
    all_frozen = replace(
        web_frozen,
        seen={each.id: Instance(task_id=each.id, status="frozen") for each in (WEB, worker())},
    )
    asked = replace(all_frozen, demand=replace(idle.demand, waiting=1))
    answered = replace(all_frozen, published={WEB.id: 1}, demand=replace(idle.demand, in_flight=1))

    assert plan(idle, 1030).actions == (FreezeTask(WEB),)
    assert plan(web_frozen, 1030).actions == (FreezeTask(worker()),)
    assert plan(all_frozen, 1031).actions == ()
    assert plan(asked, 1031).actions == (ThawTask(WEB),)
    assert ThawTask(worker()) in plan(answered, 1031).actions


def test_the_release_command_runs_before_all_else() -> None:
    assert plan(starting(has_release=True), 0).actions == (CreateTasks(1, "release"),)
    pending = release(PENDING)
    assert plan(starting(pending, has_release=True), 0).actions == (StartTask(pending),)

    running = plan(starting(release(), has_release=True), 5)

    assert (running.actions, running.look_again_at) == ((), 601)


def test_after_its_release_command_a_deployment_starts() -> None:
    done = release(TaskState.STOPPED, crashed=True, exit_code=0, ended_at=2.0)

    assert plan(starting(has_release=True, ended=(done,)), 3).actions == (
        CreateTasks(1),
        CreateTasks(1, "worker"),
    )
    assert plan(starting(WEB, worker(), has_release=True, ended=(done,)), 3).actions == (Activate(),)


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (
            release(TaskState.FAILED, crashed=True, exit_code=3, reason="it exited with 3: no table"),
            "its release command exited with 3: no table",
        ),
        (
            release(TaskState.STOPPED, exit_code=0, reason="it ran for more than 600 s"),
            "its release command ran for more than 600 s",
        ),
        (
            release(TaskState.STOPPED, exit_code=143, reason="stopped on request"),
            "its release command failed: stopped on request",
        ),
    ],
)
def test_a_release_command_that_fails_fails_its_deployment(ended: Task, reason: str) -> None:
    assert plan(starting(has_release=True, ended=(ended,)), 3).actions == (
        EndDeployment(DeploymentState.FAILED, reason),
    )


def test_a_release_command_is_given_so_long_and_no_longer() -> None:
    late = plan(starting(release(started_at=1.0), has_release=True), 601)
    s = starting(release(started_at=1.0), has_release=True)
    limited = replace(s, deployment=replace(s.deployment, spec=Spec(max_runtime_secs=20)))

    assert late.actions == (StopTask(release(started_at=1.0), "it ran for more than 600 s", drains=False),)
    assert plan(limited, 5).look_again_at == 21


def test_a_release_command_of_which_nobody_knows_the_end_is_run_again() -> None:
    lost = release(TaskState.FAILED, crashed=True, exit_code=None, ended_at=2.0)
    vanished = replace(starting(release(), has_release=True), seen={})

    assert plan(vanished, 3).actions[0] == RecordEnd(release(), None)
    assert plan(starting(has_release=True, ended=(lost,)), 3).actions == (CreateTasks(1, "release"),)
    (action,) = plan(starting(has_release=True, ended=(lost, lost, lost)), 3).actions
    assert isinstance(action, EndDeployment)


def test_a_release_command_waits_for_a_volume_that_the_old_version_has() -> None:
    volume = Volume(host_path="data", container_path="/data")
    s = starting(has_release=True)
    own = replace(s, deployment=replace(s.deployment, spec=Spec(volumes=(volume,)), processes={}))

    rival = Rival(version=0, environment="development", state=DeploymentState.ACTIVE, holds=True)

    assert plan(replace(own, rivals=(rival,)), 0).actions == ()
    assert plan(own, 0).actions == (CreateTasks(1, "release"),)
