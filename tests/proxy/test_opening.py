"""A crowd is let in to a task a few at a time."""

import asyncio

from paas.proxy.opening import UNANSWERED, Opening


async def test_a_few_are_let_in_at_once_and_the_others_as_these_are_answered() -> None:
    opening = Opening()
    let_in: list[int] = []
    for number in range(UNANSWERED + 2):
        opening.enter(lambda number=number: let_in.append(number))  # type: ignore[misc]  # binds the loop's name
    assert let_in == list(range(UNANSWERED))

    opening.answered()
    assert let_in == list(range(UNANSWERED + 1))
    opening.answered()

    assert let_in == list(range(UNANSWERED + 2))
    assert not opening.is_idle()
    for _ in range(UNANSWERED):
        opening.answered()
    assert opening.is_idle()
    opening.close()


async def test_an_app_that_answers_late_gets_them_all_in_time() -> None:
    opening = Opening()
    all_in = asyncio.Event()
    crowd = UNANSWERED * 5
    let_in: list[int] = []

    def connect(number: int) -> None:
        let_in.append(number)
        if len(let_in) == crowd:
            all_in.set()

    for number in range(crowd):
        opening.enter(lambda number=number: connect(number))  # type: ignore[misc]  # binds the loop's name
    async with asyncio.timeout(5):
        await all_in.wait()

    assert let_in == list(range(crowd))


async def test_a_closed_way_in_lets_nobody_in() -> None:
    opening = Opening()
    let_in: list[None] = []
    for _ in range(UNANSWERED + 3):
        opening.enter(lambda: let_in.append(None))

    opening.close()
    opening.answered()

    assert len(let_in) == UNANSWERED
