"""What the router counts: answers and bytes of a task or a deployment, and how wakes went."""

from array import array
from collections.abc import Sequence

from paas.core.live import PhaseStats, Traffic, WakePhases, WakeStats

KEPT_WAKES = 32  # remembered per deployment, for p50 and p95
PHASES = 4  # queue, start, ready, first byte
PLACES = 11  # by the first digit of a status, and the two below
NONE = 0  # the place of requests whose client left before any answer
CONNECTED = 10  # and that of connections to apps that speak no HTTP
_FIRST_BYTE = PHASES - 1
_NAMES = {NONE: "none", CONNECTED: "tcp"}
_NOT_YET = -1.0


class Tally:
    """Answers by the first digit of their status, and bytes from and to clients, as on the wire.

    Plain numbers, since each request adds to them. Two places of `answers` are no status: NONE, CONNECTED.
    """

    __slots__ = ("answers", "bytes_in", "bytes_out", "cpu_secs", "cpu_told")

    def __init__(self) -> None:
        self.answers = [0] * PLACES
        self.bytes_in = 0
        self.bytes_out = 0
        self.cpu_secs = 0.0  # of tasks that have ended
        self.cpu_told = 0.0  # the last answer to how much it was with those that run

    def add(self, other: "Tally") -> None:
        self.answers = [mine + more for mine, more in zip(self.answers, other.answers, strict=True)]
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.cpu_secs += other.cpu_secs

    def is_empty(self) -> bool:
        return not (any(self.answers) or self.bytes_in or self.bytes_out or self.cpu_secs)

    def traffic(self) -> Traffic:
        return Traffic(
            requests=sum(self.answers),
            answers={
                _NAMES.get(place, f"{place}xx"): count for place, count in enumerate(self.answers) if count
            },
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )


class WakeLog:
    """How the last wakes of one deployment went, phase by phase; made by its first wake.

    A ring of 32-bit floats: half a kilobyte, whatever comes.
    """

    __slots__ = ("_ring", "_totals", "count", "first_bytes")

    def __init__(self) -> None:
        self._ring = array("f")
        self._totals = array("d", [0.0] * PHASES)  # seconds, since the agent started
        self.count = 0
        self.first_bytes = 0  # wakes of which an answer began

    def note(
        self, since: float, submitted_at: float | None, started_at: float | None, ready_at: float
    ) -> None:
        """Take in a wake, in monotonic seconds; its first byte is yet to leave.

        What was done before the first waiter came, at `since`, or is not known, took it no time.
        """
        submitted_at = max(since, submitted_at or since)
        started_at = max(submitted_at, started_at or submitted_at)
        queue, start, ready = submitted_at - since, started_at - submitted_at, ready_at - started_at
        row = array("f", (queue, start, ready, _NOT_YET))
        if self.count < KEPT_WAKES:
            self._ring.extend(row)
        else:
            place = self.count % KEPT_WAKES * PHASES
            self._ring[place : place + PHASES] = row
        self.count += 1
        for phase, seconds in enumerate((queue, start, ready)):
            self._totals[phase] += seconds

    def note_first_byte(self, seconds: float) -> None:
        """Complete the last wake: so long after its task was ready the first answer began."""
        place = (self.count - 1) % KEPT_WAKES * PHASES + _FIRST_BYTE
        if self._ring[place] == _NOT_YET:
            self._ring[place] = seconds
            self._totals[_FIRST_BYTE] += seconds
            self.first_bytes += 1

    def stats(self) -> WakeStats:
        queue, start, ready, first_byte = (self._ring[phase::PHASES] for phase in range(PHASES))
        newest = (self.count - 1) % KEPT_WAKES
        whole = list(map(sum, zip(queue, start, ready, strict=True)))
        p50, p95 = _percentiles(whole)
        return WakeStats(
            count=self.count,
            last=whole[newest],
            p50=p50,
            p95=p95,
            phases=WakePhases(
                queue=self._phase(0, queue[newest], queue),
                start=self._phase(1, start[newest], start),
                ready=self._phase(2, ready[newest], ready),
                first_byte=self._phase(
                    _FIRST_BYTE,
                    max(0.0, first_byte[newest]),
                    [seconds for seconds in first_byte if seconds != _NOT_YET],
                ),
            ),
        )

    def _phase(self, phase: int, last: float, kept: Sequence[float]) -> PhaseStats:
        p50, p95 = _percentiles(kept)
        return PhaseStats(
            count=self.first_bytes if phase == _FIRST_BYTE else self.count,
            total=self._totals[phase],
            last=last,
            p50=p50,
            p95=p95,
        )


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
