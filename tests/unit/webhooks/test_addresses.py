"""Which addresses may be called: a table, for every trick in it has been used on somebody."""

from __future__ import annotations

import pytest

from sagastream.webhooks.addresses import is_allowed, networks_of, parsed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.1", "224.0.0.1",
        "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1",
        "fd12::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2002:a00:1::1", "::127.0.0.1",
        "192.0.0.192", "192.88.99.1", "168.63.129.16", "3fff::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_one_of_the_internet_is_refused(address: str) -> None:
    """Also where it is wrapped: mapped, translated, tunnelled."""
    assert not is_allowed(parsed(address), ())


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_allowed(address: str) -> None:
    assert is_allowed(parsed(address), ())


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("fd00::7", True), ("fd01::7", False),
     ("127.0.0.1", False)],
)  # fmt: skip
def test_a_network_that_is_named_is_allowed_and_no_other(address: str, allowed: bool) -> None:
    assert is_allowed(parsed(address), networks_of("10.1.0.0/16, fd00::/16")) is allowed
