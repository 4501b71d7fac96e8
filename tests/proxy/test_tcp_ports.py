"""Which port leads to which app, and whether the proxy listens there."""

import socket

from paas.core.ids import AppId, DeploymentId, TaskId
from paas.core.live import Refusal
from tests.proxy.ports import reserved_port
from tests.proxy.rig import DEPLOYMENT, HOST, AppSide, Rig, Script, status_of, until
from tests.proxy.tcp_rig import RAW, Tcp, echo_bytes

OTHER = DeploymentId("deployment-2")


async def test_a_new_deployment_takes_the_port_over_and_the_old_one_drains(tcp: Tcp) -> None:
    def named(name: bytes) -> Script:
        async def script(side: AppSide) -> None:
            while await side.reader.read(65536):
                await side.send(name)

        return script

    await tcp.rig.serve(named(b"old"))
    before = await tcp.connect()
    await before.send(b"?")
    assert await before.read_exactly(3) == b"old"

    tcp.lead(OTHER)
    tcp.rig.router.route_port(DEPLOYMENT, tcp.port, takes=False)  # the old one's pass, whenever it comes
    new = await tcp.rig.start_app(named(b"new"))
    tcp.rig.router.publish(OTHER, TaskId("other-1"), "127.0.0.1", new.port)

    after = await tcp.connect()
    await after.send(b"?")
    assert await after.read_exactly(3) == b"new"
    await before.send(b"?")
    assert await before.read_exactly(3) == b"old"
    assert tcp.live().port is None


async def test_the_port_never_closes_while_it_changes_hands(tcp: Tcp) -> None:
    changes: list[int] = []
    tcp.rig.router.ports.on_changed(lambda: changes.append(1))

    tcp.rig.router.route_port(DEPLOYMENT, tcp.port, takes=False)  # here the old one is looked at first
    assert tcp.rig.router.ports.wanted() == {tcp.port}
    tcp.lead(OTHER)

    assert tcp.rig.router.ports.wanted() == {tcp.port}
    assert changes == []


async def test_a_port_that_leads_nowhere_is_closed(tcp: Tcp) -> None:
    await tcp.rig.serve(echo_bytes)
    line = await tcp.connect()
    await line.send(b"x")
    await line.read_exactly(1)

    tcp.rig.router.route_port(DEPLOYMENT, None, takes=False)

    await until(lambda: not tcp.rig.router.ports.wanted())
    await until(lambda: not tcp.listens())
    await line.send(b"y")
    assert await line.read_exactly(1) == b"y"


async def test_a_port_that_another_program_has_is_told_and_taken_when_it_is_free(rig: Rig) -> None:
    with reserved_port() as port:
        tcp = Tcp(rig, port)
        with socket.create_server(("127.0.0.1", port)):
            tcp.lead()
            await until(lambda: tcp.live().port_problem is not None)
            assert tcp.live().port_problem == f"cannot listen on port {port}: Address already in use"

        await until(lambda: tcp.live().port_problem is None)
        await rig.serve(echo_bytes)
        line = await tcp.connect()
        await line.send(b"x")
        assert await line.read_exactly(1) == b"x"


async def test_the_hosts_of_such_an_app_answer_no_http(rig: Rig) -> None:
    rig.router.route(DEPLOYMENT, AppId("app-1"), (HOST,), RAW)

    assert status_of(await rig.get()) == 404


async def test_who_waited_for_a_version_that_was_replaced_goes_to_the_new_one(tcp: Tcp) -> None:
    line = await tcp.connect()
    await line.send(b"early")
    await until(lambda: tcp.rig.waiting() == 1)
    app = await tcp.rig.start_app(echo_bytes)

    tcp.lead(OTHER)
    tcp.rig.router.publish(OTHER, TaskId("other-1"), "127.0.0.1", app.port)
    tcp.rig.refuse(Refusal(reason="its volume belongs to the version that took over", until=None))

    assert await line.read_exactly(5) == b"early"
