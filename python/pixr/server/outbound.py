"""Keeps requests that others make this server send (fetching a video, delivering a webhook) out of private networks.

The host's name is resolved first, and all of its addresses must be public. The connection then goes to the very address
that was checked, so a name that resolves differently the next time (DNS rebinding) gains nothing. The client never
follows redirects: whoever follows one checks the new URL in the same way.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import httpx
from pydantic import IPvAnyNetwork

from pixr.server.errors import ApiError

__all__ = ["LOOKUP_SECONDS", "Target", "check_literal", "follow", "resolve"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Look-ups have threads of their own, since anyone's name server may be slow to answer and must not hold the others up.
_LOOKUPS = ThreadPoolExecutor(16, thread_name_prefix="pixr-lookup")
LOOKUP_SECONDS = 5.0
# Networks that Python calls global but that may lead inside: NAT64, 6to4, Teredo, IPv4-compatible and IPv4-translated
# addresses carry IPv4 addresses, and the former site-local ones belong to private networks.
_INWARD = [
    ipaddress.ip_network(one)
    for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96", "fec0::/10")
]
_LOOPBACK = [ipaddress.ip_address(one) for one in ("127.0.0.1", "::1")]
_NOT_PUBLIC = "The host has an address that is not public."


@dataclass(frozen=True)
class Target:
    """A URL whose host is a checked address. Pass `headers` and `extensions` to httpx with it."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, str]


def resolve(url: str, allowed: Sequence[IPvAnyNetwork] = (), seconds: float = LOOKUP_SECONDS) -> Target:
    """Look up and check a URL's host. Blocks during the look-up, for `seconds` at most.

    Raises:
        ApiError: URL_REFUSED.
    """
    parts, host, port = _split(url)
    lookup = _LOOKUPS.submit(socket.getaddrinfo, host, port or parts.scheme, type=socket.SOCK_STREAM)
    if not wait([lookup], seconds).done:
        lookup.cancel()
        raise ApiError("URL_REFUSED", f"The host was not resolved within {seconds:.2g} seconds.")
    try:
        found = lookup.result()
    except (OSError, UnicodeError):
        raise ApiError("URL_REFUSED", "The host can't be resolved.") from None
    addresses = _addresses(found)
    if not addresses or not all(_public(address, allowed) for address in addresses):
        raise ApiError("URL_REFUSED", _NOT_PUBLIC)
    return _pinned(parts, host, port, addresses[0])


def check_literal(url: str, allowed: Sequence[IPvAnyNetwork] = ()) -> None:
    """Check a URL as far as that needs no look-up: whether its host is an address, in any spelling, or `localhost`.

    A name passes: `resolve` checks its addresses when it is used.

    Raises:
        ApiError: URL_REFUSED.
    """
    _, host, _ = _split(url)
    if host.removesuffix(".") == "localhost":
        good = any(_public(address, allowed) for address in _LOOPBACK)
    else:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            return
        good = all(_public(address, allowed) for address in _addresses(found))
    if not good:
        raise ApiError("URL_REFUSED", _NOT_PUBLIC)


def follow(url: str, location: str) -> str:
    """The URL that a redirect leads to. It is not checked yet: `resolve` it.

    Raises:
        ApiError: URL_REFUSED.
    """
    try:
        return urljoin(url, location)
    except ValueError:
        raise ApiError("URL_REFUSED", "The URL redirects to what is no URL.") from None


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    """A URL's parts, its port, and its host in ASCII (RFC 5890), as used in look-ups, certificates and headers."""
    try:
        parts = urlsplit(url)
        host, port = httpx.URL(url).raw_host.decode("ascii"), parts.port
    except (ValueError, httpx.InvalidURL):
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.password is not None:
        raise ApiError("URL_REFUSED", "Only http and https URLs with a host and without credentials are fetched.")
    return parts, host, port


def _addresses(found: Sequence[tuple[Any, ...]]) -> list[Address]:
    """The addresses in an answer of `getaddrinfo`."""
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _pinned(parts: SplitResult, host: str, port: int | None, address: Address) -> Target:
    literal = f"[{address}]" if address.version == 6 else str(address)
    named = f"[{host}]" if ":" in host else host
    tail = f":{port}" if port else ""
    url = urlunsplit((parts.scheme, literal + tail, parts.path or "/", parts.query, ""))
    return Target(url, {"Host": named + tail}, {"sni_hostname": host})


def _public(address: Address, allowed: Sequence[IPvAnyNetwork]) -> bool:
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed if network.version == address.version):
        return True
    inward = any(address in network for network in _INWARD if network.version == address.version)
    return address.is_global and not address.is_multicast and not inward
