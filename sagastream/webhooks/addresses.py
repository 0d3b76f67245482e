"""Which addresses may be called: public ones, and private ones that the settings name. Decides; performs no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
# Beside what Python counts as private, which depends on its version: protocol assignments (a cloud's metadata service,
# which hands out secrets, is one), 6to4 relays, documentation; and the metadata address of another cloud.
_OF_NOBODY = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "168.63.129.16/32")))


def networks_of(text: str) -> tuple[Network, ...]:
    """Return networks from text, separated by commas or spaces.

    Raises: ``ValueError`` naming the invalid one.
    """
    return tuple(ip_network(part) for part in text.replace(",", " ").split())


def is_allowed(address: Address, private: Sequence[Network]) -> bool:
    """Tell whether an address may be called: it is public, or in one of these networks."""
    return is_private_but_named(address, private) or all(_is_public(each) for each in _reached(address))


def is_private_but_named(address: Address, private: Sequence[Network]) -> bool:
    """Tell whether an address is in one of these networks."""
    return any(each in network for each in _reached(address) for network in private)


def parsed(text: str) -> Address:
    """Return an address from a resolver's text.

    Raises: ``ValueError``.
    """
    return ip_address(text)


def _is_public(address: Address) -> bool:
    is_local = isinstance(address, IPv6Address) and address.is_site_local
    is_public = address.is_global and not address.is_multicast and not address.is_reserved and not is_local
    return is_public and not any(address in network for network in _OF_NOBODY)


def _reached(address: Address) -> Iterator[Address]:
    """Yield an address, and the addresses it tunnels to if it embeds any."""
    if isinstance(address, IPv6Address):
        if address in _NAT64 or address.ipv4_mapped is not None:
            yield IPv4Address(address.packed[-4:])  # the IPv6 form is only another spelling of it
            return
        yield from (each for each in (address.sixtofour, *(address.teredo or ())) if each is not None)
    yield address
