"""What the engine says while it builds, as it says it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.builders.build_output import LONGEST_LINE, BuildOutput
from paas.core.errors import BuildFailed

SUCCESS = [
    {"stream": "Step 1/4 : FROM base"},
    {"stream": "\n"},
    {"status": "Pulling from library/base", "id": "1"},
    {"status": "Downloading", "progress": "[=>  ]", "id": "f3"},
    {"status": "Pull complete", "id": "f3"},
    {"stream": " ---> aaaaaaaaaaaa\n"},
    {"stream": "Step 2/4 : COPY . /\n"},
    {"stream": " ---> Using cache\n"},
    {"stream": " ---> bbbbbbbbbbbb\n"},
    {"stream": "Step 3/4 : RUN make\n"},
    {"stream": " ---> Running in 0123456789ab\n"},
    {"stream": "\x1b[91mwarning\n\x1b[0m"},
    {"stream": "one\ntwo"},
    {"stream": " and a half\r\n"},
    {"stream": "Removing intermediate container 0123456789ab\n"},
    {"stream": " ---> cccccccccccc\n"},
    {"stream": "Step 4/4 : LABEL paas.build=1\n"},
    {"stream": " ---> Running in 0123456789ab\n"},
    {"stream": "Removing intermediate container 0123456789ab\n"},
    {"stream": " ---> dddddddddddd\n"},
    {"aux": {"ID": "sha256:dddd"}},
    {"stream": "Successfully built dddddddddddd\n"},
]
LINES = [
    "Step 1/3 : FROM base",
    "1: Pulling from library/base",
    "f3: Pull complete",
    " ---> aaaaaaaaaaaa",
    "Step 2/3 : COPY . /",
    " ---> Using cache",
    " ---> bbbbbbbbbbbb",
    "Step 3/3 : RUN make",
    " ---> Running in 0123456789ab",
    "warning",
    "one",
    "two and a half",
    "Removing intermediate container 0123456789ab",
    " ---> cccccccccccc",
    "Successfully built dddddddddddd",
]


def wire(*messages: object) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)


@given(cuts=st.lists(st.integers(min_value=0, max_value=len(wire(*SUCCESS)))))
def test_stream_means_the_same_however_it_is_cut(cuts: list[int]) -> None:
    content, output = wire(*SUCCESS), BuildOutput(labels=1)
    places = sorted({0, len(content), *cuts})

    for start, end in pairwise(places):
        output.feed(content[start:end])
    output.finish()

    lines, layers = output.take()
    assert lines == LINES
    assert layers == ["cccccccccccc", "dddddddddddd"], "what was found is not ours"
    assert output.image_id == "sha256:dddd"


def failure(*messages: object, labels: int = 0, memory_bytes: int = 0) -> BuildFailed:
    output = BuildOutput(labels=labels, memory_bytes=memory_bytes)
    with pytest.raises(BuildFailed) as caught:
        output.feed(wire(*messages))
        output.finish()
    return caught.value


def test_failure_names_the_step_and_its_exit_code() -> None:
    said = "The command '/bin/sh -c make' returned a non-zero code: 2"

    error = failure(
        {"stream": "Step 3/7 : RUN make\n"},
        {"errorDetail": {"code": 2, "message": said}, "error": said},
        labels=2,
    )

    assert error.message == "step 3 of 5, RUN make: exit code 2"


def test_failure_of_a_copy_gives_the_engines_reason() -> None:
    error = failure({"stream": "Step 2/2 : COPY a /\n"}, {"error": "COPY failed: no source files"})

    assert error.message == "step 2 of 2, COPY a /: COPY failed: no source files"


def test_step_that_was_killed_is_told_of_the_memory_it_may_have() -> None:
    said = "The command 'x' returned a non-zero code: 137"

    error = failure({"stream": "STEP 1/1: RUN x\n"}, {"error": said}, memory_bytes=64 * 1024**2)

    assert error.message == "step 1 of 1, RUN x: exit code 137"
    assert "64 MiB" in (error.hint or "")


def test_failure_in_a_step_that_nobody_wrote_names_the_last_that_somebody_did() -> None:
    error = failure(
        {"stream": "Step 2/4 : RUN true\n"}, {"stream": "Step 3/4 : LABEL paas.agent=x\n"}, labels=2
    )

    assert error.message == "cannot build: the engine ended the connection, in step 2 of 2, RUN true"


def test_stream_that_breaks_off_is_a_failure_with_its_step() -> None:
    error = failure({"stream": "Step 1/2 : RUN x\n"}, {"stream": "half a li"})

    assert error.message == "cannot build: the engine ended the connection, in step 1 of 2, RUN x"


@pytest.mark.parametrize("content", [b"<html>\n", b"[1]\n", b'{"stream": 5}\n', b'{"stream": "\xff"}\n'])
def test_what_is_no_answer_of_an_engine_is_a_failure(content: bytes) -> None:
    with pytest.raises(BuildFailed, match="makes no sense"):
        BuildOutput().feed(content)


def test_line_without_an_end_is_not_gathered_for_ever() -> None:
    output = BuildOutput()

    for _ in range(20):
        output.feed(wire({"stream": "x" * 100_000}))

    lines, _ = output.take()
    assert sum(map(len, lines)) > 20 * 100_000 - LONGEST_LINE - 100_000
    assert max(map(len, lines)) < LONGEST_LINE + 100_001


def test_long_instruction_is_shortened_in_the_reason() -> None:
    error = failure({"stream": f"Step 1/1 : RUN {'x' * 5000}\n"}, {"error": "no"})

    assert len(error.message) < 300


def test_podman_is_understood_as_well() -> None:
    output = BuildOutput(labels=2)
    lines = [
        "STEP 1/5: FROM base",
        "STEP 2/5: COPY a /",
        "--> Using cache 0c410ff32fb3142514add2f807a8f59b1fe3d23d01ee2ef7ff1904a6588dc77a",
        "--> 0c410ff32fb",
        "STEP 3/5: RUN make",
        "--> 09625aa47d0",
    ]
    output.feed(wire(*({"stream": f"{line}\n"} for line in lines)))

    said, layers = output.take()
    assert said[0] == "STEP 1/3: FROM base"
    assert layers == ["09625aa47d0"]
    with pytest.raises(BuildFailed, match=r"^step 3 of 3, RUN make: exit code 3$"):
        output.feed(wire({"error": 'building at STEP "RUN make": while running runtime: exit status 3'}))
