"""What the engine says while it builds: a stream of JSON, made into lines, steps and results. Pure."""

import re

import msgspec

from paas.core.errors import BuildFailed
from paas.core.records import dataclass, field

# As Docker writes it, and as Podman does: "Step 2/5 : RUN make", "STEP 2/5: RUN make".
_STEP = re.compile(r"(step) (\d+)/(\d+)( ?: )(.*)", re.IGNORECASE)
_RUNNING_IN = re.compile(r" ?---> Running in ([0-9a-f]{12,64})")
_REMOVED = "Removing intermediate container "
_OF_A_STEP = re.compile(r" ?---?>|Removing intermediate container")
_LAYER = re.compile(r" ?---?> ([0-9a-f]{11,64})")
_CACHED = re.compile(r" ?---?> Using cache.*")
_EXIT_CODE = re.compile(r"returned a non-zero code: (\d+)|while running runtime: exit status (\d+)")
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
LONGEST_LINE = 256 * 1024  # without its end; the rest is a line of its own
LONGEST_MESSAGE = 4 * 1024 * 1024
LONGEST_INSTRUCTION = 200  # characters of it that a reason shows
KILLED = 137


class _Detail(msgspec.Struct):
    code: int | None = None
    message: str = ""


class _Aux(msgspec.Struct):
    ID: str = ""


class _Message(msgspec.Struct):
    """One object of the stream; a pull of the base image says `status` and whose by `id`."""

    stream: str = ""
    status: str = ""
    id: str = ""
    progress: str = ""
    error: str = ""
    errorDetail: _Detail | None = None  # noqa: N815 - the engine's word
    aux: _Aux | None = None


@dataclass(slots=True)
class BuildOutput:
    """Takes the stream as it comes; knows where the build is and what it has made."""

    labels: int = 0  # that the engine sets in steps of its own, at the end: nobody wrote them
    memory_bytes: int = 0  # what a step may have, for the words about one that was killed
    image_id: str | None = None
    container: str | None = None  # of the step that runs
    lines: list[str] = field(default_factory=list)  # whole ones, to be taken by `take`
    layers: list[str] = field(default_factory=list)  # made and not found; likewise
    _step: tuple[int, int, str] | None = None
    _is_cached: bool = False
    _is_added: bool = False
    _rest: bytes = b""
    _line: str = ""

    def feed(self, content: bytes) -> None:
        """Read what came. Raises BuildFailed with the step that the engine says has failed."""
        *messages, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > LONGEST_MESSAGE:
            raise BuildFailed("cannot build: the engine's answer makes no sense")
        for raw in messages:
            if raw.strip():
                self._note(_message(raw))

    def finish(self) -> None:
        """Read what is left once the stream has ended. Raises as `feed` does, and if it came to nothing."""
        self.feed(b"\n")
        self._end_line()
        if self.image_id is None:
            raise BuildFailed(f"cannot build: the engine ended the connection{self.where(', in ')}")

    def take(self) -> tuple[list[str], list[str]]:
        """Take the lines and layers since the last time."""
        taken = self.lines, self.layers
        self.lines, self.layers = [], []
        return taken

    def where(self, before: str = "") -> str:
        """Name the step it is in: "step 3 of 5, RUN make"; empty before the first."""
        if self._step is None:
            return ""
        number, total, instruction = self._step
        if len(instruction) > LONGEST_INSTRUCTION:
            instruction = f"{instruction[:LONGEST_INSTRUCTION]}..."
        return f"{before}step {number} of {total}, {instruction}"

    def _note(self, message: _Message) -> None:
        if message.aux is not None and message.aux.ID:
            self.image_id = message.aux.ID
        if message.status and not message.progress:
            self.lines.append(f"{message.id}: {message.status}" if message.id else message.status)
        self._add(_uncoloured(message.stream))
        if message.error:
            self._end_line()
            raise self._failure(message)

    def _add(self, text: str) -> None:
        *whole, rest = text.split("\n")
        for end in whole:
            self._line += end
            self._end_line(even_empty=True)
        self._line += rest
        if len(self._line) > LONGEST_LINE:
            self._end_line()

    def _end_line(self, *, even_empty: bool = False) -> None:
        line, self._line = self._line.rstrip("\r"), ""
        if not line and not even_empty:
            return
        if step := _STEP.fullmatch(line):
            line = self._begin_step(step)
        if not self._is_added or not (step or _OF_A_STEP.match(line)):
            self.lines.append(line)
        if step:
            return
        if running := _RUNNING_IN.fullmatch(line):
            self.container = running[1]
        elif line.startswith(_REMOVED):
            self.container = None
        if _CACHED.fullmatch(line):
            self._is_cached = True
        elif (layer := _LAYER.fullmatch(line)) and not self._is_cached:
            self.layers.append(layer[1])

    def _begin_step(self, step: re.Match[str]) -> str:
        """Note where the build is, and count only the steps that somebody wrote."""
        word, number, total, between, instruction = step.groups()
        written = max(1, int(total) - self.labels)
        self._is_added = int(number) > written
        if not self._is_added:
            self._step = int(number), written, instruction.strip()
        self._is_cached = instruction.lstrip().upper().startswith("FROM ")  # an image of somebody else's
        return f"{word} {number}/{written}{between}{instruction}"

    def _failure(self, message: _Message) -> BuildFailed:
        detail = message.errorDetail or _Detail()
        said = (detail.message or message.error).strip()
        ended = _EXIT_CODE.search(said)
        code = detail.code or (int(ended[1] or ended[2]) if ended else None)
        cause = said if code is None or self._step is None else f"exit code {code}"
        hint = None
        if code == KILLED and self.memory_bytes:
            mebibytes = self.memory_bytes // 1024**2
            hint = f"it was killed; did it want more than {mebibytes} MiB, the memory of a build?"
        where = self.where()
        return BuildFailed(f"{where}: {cause}" if where else f"cannot build: {cause}", hint=hint)


def _uncoloured(text: str) -> str:
    """Take off the red that Docker puts around what a step writes to its error stream."""
    if text.startswith(_RED) and text.endswith(_PLAIN):
        return text[len(_RED) : len(text) - len(_PLAIN)]
    return text


def _message(raw: bytes) -> _Message:
    try:
        return msgspec.json.decode(raw, type=_Message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BuildFailed(f"cannot build: the engine's answer makes no sense ({error})") from error
