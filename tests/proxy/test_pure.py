"""Framing, heads and policy as functions: whatever the bytes, and however TCP cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.model import WakePolicy
from paas.proxy.fields import BadHead
from paas.proxy.framing import BadFraming, ChunkedBody, FixedBody, chunk, content_length, last_chunk
from paas.proxy.request_heads import RequestHead, RequestReader, host_name, to_upstream
from paas.proxy.response_heads import ResponseReader, to_client
from paas.proxy.wake_policy import Bystander, bystander
from paas.routes import Rules

Fed = tuple[bytes, bytes | None] | None
TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=20)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40)
TRAILERS = st.lists(st.tuples(TOKEN.map(str.encode), VALUE.map(str.encode)), max_size=4).map(tuple)


def feed(body: ChunkedBody | FixedBody, parts: list[bytes]) -> Fed:
    """Content and rest after all parts; None if refused."""
    content, rest = b"", None
    try:
        for part in parts:
            if rest is not None:
                rest += part
                continue
            pieces, rest = body.feed(part)
            content += b"".join(pieces)
    except BadFraming:
        return None
    return content, rest


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(min_value=0, max_value=10_000), max_size=8)


@given(st.lists(st.binary(min_size=1, max_size=300)), TRAILERS, st.binary(max_size=50), CUTS)
def test_chunks_are_read_as_written_however_they_are_cut(
    contents: list[bytes], trailers: tuple[tuple[bytes, bytes], ...], rest: bytes, places: list[int]
) -> None:
    raw = b"".join(b"".join(chunk([content])) for content in contents) + last_chunk(trailers)
    body = ChunkedBody(32_000)

    assert feed(body, cut(raw + rest, places)) == (b"".join(contents), rest)
    assert body.trailers == trailers


CHUNKISH = st.lists(
    st.sampled_from(
        [b"0", b"1", b"5", b"a", b"\r\n", b"\r", b"\n", b";", b"x", b" ", b"hello", b"X: y", b"+"]
    ),
    max_size=20,
).map(b"".join)


@given(CHUNKISH, CUTS)
def test_cuts_never_change_what_is_read_or_refused(raw: bytes, places: list[int]) -> None:
    whole = feed(ChunkedBody(32_000), [raw])
    pieces = feed(ChunkedBody(32_000), cut(raw, places))

    if (whole is not None and whole[1] is not None) or pieces is None or whole is None:
        assert pieces == whole
    else:
        assert pieces[0] == whole[0]
        assert pieces[1] is None


@given(st.binary(min_size=1, max_size=500), st.binary(max_size=50), CUTS)
def test_fixed_body_ends_where_it_says(content: bytes, rest: bytes, places: list[int]) -> None:
    fed = feed(FixedBody(len(content)), [part for part in cut(content + rest, places) if part])

    assert fed == (content, rest)


@given(st.binary(max_size=25))
def test_content_length_is_digits_or_refused(value: bytes) -> None:
    try:
        length = content_length(value)
    except BadFraming:
        assert not value.isdigit() or len(value) > 18
    else:
        assert value.isdigit()
        assert length == int(value)


def read(raw: bytes) -> RequestHead | None:
    try:
        return RequestReader().read(raw)
    except BadHead:
        return None


HEADISH = st.lists(
    st.sampled_from(
        [b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host: a", b"Host:b", b":",
         b"\t", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y",
         b"Connection: upgrade", b"Upgrade: x", b"\0"]
    ),
    max_size=14,
).map(b"".join)  # fmt: skip


@given(HEADISH)
def test_what_is_passed_on_reads_as_one_unambiguous_request(middle: bytes) -> None:
    head = read(b"GET / HTTP/1.1\r\nHost: a\r\n" + middle.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")

    if head is None:
        return
    written = to_upstream(head, b"X-Forwarded-For: 10.1.1.1\r\n")
    again = read(written)
    assert again is not None
    assert written.count(b"\r\n\r\n") == 1
    assert written.count(b"\n") == written.count(b"\r\n") == written.count(b"\r")
    assert (again.length, again.chunked, again.host) == (head.length, head.chunked, head.host)


@given(st.lists(st.tuples(TOKEN, VALUE), max_size=10))
def test_ordinary_fields_pass_in_order_both_ways(fields: list[tuple[str, str]]) -> None:
    names = [(f"X-a-{name}", value) for name, value in fields]
    lines = "".join(f"{name}: {value}\r\n" for name, value in names).encode()

    request = read(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    response = ResponseReader().read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines + b"\r\n", b"GET")

    assert request is not None
    assert lines in to_upstream(request, b"")
    assert lines in to_client(response, b"", chunked=False)


@given(st.lists(st.sampled_from([b"GET", b"HEAD"]), min_size=1, max_size=5))
def test_one_reader_reads_heads_in_a_row(methods: list[bytes]) -> None:
    reader = ResponseReader()
    for number, method in enumerate(methods):
        head = reader.read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: %d\r\n\r\n" % number, method)
        if head.has_body(method):
            reader.skip_body(b"abc", head.length)
        assert head.lines[-2] == b"%d" % number


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"App.Example", "app.example"),
        (b"app:80", "app"),
        (b"app.:80", "app"),
        (b"app:", "app"),
        (b"[::1]:80", "::1"),
        (b"[::1]", "::1"),
        (b"", None),
        (b".", None),
        (b"a b", None),
        (b"a:b", None),
        (b"a@b", None),
        (b"a/b", None),
        (b"\xe4.de", None),
        (b"[::1]x", None),
        (b"a" * 300, None),
    ],
)
def test_host_names(host: bytes, name: str | None) -> None:
    assert host_name(host) == name


BROWSERS = [
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1.15 Version/17.0 Safari/605.1",
    b"Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Instagram 300.0",
    b"curl/8.5.0",
    b"Wget/1.21.4", b"python-requests/2.31.0", b"Python/3.11 aiohttp/3.9", b"Go-http-client/1.1",
    b"okhttp/4.12.0", b"axios/1.6.0", b"PostmanRuntime/7.36.0", b"GitHub-Hookshot/abc", b"Stripe/1.0", b"",
]  # fmt: skip


@pytest.mark.parametrize("agent", BROWSERS)
def test_people_and_programs_are_no_bystanders(agent: bytes) -> None:
    assert bystander(Rules(), b"GET", b"/", agent) is None


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Bystander.CRAWLER),
        (b"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", Bystander.CRAWLER),
        (b"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Bystander.CRAWLER),
        (b"facebookexternalhit/1.1", Bystander.CRAWLER),
        (b"Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.2)", Bystander.CRAWLER),
        (b"kube-probe/1.29", Bystander.PROBE),
        (b"Uptime-Kuma/1.23.0", Bystander.PROBE),
        (b"Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", Bystander.PROBE),
    ],
)
def test_crawlers_and_probes_are_known_unless_the_policy_lets_them(agent: bytes, kind: Bystander) -> None:
    assert bystander(Rules(), b"GET", b"/", agent) is kind
    let = Rules(wake_policy=WakePolicy(crawlers=True, probes=True))
    assert bystander(let, b"GET", b"/", agent) is None


def test_paths_count_as_they_are_read() -> None:
    rules = Rules(health_path="/up")

    assert bystander(rules, b"GET", b"/favicon.ico?v=2", b"") is Bystander.WELL_KNOWN
    assert bystander(rules, b"HEAD", b"/up", b"") is Bystander.HEALTH
    assert bystander(rules, b"POST", b"/up", b"") is None
    assert bystander(rules, b"GET", b"/favicon.icon", b"") is None
    assert bystander(rules, b"GET", b"/up/more", b"") is None
