"""Amounts of CPU and memory in Kubernetes' notation."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.core.errors import Invalid
from paas.core.resources import cpu_millis, memory_bytes


@pytest.mark.parametrize(
    ("text", "millis"),
    [("100m", 100), ("1m", 1), ("0.5", 500), ("0.001", 1), ("2", 2000), ("1.25", 1250), ("0.05", 50)],
)
def test_cpu_is_read_as_thousandths(text: str, millis: int) -> None:
    assert cpu_millis(text) == millis


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "0.0", "-1", "1 ", "100M", ".5", "1.", "0.0001", "1e3", "inf", "٣", "9999999"]
)
def test_other_cpu_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        cpu_millis(text)

    assert refused.value.field == "resources.cpu"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128Mi", 128 * 2**20),
        ("1Gi", 2**30),
        ("134217728", 134217728),
        ("128M", 128_000_000),
        ("2048Ki", 2 * 2**20),
        ("1G", 10**9),
    ],
)
def test_memory_is_read_as_bytes(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "1", "128mb", "128 Mi", "-1Gi", "1.5Gi", "1Ei", "٣Gi", "9999999Ti"]
)
def test_other_memory_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        memory_bytes(text)

    assert refused.value.field == "resources.memory"


@given(text=st.text(alphabet="0123456789.mMGKi- ", max_size=12))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    for read in (cpu_millis, memory_bytes):
        with contextlib.suppress(Invalid):
            assert read(text) > 0
