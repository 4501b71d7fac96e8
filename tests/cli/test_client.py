"""The client against a server that fails in the exact moment that a test wants."""

import io
import json
from http.server import BaseHTTPRequestHandler

import pytest

from paas.cli.client import Client
from paas.cli.problems import Problem
from tests.cli.conftest import Script, Scripted


def stream(*lines: bytes) -> Script:
    """Answer with an event stream that breaks off after these lines."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        request.wfile.write(b"".join(line + b"\n" for line in lines))

    return answer


def plain(status: int, body: bytes) -> Script:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def test_broken_stream_is_resumed_after_the_last_whole_frame(scripted: Scripted) -> None:
    scripted.script += [
        stream(b"id: 7", b'data: {"first":', b"data: 1}", b"", b"id: 8", b"data: cut off"),
        stream(b": heartbeat", b"", b"id: 8", b"data: second", b""),
    ]
    frames = (frame for frame in Client(scripted.url).follow("/s", {"a": "b c"}, last_id="6") if frame)

    assert [next(frames).data, next(frames).data] == [b'{"first":\n1}', b"second"]

    assert [headers["Last-Event-ID"] for _, headers in scripted.seen] == ["6", "7"]
    assert scripted.seen[0][0] == "GET /s?a=b+c"


def test_silent_stream_lets_the_watcher_look_again(scripted: Scripted) -> None:
    def silence(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.rfile.read()  # until the client gives up

    scripted.script += [silence] * 100  # a server that is slow to answer is silent, too
    ticks = Client(scripted.url).follow("/s", quiet_seconds=0.1)

    assert [next(ticks), next(ticks)] == [None, None]
    assert len(scripted.seen) >= 2
    ticks.close()


def test_refused_stream_says_why(scripted: Scripted) -> None:
    scripted.script.append(plain(404, b'{"error": "no such log", "code": "NOT_FOUND"}'))

    with pytest.raises(Problem, match="no such log"):
        next(Client(scripted.url).follow("/s"))


def test_upload_that_is_refused_before_its_end_says_why(scripted: Scripted) -> None:
    scripted.script.append(plain(413, b'{"error": "larger than allowed", "code": "TOO_LARGE"}'))
    size_bytes = 64 * 1024**2

    with pytest.raises(Problem, match="larger than allowed") as refusal:
        Client(scripted.url).upload("/u", io.BytesIO(bytes(size_bytes)), size_bytes, lambda _: None)

    assert (refusal.value.status, refusal.value.code) == (413, "TOO_LARGE")


def test_field_and_hint_of_a_refusal_are_kept(scripted: Scripted) -> None:
    body = {"error": "too many", "code": "INVALID", "field": "spec.replicas", "hint": "take 100"}
    scripted.script.append(plain(422, json.dumps(body).encode()))

    with pytest.raises(Problem) as refusal:
        Client(scripted.url).call("POST", "/x", body={})

    assert refusal.value.message == "too many (spec.replicas)"
    assert refusal.value.hint == "take 100"


def test_other_programs_answer_is_not_taken_for_an_agents(scripted: Scripted) -> None:
    scripted.script.append(plain(502, b"<html>"))

    with pytest.raises(Problem, match="answers 502"):
        Client(scripted.url).get("/x")


@pytest.mark.parametrize("url", ["127.0.0.1:47080", "ftp://host", "http://", "http://host:port"])
def test_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Problem, match="cannot use"):
        Client(url)
