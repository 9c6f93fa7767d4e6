"""Where a delivery may go: to the world, and not back into our own house.

A subscription is an address somebody typed, and we are inside the network. The traps: a name that points to 127.0.0.1
or to a cloud's metadata service; one that points there only the second time it is asked for; a private address dressed
as IPv6; a redirect from outside to inside. So the name is resolved once for each delivery, every address it has is
looked at, and the connection is made to one of those that were; nobody follows redirects.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from server.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: Addresses of a name; raises OSError where there are none.
Resolver = Callable[[str, int], Sequence[str]]

_LONGEST: Final = 500
_PORTS: Final = {"https": 443, "http": 80}
#: IPv6 addresses in which one of IPv4 stands, and where in it.
_DRESSED: Final = ((ip_network("64:ff9b::/96"), 0), (ip_network("2002::/16"), 80), (ip_network("::/96"), 0))


class Barred(ValueError):
    """An address deliveries don't go to."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address taken apart.

    Attributes:
        target: path and query, as they are asked for.
    """

    scheme: str
    host: str
    port: int
    target: str


def endpoint_of(url: str) -> Endpoint:
    """An address taken apart.

    Raises:
        InvalidInput: it is none that can be delivered to.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{url!r} is no address: {error}", field="url", remedy="send https://…") from error
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput("the address is too long or has odd characters", field="url", remedy="escape them")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidInput(f"{url!r} is no address of the web", field="url", remedy="send https://host/path")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInput(
            "the address has a user or a fragment in it", field="url", remedy="the signature says who we are"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target)


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks by commas.

    Raises:
        ValueError: one is none.
    """
    return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())


def resolve(host: str, port: int) -> Sequence[str]:
    """Addresses of a name, by the system."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def pinned(endpoint: Endpoint, allowed: Sequence[Network], resolver: Resolver = resolve) -> str:
    """The address to connect to.

    Args:
        allowed: private networks deliveries may go to all the same; only there without TLS.

    Raises:
        Barred: the name leads into the house, or it takes TLS.
        OSError: the name has no address now.
    """
    found = list(dict.fromkeys(resolver(endpoint.host, endpoint.port)))
    if not found:
        raise OSError(f"{endpoint.host} has no address")
    for text in found:
        address = ip_address(text.partition("%")[0])
        is_allowed = any(address in network for network in allowed if network.version == address.version)
        if not is_allowed and not _is_outside(address):
            raise Barred(
                f"{endpoint.host} leads to {address}, which is not of the open network; where that is meant, name its"
                " network in DOORLINE_WEBHOOK_NETWORKS"
            )
        if not is_allowed and endpoint.scheme != "https":
            raise Barred(f"{endpoint.host} is outside and the address is not https: others would read along")
    return found[0]


def _is_outside(address: Address) -> bool:
    """Whether an address is one of the open network, whatever it is dressed as."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_outside(address.ipv4_mapped)
        for network, shift in _DRESSED:
            if address in network:
                return shift > 0 and _is_outside(IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast
