"""Where tasks find the proxy, and what they are told of each other."""

import pytest

from paas.engine.neighbours import ProxyPlace


@pytest.mark.parametrize(
    ("listens_on", "own_network", "address"),
    [
        ("0.0.0.0", False, "127.0.0.1"),
        ("0.0.0.0", True, "172.18.0.1"),
        ("::", False, "127.0.0.1"),
        ("::", True, "172.18.0.1"),
        ("127.0.0.1", False, "127.0.0.1"),
        ("127.0.0.1", True, None),
        ("::1", False, "::1"),
        ("::1", True, None),
        ("localhost", False, "localhost"),
        ("localhost", True, None),
        ("192.168.1.5", False, "192.168.1.5"),
        ("192.168.1.5", True, "192.168.1.5"),
    ],
)
def test_the_proxy_is_reached_where_it_listens(
    listens_on: str, *, own_network: bool, address: str | None
) -> None:
    seen_at = "172.18.0.1" if own_network else "127.0.0.1"

    assert ProxyPlace(host=listens_on).seen_from(seen_at, own_network=own_network) == address
