"""Requests to an app that is awake: what reaches it, and what comes back."""

import pytest

from tests.proxy.rig import (
    DEPLOYMENT,
    HOST,
    Rig,
    answers,
    answers_once,
    body_of,
    fields_of,
    request,
    running,
    status_of,
)


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


async def test_app_is_told_who_asked_and_how(rig: Rig) -> None:
    await rig.serve()

    seen = fields_of(body_of(await rig.get()))

    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == HOST
    assert seen["via"] == "1.1 paas"


async def test_client_cannot_say_what_only_we_may(rig: Rig) -> None:
    await rig.serve()
    forged = (
        b"X-Forwarded-For: 10.0.0.1\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: evil\r\n"
        b"X-Forwarded-Port: 1\r\nX_Forwarded_For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n"
        b"X-Real-IP: 10.0.0.1\r\n"
        b"X-App-State: asleep\r\nX-Error-Detail: no\r\n"
    )

    seen = body_of(await rig.get(lines=forged))

    assert b"10.0.0.1" not in seen
    assert b"evil" not in seen
    assert b"https" not in seen
    assert seen.lower().count(b"x-forwarded-for") == 1
    assert not {"x-app-state", "x-error-detail", "x-forwarded-port", "forwarded"} & fields_of(seen).keys()


async def test_hop_by_hop_fields_end_here(rig: Rig) -> None:
    await rig.serve()
    lines = (
        b"Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=9\r\n"
        b"Proxy-Connection: close\r\n"
        b"Proxy-Authorization: Basic eDp5\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Public: 2\r\n"
    )

    seen = fields_of(body_of(await rig.ask(request(lines.strip(), b"Connection: close"))))

    assert seen["x-public"] == "2"
    hop_by_hop = {
        "connection",
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
    }
    assert not hop_by_hop & seen.keys()


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"X-Forwarded-For", b"Via"])
async def test_client_cannot_strip_what_must_arrive_by_naming_it_in_connection(rig: Rig, name: bytes) -> None:
    await rig.serve()

    answer = await rig.ask(
        request(b"Connection: close, " + name, b"Content-Length: 2", method=b"POST", body=b"hi")
    )

    assert name.decode().lower() in fields_of(body_of(answer))
    assert body_of(answer).endswith(b"hi")


async def test_hop_by_hop_fields_of_the_app_end_here_too(rig: Rig) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\n"
        b"Keep-Alive: timeout=5\r\nVia: 1.1 inner\r\nX-Outer: 2\r\n\r\nok"
    )
    await rig.serve(answers(raw))

    seen = fields_of(await rig.get())

    assert seen["x-outer"] == "2"
    assert seen["via"] == "1.1 inner, 1.1 paas"
    assert seen["connection"] == "close"
    assert not {"x-inner", "keep-alive"} & seen.keys()


async def test_via_of_the_client_is_continued(rig: Rig) -> None:
    await rig.serve()

    seen = fields_of(body_of(await rig.get(lines=b"Via: 1.0 fred\r\n")))

    assert seen["via"] == "1.0 fred, 1.1 paas"


async def test_te_trailers_reaches_the_app(rig: Rig) -> None:
    await rig.serve()

    seen = fields_of(body_of(await rig.get(lines=b"TE: trailers, deflate\r\n")))

    assert seen["te"] == "trailers"


@pytest.mark.parametrize("host", ["HELLO-Default.localhost", f"{HOST}:47000", f"{HOST}.", f"{HOST}.:80"])
async def test_host_is_matched_whatever_its_case_port_and_last_dot(rig: Rig, host: str) -> None:
    await rig.serve()

    answer = await rig.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert status_of(answer) == 200
    assert fields_of(body_of(answer))["host"] == host


async def test_unknown_host_is_404_and_the_connection_stays(rig: Rig) -> None:
    await rig.serve()
    line = await rig.connect()

    await line.send(b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n" + request())

    head = await line.read_head()
    assert status_of(head) == 404
    await line.read_exactly(int(fields_of(head)["content-length"]))
    assert status_of(await line.read_head()) == 200


async def test_absolute_target_wins_over_host(rig: Rig) -> None:
    await rig.serve()

    answer = await rig.ask(
        b"GET http://%b/path?x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n" % HOST.encode()
    )

    assert status_of(answer) == 200
    assert body_of(answer).startswith(b"GET /path?x HTTP/1.1\r\nHost: %b\r\n" % HOST.encode())
    assert b"other" not in body_of(answer)


async def test_connect_is_refused(rig: Rig) -> None:
    answer = await rig.ask(b"CONNECT %b:443 HTTP/1.1\r\nHost: %b\r\n\r\n" % (HOST.encode(), HOST.encode()))

    assert status_of(answer) == 405


async def test_options_of_the_whole_server_reaches_the_app(rig: Rig) -> None:
    await rig.serve()

    answer = await rig.ask(request(b"Connection: close", target=b"*", method=b"OPTIONS"))

    assert body_of(answer).startswith(b"OPTIONS * HTTP/1.1")


async def test_old_client_is_answered_and_left(rig: Rig) -> None:
    await rig.serve()

    answer = await rig.ask(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % HOST.encode())

    assert status_of(answer) == 200
    assert fields_of(answer)["connection"] == "close"
    assert fields_of(body_of(answer))["via"] == "1.0 paas"


async def test_old_client_may_ask_to_stay(rig: Rig) -> None:
    await rig.serve()
    line = await rig.connect()

    for _ in range(2):
        await line.send(b"GET / HTTP/1.0\r\nHost: %b\r\nConnection: keep-alive\r\n\r\n" % HOST.encode())
        head = await line.read_head()
        assert fields_of(head)["connection"] == "keep-alive"
        await line.read_exactly(int(fields_of(head)["content-length"]))


async def test_old_client_gets_a_chunked_answer_unchunked(rig: Rig) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    await rig.serve(answers(raw))

    answer = await rig.ask(b"GET / HTTP/1.0\r\nHost: %b\r\nConnection: keep-alive\r\n\r\n" % HOST.encode())

    assert body_of(answer) == b"abcde"
    assert "transfer-encoding" not in fields_of(answer)
    assert fields_of(answer)["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    ],
)
async def test_answers_without_body_end_with_their_head(rig: Rig, method: bytes, raw: bytes) -> None:
    app = await rig.serve(answers(raw))
    line = await rig.connect()

    for _ in range(3):
        await line.send(request(method=method))
        head = await line.read_head()
        assert head.split(b" ")[1] == raw.split(b" ")[1]
        assert (b"Content-Length: 1000" in raw) == ("content-length" in fields_of(head))

    assert len(app.connections) == 1


async def test_answer_that_ends_with_its_connection_is_chunked_for_the_client(rig: Rig) -> None:
    await rig.serve(answers_once(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end"))
    line = await rig.connect()

    await line.send(request())

    head = await line.read_head()
    assert fields_of(head)["transfer-encoding"] == "chunked"
    assert await line.read_until(b"0\r\n\r\n") == b"a\r\nto the end\r\n0\r\n\r\n"


async def test_app_that_closes_after_each_answer_is_asked_anew(rig: Rig) -> None:
    app = await rig.serve(
        answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    )
    line = await rig.connect()

    for _ in range(3):
        await line.send(request())
        assert status_of(await line.read_head()) == 200
        assert await line.read_exactly(2) == b"ok"

    assert len(app.connections) == 3


async def test_early_hints_are_passed_on(rig: Rig) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    await rig.serve(answers(raw))
    line = await rig.connect()

    await line.send(request())

    hints = await line.read_head()
    assert status_of(hints) == 103
    assert fields_of(hints)["link"] == "</a.css>"
    assert status_of(await line.read_head()) == 200


async def test_old_client_is_spared_early_hints(rig: Rig) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    await rig.serve(answers(raw))

    answer = await rig.ask(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % HOST.encode())

    assert status_of(answer) == 200


async def test_answers_are_counted(rig: Rig) -> None:
    await rig.serve()
    await rig.get()
    await rig.ask(b"GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n")

    assert rig.proxy.answered() == {2: 1, 4: 1}


async def test_ipv6_client_is_named_without_brackets() -> None:
    async with running(host="::1") as rig:
        await rig.serve()

        seen = fields_of(body_of(await rig.get()))

        assert seen["x-forwarded-for"] == "::1"


async def test_remembered_head_still_goes_where_the_route_leads_now(rig: Rig) -> None:
    app = await rig.start_app(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"))
    task = rig.publish(app.port)
    line = await rig.connect()
    for _ in range(2):
        await line.send(request())
        assert status_of(await line.read_head()) == 200
        assert await line.read_exactly(3) == b"old"

    await rig.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"))
    rig.withdraw(task)
    await line.send(request())
    await line.read_head()
    assert await line.read_exactly(3) == b"new"

    rig.router.unroute(DEPLOYMENT)
    await line.send(request())
    assert status_of(await line.read_head()) == 404


async def test_remembered_answer_is_adapted_to_each_request(rig: Rig) -> None:
    await rig.serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    line = await rig.connect()
    for _ in range(2):
        await line.send(request())
        assert "connection" not in fields_of(await line.read_head())
        await line.read_exactly(2)

    await line.send(request(b"Connection: close"))

    assert fields_of(await line.read_head())["connection"] == "close"
    assert await line.read_to_end() == b"ok"
