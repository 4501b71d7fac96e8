"""Answers that the proxy gives by itself. Pure."""

from http import HTTPStatus

from paas.core.live import Refusal, WakeStats
from paas.core.records import dataclass
from paas.proxy.wake_policy import FAVICON, Bystander

GUESSED_WAKE_SECS = 5.0  # for Retry-After, until a wake was measured
LONGEST_DETAIL = 300
_ASLEEP = b"X-App-State: asleep\r\n"


@dataclass(frozen=True, slots=True)
class Page:
    """What to answer. `text` is a sentence for people; `lines` are whole header lines."""

    status: HTTPStatus
    text: str
    lines: bytes = b""

    def write(self, *, close: bool, head_only: bool = False, extra: bytes = b"") -> bytes:
        """Write the whole response."""
        body = b"" if self.status is HTTPStatus.NO_CONTENT else f"{self.text}\n".encode()
        length = b"" if self.status is HTTPStatus.NO_CONTENT else b"Content-Length: %d\r\n" % len(body)
        return (
            b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
            b"Via: 1.1 paas\r\n%b%b%b%b\r\n%b"
        ) % (
            self.status,
            self.status.phrase.encode(),
            length,
            self.lines,
            extra,
            b"Connection: close\r\n" if close else b"",
            b"" if head_only else body,
        )


def malformed(status: int, reason: str) -> Page:
    return Page(HTTPStatus(status), f"the request is refused: {reason}")


def unknown_host(host: str) -> Page:
    return Page(HTTPStatus.NOT_FOUND, f"no app answers to {host}")


def broken(reason: str) -> Page:
    return Page(HTTPStatus.BAD_GATEWAY, "the app did not answer", _detail(reason))


def refused(refusal: Refusal, now: float) -> Page:
    """Say that the app cannot be started; `now` is in epoch seconds, like `refusal.until`."""
    lines = _detail(refusal.reason)
    if refusal.until is not None:
        lines += _retry_after(refusal.until - now)
    return Page(HTTPStatus.SERVICE_UNAVAILABLE, "the app cannot serve now", lines)


def not_now(reason: str, wakes: WakeStats | None = None) -> Page:
    """Ask to come back when a wake, by those that were measured, would be over."""
    lines = _retry_after(wakes.p95 if wakes else GUESSED_WAKE_SECS) + _detail(reason)
    return Page(HTTPStatus.SERVICE_UNAVAILABLE, reason, lines)


def asleep(kind: Bystander, target: bytes, wakes: WakeStats | None) -> Page:
    """Answer a request that does not wake the app."""
    match kind:
        case Bystander.WELL_KNOWN if target.startswith(FAVICON):
            return Page(HTTPStatus.NO_CONTENT, "", _ASLEEP)
        case Bystander.WELL_KNOWN:
            return Page(HTTPStatus.OK, "User-agent: *\nAllow: /", _ASLEEP)
        case Bystander.HEALTH:
            return Page(HTTPStatus.OK, "asleep", _ASLEEP)
        case Bystander.CRAWLER | Bystander.PROBE:
            page = not_now("the app is asleep and does not wake for this client", wakes)
            return Page(page.status, page.text, page.lines + _ASLEEP)


def _detail(reason: str) -> bytes:
    """Write an X-Error-Detail line: one line of printable ASCII, whatever the reason was."""
    plain = "".join(char if " " <= char <= "~" else " " for char in reason)
    return b"X-Error-Detail: %b\r\n" % plain[:LONGEST_DETAIL].strip().encode("ascii")


def _retry_after(seconds: float) -> bytes:
    """Write a Retry-After line: whole seconds, at least one, not before the moment meant."""
    return b"Retry-After: %d\r\n" % max(1, -int(-seconds // 1))
