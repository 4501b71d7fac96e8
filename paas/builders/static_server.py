"""A web server for one folder of files. It is copied into programs, and runs there alone: nothing of paas.

    python3 -ISE -c "..." FOLDER...    # the first with an index.html, else the first that is there

Listens at $HOST:$PORT. Only modules of C are imported, since every start after a sleep waits for it.
RFC 9110, RFC 9112.
"""

import _socket
import posix
import select
import sys
import time

HEAD_BYTES = 32 * 1024
IDLE_SECS = 75.0
CHUNK = 256 * 1024
BACKLOG = 1024
NONE = 0
LAST_ASCII = 127
FILE, FOLDER, KINDS = 0o100000, 0o040000, 0o170000  # of st_mode
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
REASONS = {
    200: "OK",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
    431: "Request Header Fields Too Large",
}
TYPES = {
    "avif": "image/avif",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "gif": "image/gif",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "application/xml",
    "zip": "application/zip",
}


class Refused(Exception):
    """Answered with this status instead of a file."""

    def __init__(self, status: int, *headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Client:
    """One connection: what has come of its next request, and what is left to send."""

    def __init__(self, connection: _socket.socket) -> None:
        self.connection = connection
        self.seen = time.monotonic()
        self.received = b""
        self.pending = b""
        self.file = -1
        self.offset = 0
        self.left = 0
        self.closing = False

    @property
    def is_sending(self) -> bool:
        return bool(self.pending or self.left)

    def close(self) -> None:
        self.end_file()
        self.connection.close()

    def end_file(self) -> None:
        if self.file >= 0:
            posix.close(self.file)
        self.file, self.left = -1, 0


class Server:
    def __init__(self, root: str, listener: _socket.socket) -> None:
        self.root = root
        self.listener = listener
        self.poll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.poll.register(listener.fileno(), select.EPOLLIN)

    def run(self) -> None:
        while True:
            for descriptor, _ in self.poll.poll(IDLE_SECS / 4):
                if descriptor == self.listener.fileno():
                    self.accept()
                else:
                    self.serve(self.clients[descriptor])
            self.drop_idle()

    def accept(self) -> None:
        try:
            descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - as socket.py does
        except OSError:  # it has gone again, or there are no descriptors left
            return
        connection = _socket.socket(fileno=descriptor)
        connection.setblocking(False)
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.clients[descriptor] = Client(connection)
        self.poll.register(descriptor, select.EPOLLIN)

    def serve(self, client: Client) -> None:
        client.seen = time.monotonic()
        try:
            if client.is_sending:
                self.send(client)
            else:
                self.receive(client)
        except OSError:
            self.drop(client)

    def receive(self, client: Client) -> None:
        try:
            received = client.connection.recv(HEAD_BYTES)
        except BlockingIOError:
            return
        if not received:
            self.drop(client)
            return
        client.received += received
        self.answer_next(client)

    def answer_next(self, client: Client) -> None:
        head, end, rest = client.received.partition(b"\r\n\r\n")
        if not end:
            if len(client.received) > HEAD_BYTES:
                client.received, client.closing = b"", True
                self.begin(client, *failed(self.root, 431))
            return
        client.received = rest
        self.begin(client, *answered(self.root, head, client))

    def begin(self, client: Client, head: bytes, file: int, offset: int, length: int) -> None:
        client.pending, client.file, client.offset, client.left = head, file, offset, length
        self.send(client)

    def send(self, client: Client) -> None:
        descriptor = client.connection.fileno()
        try:
            while client.pending:
                more = _socket.MSG_MORE if client.left else NONE
                client.pending = client.pending[client.connection.send(client.pending, more) :]
            while client.left:
                sent = posix.sendfile(descriptor, client.file, client.offset, min(client.left, CHUNK))
                if not sent:  # the file has become shorter: nothing else can tell the client
                    self.drop(client)
                    return
                client.offset += sent
                client.left -= sent
        except BlockingIOError:
            self.poll.modify(descriptor, select.EPOLLOUT)
            return
        client.end_file()
        if client.closing:
            self.drop(client)
            return
        self.poll.modify(descriptor, select.EPOLLIN)
        if client.received:
            self.answer_next(client)

    def drop(self, client: Client) -> None:
        del self.clients[client.connection.fileno()]
        client.close()

    def drop_idle(self) -> None:
        limit = time.monotonic() - IDLE_SECS
        for client in [client for client in self.clients.values() if client.seen < limit]:
            self.drop(client)


def answered(root: str, head: bytes, client: Client) -> tuple[bytes, int, int, int]:
    """Give the head of an answer, and what of which file follows it."""
    try:
        method, target, headers = parsed(head, client)
    except Refused as refused:
        client.closing = True
        return failed(root, refused.status, *refused.headers)
    try:
        answer = found(root, method, target, headers)
    except Refused as refused:
        answer = failed(root, refused.status, *refused.headers)
    if method == "HEAD":
        if answer[1] >= 0:
            posix.close(answer[1])
        return answer[0], -1, 0, 0
    return answer


def parsed(head: bytes, client: Client) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    method, _, others = lines[0].partition(" ")
    target, _, version = others.partition(" ")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Refused(400)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Refused(400)
        headers[name.lower()] = value.strip()
    wish = headers.get("connection", "").lower()
    client.closing = "close" in wish or (version == "HTTP/1.0" and "keep-alive" not in wish)
    if method not in ("GET", "HEAD"):
        raise Refused(405, "Allow: GET, HEAD")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        client.closing = True  # nobody reads a body here
    return method, target, headers


def found(root: str, method: str, target: str, headers: dict[str, str]) -> tuple[bytes, int, int, int]:
    path, question, query = target.partition("?")
    names = safe_names(path)
    place = "/".join((root, *names))
    file, state = opened(root, place)
    if file < 0 and state is not None:  # a folder
        if not path.endswith("/"):
            raise Refused(301, f"Location: /{'/'.join(map(quoted, names))}/{question}{query}")
        place = f"{place}/index.html"
        file, state = opened(root, place)
    elif file < 0 and not path.endswith("/"):  # as sites are often made: /about is about.html
        place = f"{place}.html"
        file, state = opened(root, place)
    elif file >= 0 and path.endswith("/"):
        posix.close(file)
        raise Refused(404)
    if file < 0 or state is None:
        raise Refused(404)
    return described(method, place, file, state, headers)


def described(
    method: str, place: str, file: int, state: posix.stat_result, headers: dict[str, str]
) -> tuple[bytes, int, int, int]:
    tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
    modified = http_date(state.st_mtime)
    common = (f"ETag: {tag}", f"Last-Modified: {modified}", "Accept-Ranges: bytes")
    if is_known(tag, modified, headers):
        posix.close(file)
        return head_of(304, 0, *common, has_body=False), -1, 0, 0
    kind = f"Content-Type: {TYPES.get(place.rpartition('.')[2].lower(), 'application/octet-stream')}"
    wanted = headers.get("range", "") if method == "GET" else ""
    if wanted and headers.get("if-range", tag) in (tag, modified):
        start, end = span_of(wanted, state.st_size)
        if start < 0:
            posix.close(file)
            raise Refused(416, f"Content-Range: bytes */{state.st_size}")
        if end:
            span = f"Content-Range: bytes {start}-{end - 1}/{state.st_size}"
            return head_of(206, end - start, kind, span, *common), file, start, end - start
    return head_of(200, state.st_size, kind, *common), file, 0, state.st_size


def is_known(tag: str, modified: str, headers: dict[str, str]) -> bool:
    """Say whether the client has it already; the tag counts where both are given."""
    if "if-none-match" in headers:
        tags = [each.strip().removeprefix("W/") for each in headers["if-none-match"].split(",")]
        return tag in tags or "*" in tags
    return headers.get("if-modified-since") == modified


def span_of(wanted: str, size: int) -> tuple[int, int]:
    """Read one range: its start and end; (0, 0) for one to be ignored, (-1, 0) for one beyond the file."""
    unit, _, span = wanted.partition("=")
    first, dash, last = span.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return 0, 0
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else (-1, 0)
    start, end = int(first), min(int(last) + 1 if last else size, size)
    if last and int(last) < start:
        return 0, 0
    return (start, end) if start < end else (-1, 0)


def safe_names(path: str) -> list[str]:
    """Take a path apart. Raises Refused for one that leaves the root or names what is hidden."""
    try:
        plain = unquoted(path).decode("utf-8")
    except ValueError:
        raise Refused(400) from None
    if not path.startswith("/") or "\0" in plain:
        raise Refused(400)
    names = [name for name in plain.split("/") if name]
    if any(name.startswith(".") and name != ".well-known" for name in names):
        raise Refused(404)
    return names


def opened(root: str, place: str) -> tuple[int, "posix.stat_result | None"]:
    """Open a file below the root; (-1, state) for a folder, (-1, None) for nothing that may be shown."""
    try:
        file = posix.open(place, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return -1, None
    state = posix.fstat(file)
    real = posix.readlink(f"/proc/self/fd/{file}")
    hidden = "/." in real[len(root) :].replace("/.well-known", "")
    is_file = state.st_mode & KINDS == FILE
    if is_file and real.startswith(f"{root}/") and not hidden:
        return file, state
    posix.close(file)
    is_folder = state.st_mode & KINDS == FOLDER and (real == root or real.startswith(f"{root}/"))
    return -1, state if is_folder and not hidden else None


def failed(root: str, status: int, *headers: str) -> tuple[bytes, int, int, int]:
    if REASONS[status] == "Not Found":
        file, state = opened(root, f"{root}/404.html")
        if file >= 0 and state is not None:
            return (
                head_of(404, state.st_size, "Content-Type: text/html; charset=utf-8"),
                file,
                0,
                state.st_size,
            )
    text = f"{status} {REASONS[status]}\n".encode()
    head = head_of(status, len(text), "Content-Type: text/plain; charset=utf-8", *headers)
    return head + text, -1, 0, 0


def head_of(status: int, length: int, *headers: str, has_body: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Date: {http_date(time.time())}", *headers]
    if has_body:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def http_date(at: float) -> str:
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(at)
    return f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"


def unquoted(text: str) -> bytes:
    """Undo percent-encoding. Raises ValueError."""
    first, *others = text.encode("latin-1").split(b"%")
    pieces = [first]
    for each in others:
        pieces += [bytes.fromhex(each[:2].decode("ascii").ljust(2, "?")), each[2:]]
    return b"".join(pieces)


def quoted(name: str) -> str:
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte <= LAST_ASCII) or byte in b"-._~" else f"%{byte:02X}"
        for byte in name.encode("utf-8")
    )


def root_of(folders: list[str]) -> str:
    there = [folder for folder in folders if exists(folder)]
    chosen = next((folder for folder in there if exists(f"{folder}/index.html")), (there or ["."])[0])
    descriptor = posix.open(chosen, posix.O_RDONLY)
    real = posix.readlink(f"/proc/self/fd/{descriptor}")
    posix.close(descriptor)
    return real


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def main() -> None:
    host = posix.environ.get(b"HOST", b"127.0.0.1").decode()
    port = int(posix.environ.get(b"PORT", b"8000"))
    listener = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    Server(root_of(sys.argv[1:]), listener).run()


if __name__ == "__main__":
    main()
