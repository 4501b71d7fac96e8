"""Requests to an app that is awake: what reaches it, and what comes back."""

from tests.proxy.rig import HOST, Rig, body_of, fields_of, request, status_of


async def test_request_reaches_the_app_and_its_answer_the_client(rig: Rig) -> None:
    await rig.serve()

    answer = await rig.get("/greeting?to=you")

    assert status_of(answer) == 200
    assert body_of(answer).startswith(b"GET /greeting?to=you HTTP/1.1\r\nHost: " + HOST.encode())
    assert rig.in_flight() == 0


async def test_connection_carries_one_request_after_another(rig: Rig) -> None:
    app = await rig.serve()
    line = await rig.connect()

    for number in range(3):
        await line.send(request(target=b"/%d" % number))
        head = await line.read_head()
        body = await line.read_exactly(int(fields_of(head)["content-length"]))
        assert body.startswith(b"GET /%d " % number)

    assert len(app.connections) == 1
