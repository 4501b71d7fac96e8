"""Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html defines them."""

from collections.abc import Iterator
from typing import Protocol

from paas.core.records import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    id: str | None
    data: bytes


class Lines(Protocol):
    def readline(self) -> bytes: ...


def read_frames(stream: Lines) -> Iterator[Frame | None]:
    """Yield frames until the stream ends, and None for a comment, which says that it still lives."""
    frame_id: str | None = None
    data: list[bytes] = []
    while line := stream.readline():
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                data.append(value)
            case b"id":
                frame_id = value.decode()
            case b"" if value or line.startswith(b":"):
                yield None
            case b"":
                if data:
                    yield Frame(frame_id, b"\n".join(data))
                frame_id, data = None, []
            case _:
                pass  # event, retry and unknown fields mean nothing here
