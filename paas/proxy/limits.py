"""What one client, one app and all of them together may cost. Seconds, bytes and counts."""

from paas.core.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """Every bound the proxy keeps. Times are looked at every `sweep_secs`, and may be off by that much."""

    head_bytes: int = 32 * 1024  # of a request, and of one trailer section; past it 431
    header_count: int = 100  # past it 431
    response_head_bytes: int = 64 * 1024  # past it 502
    head_arrival_secs: float = 10.0  # from the first byte of a head to its end; past it 408
    idle_connection_secs: float = 75.0  # between two requests of a connection
    stalled_secs: float = 120.0  # a client that neither reads what we send nor sends what it announced
    linger_secs: float = 5.0  # to read and forget after an answer that ends the connection

    connections: int = 10_000  # past it 503 and close

    waiting_per_deployment: int = 256  # requests held for a wake; past it 503
    waiting_total: int = 1024  # the same over all deployments
    waiting_bytes: int = 32 * 1024 * 1024  # heads, and body bytes that came along with them
    wake_patience_secs: float = 60.0  # for a wake; past it 503

    connect_secs: float = 5.0  # until the app accepts a connection
    upstream_idle_secs: float = 4.0  # shorter than the 5 s after which many servers close theirs
    upstream_idle_connections: int = 64  # kept per task
    retry_pause_secs: float = 0.1  # before a refused connection is tried again, for news of the task

    buffer_bytes: int = 64 * 1024  # unsent bytes per direction, above which the sender is not read
    sweep_secs: float = 1.0
