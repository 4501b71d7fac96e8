"""A preview sleeps and is apart, whatever was asked."""

from paas.core.previews import as_preview
from paas.core.spec import Idle, Networking, Process, Spec, Volume


def test_a_preview_is_small_sleeps_soon_and_shares_nothing() -> None:
    asked = Spec(
        process_type="docker",
        image="shop:1",
        replicas=3,
        cold_start_enabled=False,
        idle_timeout_secs=7200,
        idle=Idle(freeze_after_secs=120, stop_after_secs=3600),
        volumes=(Volume(host_path="data", container_path="/data"),),
        networking=Networking(protocol="tcp", port=5432, proxy_port=47100),
        processes={"worker": Process(command="work", replicas=2, sleeps=False)},
    )

    assert as_preview(asked) == Spec(
        process_type="docker",
        image="shop:1",
        replicas=1,
        cold_start_enabled=True,
        idle_timeout_secs=60,
        networking=Networking(protocol="tcp", port=5432),
        processes={"worker": Process(command="work", replicas=1, sleeps=True)},
    )


def test_what_is_born_asleep_stays_so() -> None:
    assert as_preview(Spec(replicas=0)).replicas == 0
