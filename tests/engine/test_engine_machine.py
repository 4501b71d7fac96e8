"""The engine under random histories: wishes, traffic, mishaps and its own deaths, at any await.

ENGINE_EXAMPLES sets how many histories (default 60), ENGINE_SEED which: without it always the same.
"""

import asyncio
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.engine.jumping_loop import JumpingLoop
from tests.engine.scenario import JUMPS, PROGRAM_NAMES, Scenario, Step

EXAMPLES = int(os.environ.get("ENGINE_EXAMPLES", "60"))
SEED = os.environ.get("ENGINE_SEED")
ALWAYS = ("deploy", "deploy", "ask", "ask", "ask", "breathe", "breathe", "pass_time")
SOMETIMES = (
    "give_back",
    "sleep",
    "wake",
    "scale",
    "reprogram",
    "restart",
    "cancel",
    "promote",
    "roll_back",
    "delete_app",
    "delete_environment",
    "stop_task",
    "crash",
    "release",
    "refuse_freezes",
    "squeeze",
    "fill_disk",
    "free_disk",
    "die",
)
assert len(JUMPS) < len(PROGRAM_NAMES)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Draw which kinds of thing happen at all, then what happens: rare combinations become likely."""
    some = draw(st.lists(st.sampled_from(SOMETIMES), min_size=2, unique=True))
    steps = st.builds(
        Step,
        verb=st.sampled_from(ALWAYS + tuple(some)),
        which=st.integers(0, 5),
        how=st.integers(0, len(PROGRAM_NAMES) - 1),
        turns=st.sampled_from((0, 0, 1, 2, 5, 12, 30)),
    )
    first = Step("deploy", draw(st.integers(0, 5)), 0, 0)
    return [first, *draw(st.lists(steps, min_size=5, max_size=50))]


@settings(
    max_examples=EXAMPLES,
    derandomize=SEED is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(histories())
def test_whatever_happens_everything_comes_true(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(Scenario(Path(folder)).play(history))


if SEED is not None:
    test_whatever_happens_everything_comes_true = seed(int(SEED))(test_whatever_happens_everything_comes_true)
