"""Messages that two readers could read differently: refused, in both directions."""

import pytest

from tests.proxy.rig import HOST, Rig, answers, answers_once, fields_of, request, status_of

H = b"Host: %b\r\n" % HOST.encode()
CL, TE = b"Content-Length: ", b"Transfer-Encoding: "
POST = b"POST / HTTP/1.1\r\n" + H
GET = b"GET / HTTP/1.1\r\n" + H

REQUESTS = {
    "length and chunks": POST + CL + b"5\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + TE + b"chunked\r\n" + CL + b"5\r\n\r\n0\r\n\r\n",
    "zero length and chunks": POST + CL + b"0\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + CL + b"5\r\n" + CL + b"6\r\n\r\nhello",
    "the same length twice": POST + CL + b"5\r\n" + CL + b"5\r\n\r\nhello",
    "list of lengths": POST + CL + b"5, 5\r\n\r\nhello",
    "positive length": POST + CL + b"+5\r\n\r\nhello",
    "negative length": POST + CL + b"-5\r\n\r\nhello",
    "hexadecimal length": POST + CL + b"0x5\r\n\r\nhello",
    "fractional length": POST + CL + b"5.0\r\n\r\nhello",
    "spaced length": POST + CL + b"5 5\r\n\r\nhello",
    "empty length": POST + CL + b"\r\n\r\n",
    "huge length": POST + CL + b"9" * 30 + b"\r\n\r\n",
    "length in other digits": POST + CL + b"\xd9\xa5" + b"\r\n\r\nhello",
    "bare LF after the request line": b"GET / HTTP/1.1\n" + H + b"\r\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nX: 1\n" + H + b"\r\n",
    "bare LF only": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare LF at the end": GET + b"\n",
    "bare CR in a value": GET + b"X: a\rb\r\n\r\n",
    "bare CR before a field": GET + b"\rX: a\r\n\r\n",
    "CR CR LF": GET + b"X: a\r\r\n\r\n",
    "bare CR as line end": b"GET / HTTP/1.1\r" + H + b"\r\n",
    "folded field": GET + b"X: a\r\n b\r\n\r\n",
    "field folded by a tab": GET + b"X: a\r\n\tb\r\n\r\n",
    "first field folded": b"GET / HTTP/1.1\r\n X: a\r\n" + H + b"\r\n",
    "space before the colon": GET + b"Content-Length : 5\r\n\r\nhello",
    "tab before the colon": GET + b"X\t: 5\r\n\r\n",
    "space in a name": GET + b"X Y: 5\r\n\r\n",
    "no colon": GET + b"Nonsense\r\n\r\n",
    "empty name": GET + b": 5\r\n\r\n",
    "control in a name": GET + b"X\x01: 5\r\n\r\n",
    "byte above ASCII in a name": GET + b"X\xe9: 5\r\n\r\n",
    "NUL in a value": GET + b"X: a\x00b\r\n\r\n",
    "control in a value": GET + b"X: a\x08b\r\n\r\n",
    "DEL in a value": GET + b"X: a\x7fb\r\n\r\n",
    "two hosts": GET + H + b"\r\n",
    "two hosts that differ": GET + b"host: other\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "host list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "host with a bad port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "absolute target with a user": b"GET http://a@b/ HTTP/1.1\r\n" + H + b"\r\n",
    "target without slash": b"GET x HTTP/1.1\r\n" + H + b"\r\n",
    "asterisk with GET": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "target of another scheme": b"GET ftp://a/ HTTP/1.1\r\n" + H + b"\r\n",
    "coding gzip": POST + TE + b"gzip\r\n\r\n",
    "coding gzip, chunked": POST + TE + b"gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding chunked, gzip": POST + TE + b"chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + TE + b"chunked\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": POST + TE + b"chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked with a parameter": POST + TE + b"chunked;a=b\r\n\r\n0\r\n\r\n",
    "coding xchunked": POST + TE + b"xchunked\r\n\r\n0\r\n\r\n",
    "coding with vertical tab": POST + TE + b"\x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in quotes": POST + TE + b'"chunked"\r\n\r\n0\r\n\r\n',
    "empty coding": POST + TE + b"\r\n\r\n",
    "coding identity": POST + TE + b"identity\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\n" + H + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "three words too many": b"GET / x HTTP/1.1\r\n" + H + b"\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\n" + H + b"\r\n",
    "tab for space": b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n",
    "no version": b"GET /\r\n" + H + b"\r\n",
    "other protocol": b"GET / RTSP/1.0\r\n" + H + b"\r\n",
    "unknown method": b"GETS / HTTP/1.1\r\n" + H + b"\r\n",
    "lower-case method": b"get / HTTP/1.1\r\n" + H + b"\r\n",
    "control in the target": b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}  # fmt: skip
CHUNKS = {
    "size that is none": b"x\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "size that overflows 64 bits": b"1" + b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n",
    "size that overflows the sign": b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n",
    "content longer than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "content shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "no line end after the content": b"5\r\nhello0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR after the size": b"5\rhello\r\n0\r\n\r\n",
    "bare LF after the content": b"5\r\nhello\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "control in an extension": b"5;a\x01\r\nhello\r\n0\r\n\r\n",
    "endless extension": b"5;" + b"a" * 10_000 + b"\r\nhello\r\n0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "bare LF in a trailer": b"5\r\nhello\r\n0\r\nX: 1\n\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n",
    "trailer with a space before the colon": b"5\r\nhello\r\n0\r\nX : 1\r\n\r\n",
    "trailer with NUL": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "endless trailers": b"5\r\nhello\r\n0\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("raw", REQUESTS.values(), ids=REQUESTS)
async def test_ambiguous_request_is_refused_and_its_connection_closed(rig: Rig, raw: bytes) -> None:
    app = await rig.serve()

    answer = await rig.ask(raw + request(target=b"/smuggled"))

    assert status_of(answer) == (505 if raw.startswith(b"PRI") else 400)
    assert answer.count(b"\r\n\r\n") == 1
    assert fields_of(answer)["connection"] == "close"
    assert not app.connections


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
async def test_chunk_that_lies_is_refused_and_its_connection_closed(rig: Rig, body: bytes) -> None:
    app = await rig.serve()

    raw = request(b"Transfer-Encoding: chunked", method=b"POST", body=body)
    answer = await rig.ask(raw + request(target=b"/smuggled"))

    assert status_of(answer) == 400
    assert answer.count(b"\r\n\r\n") == 1
    assert fields_of(answer)["connection"] == "close"
    assert len(app.connections) <= 1  # nothing of the second request may have reached it
    assert rig.in_flight() == 0


async def test_body_that_looks_like_a_request_stays_a_body(rig: Rig) -> None:
    app = await rig.serve()
    inner = request(target=b"/smuggled")

    answer = await rig.ask(
        request(b"Content-Length: %d" % len(inner), b"Connection: close", method=b"POST", body=inner)
    )

    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.endswith(inner)
    assert len(app.connections) == 1


OK = b"HTTP/1.1 200 OK\r\n"
RESPONSES = {
    "length and chunks": OK + CL + b"5\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + CL + b"5\r\n" + CL + b"6\r\n\r\nhello",
    "the same length twice": OK + CL + b"5\r\n" + CL + b"5\r\n\r\nhello",
    "list of lengths": OK + CL + b"5, 5\r\n\r\nhello",
    "signed length": OK + CL + b"+5\r\n\r\nhello",
    "other coding": OK + TE + b"gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + TE + b"chunked\r\n\r\n0\r\n\r\n",
    "bare CR": OK + b"X: a\rb\r\n\r\n",
    "bare LF": OK + b"X: a\nSet-Cookie: b\r\n\r\n",
    "NUL": OK + b"X: a\x00\r\n\r\n",
    "folded": OK + b"X: a\r\n b\r\n\r\n",
    "space before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 No\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "switch unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "bad first chunk": OK + TE + b"chunked\r\n\r\nzz\r\n",
    "endless head": OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("raw", RESPONSES.values(), ids=RESPONSES)
async def test_ambiguous_answer_is_502_and_its_connection_closed(rig: Rig, raw: bytes) -> None:
    app = await rig.serve(answers_once(raw) if not raw else answers(raw))

    answer = await rig.get()

    assert status_of(answer) == 502
    assert fields_of(answer)["x-error-detail"]
    assert rig.in_flight() == 0
    assert await app.connections[0].is_closed_by_peer()


async def test_bytes_after_an_answer_are_never_the_next_answer(rig: Rig) -> None:
    app = await rig.serve(answers(OK + CL + b"2\r\n\r\nok" + OK + CL + b"4\r\n\r\nevil"))
    line = await rig.connect()

    for _ in range(3):
        await line.send(request())
        await line.read_head()
        assert await line.read_exactly(2) == b"ok"

    assert len(app.connections) == 3
