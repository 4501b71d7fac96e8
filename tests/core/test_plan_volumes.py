"""Volumes that one task at a time may write: handed over at rest, never shared."""

from paas.core.actions import Activate, CreateTasks, EndDeployment, StartTask, StopTask
from paas.core.model import Rival
from paas.core.plan import plan
from paas.core.records import replace
from paas.core.snapshot import Snapshot
from paas.core.spec import Spec, Volume
from paas.core.states import DeploymentState, TaskState
from tests.core.records import serving, task

DATA = Volume(host_path="data", container_path="/data")
OURS = Spec(process_type="docker", image="db", volumes=(DATA,))
PENDING, RUNNING = TaskState.PENDING, TaskState.RUNNING


def rival(state: DeploymentState, *, version: int, holds: bool, environment: str = "development") -> Rival:
    return Rival(version=version, environment=environment, state=state, holds=holds)


def starting(snapshot: Snapshot) -> Snapshot:
    return replace(
        snapshot, deployment=replace(snapshot.deployment, state=DeploymentState.STARTING, version=2)
    )


def test_a_new_version_waits_while_the_old_one_holds_the_volume() -> None:
    new = starting(serving(task("1", PENDING), spec=OURS))
    held = replace(new, rivals=(rival(DeploymentState.ACTIVE, version=1, holds=True),))
    free = replace(new, rivals=(rival(DeploymentState.ACTIVE, version=1, holds=False),))

    assert plan(held, 100).actions == ()
    assert plan(held, 100).look_again_at is not None
    assert plan(free, 100).actions == (StartTask(task("1", PENDING)),)


def test_the_old_version_gives_the_volume_away_and_does_not_wake() -> None:
    wanted = rival(DeploymentState.STARTING, version=2, holds=False)
    awake = replace(serving(task("1"), last_used=99, spec=OURS), rivals=(wanted,))
    asleep = replace(serving(task("1", PENDING), waiting=1, spec=OURS), rivals=(wanted,))

    assert plan(awake, 100).actions[0] == StopTask(task("1"), "a newer version needs its volume")
    assert plan(asleep, 100).actions == ()
    assert plan(asleep, 100).refusal is None, "who waits is served by the new version"


def test_the_old_version_wakes_again_when_the_new_one_failed() -> None:
    asleep = replace(
        serving(task("1", PENDING), waiting=1, spec=OURS),
        rivals=(rival(DeploymentState.FAILED, version=2, holds=False),),
    )

    assert plan(asleep, 100).actions == (StartTask(task("1", PENDING)),)


def test_a_superseded_version_never_wakes_over_the_new_ones_data() -> None:
    old = serving(waiting=1, spec=OURS)
    old = replace(old, deployment=replace(old.deployment, state=DeploymentState.SUPERSEDED))

    assert plan(old, 100).actions == ()
    assert plan(old, 100).refusal is not None


def test_a_version_of_another_environment_that_holds_it_is_named() -> None:
    holder = rival(DeploymentState.ACTIVE, version=1, holds=True, environment="production")
    new = replace(starting(serving(task("1", PENDING), spec=OURS)), rivals=(holder,))

    (action,) = plan(new, 100).actions

    assert action == EndDeployment(DeploymentState.FAILED, "its volume is in use by version 1 in production")


def test_a_sleeper_whose_volume_another_environment_uses_says_so_for_a_moment() -> None:
    holder = rival(DeploymentState.ACTIVE, version=1, holds=True, environment="production")
    asleep = replace(serving(task("1", PENDING), waiting=1, spec=OURS), rivals=(holder,))

    decided = plan(asleep, 100)

    assert decided.actions == ()
    assert decided.refusal is not None
    assert "version 1 in production" in decided.refusal.reason
    assert decided.refusal.until is not None


def test_a_changed_deployment_ends_its_old_task_before_the_new_one_starts() -> None:
    old, new = task("1", revision=0), task("2", PENDING)
    both = serving(old, new, last_used=99, spec=OURS)
    ended = serving(new, last_used=99, spec=OURS)

    assert plan(both, 100).actions == (StopTask(old, "its deployment changed"),)
    assert plan(ended, 100).actions == (StartTask(new),)


def test_shared_volumes_change_nothing() -> None:
    shared = replace(OURS, volumes=(replace(DATA, exclusive=False), replace(DATA, read_only=True)))
    old, new = task("1", revision=0), task("2", PENDING)

    assert shared.exclusive_paths == frozenset()
    assert plan(serving(old, new, last_used=99, spec=shared), 100).actions == (StartTask(new),)
    assert plan(starting(serving(spec=replace(shared, replicas=0))), 100).actions == (Activate(),)
    assert plan(starting(serving(spec=shared)), 100).actions == (CreateTasks(1),)
