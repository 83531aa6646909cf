"""Which hosts may be contacted, at which IP addresses, and with which credentials."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from frumious.errors import FrumiousError, Reason
from frumious.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection

    from frumious.config.settings import Config

_SENDABLE: Final = re.compile(r"[!-~]*")  # what a request line can contain
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
# They belong to nobody's network (RFC 5737, RFC 3849). Sandboxes let names resolve to them.
_DOCUMENTATION: Final = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)
# Of machines in clouds, where they are not link-local.
_METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "fd00:ec2::254",  # EC2
            "fd00:ec2::23",  # EKS
            "fd20:ce::254",  # Google Compute Engine
            "100.100.100.200",  # Alibaba ECS
            "192.0.0.192",  # Oracle
            "168.63.129.16",  # Azure's wire server
        ),
    )
)
_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291, 2.5.5.1


class HostRefused(FrumiousError):
    """A URL that the configuration does not allow, by its scheme, host, port or IP address."""

    reason = Reason.ADDRESS_REFUSED


class Origin(NamedTuple):
    """Whom a request is for; two spellings of one origin are equal."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, target: URL) -> Origin:
        """Return the origin of a URL, which may have been parsed as it was given."""
        return cls(target.scheme, (target.raw_host or "").lower(), target.port)


class AddressPolicy:
    """The allowed hosts, and the credentials of some."""

    def __init__(self, config: Config) -> None:
        self._hosts = config.allowed_hosts
        self._insecure = config.allow_non_https
        self._logins = {Origin.of(URL(url)): login for url, login in config.logins.items()}

    def check(self, url: str) -> URL:
        """Return an allowed URL; it is sent byte for byte.

        Only characters that HTTP cannot send are quoted: spaces, for instance.

        Raises:
            HostRefused: its scheme, host or port is not allowed.
        """
        try:
            target = URL(url, encoded=_SENDABLE.fullmatch(url) is not None)
            origin = Origin.of(target)
        except (ValueError, IndexError) as error:  # yarl raises both
            msg = f"{redact(url)!r:.300} is not a valid URL"
            raise HostRefused(msg) from error
        if target.scheme not in {"https", "http"}:
            msg = f"{url} is neither https nor http"
        elif target.scheme == "http" and not self._insecure:
            msg = f"{url} is not https, and allow-non-https is not set"
        elif target.raw_user is not None or target.raw_password is not None:
            msg = f"{url} has a user name or password; only those of master are used"
        elif (origin.host, origin.port) not in self._hosts:
            msg = (
                f"the host and port of {url} are not allowed;"
                " if they are upstream's, add them to allowed-hosts"
            )
        else:
            return target
        raise HostRefused(msg)

    def login(self, target: URL) -> dict[str, str]:
        """Return the Authorization header for the configured scheme, host and port."""
        login = self._logins.get(Origin.of(target)) if self._logins else None
        return {} if login is None else {"Authorization": login}


class Resolver(AbstractResolver):
    """Resolves host names, and refuses IP addresses that are not upstream's.

    `public_hosts` must have public addresses, so that those who control their names cannot reach
    this network. Other hosts are configured, and may be in it. No host is link-local: there are
    the metadata and credentials of clouds.
    """

    def __init__(self, public_hosts: Collection[str]) -> None:
        self._public_hosts = public_hosts
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the permitted addresses of a host.

        Raises:
            HostRefused: it has others only.
        """
        found = await self._resolver.resolve(host, port, family)
        public = host.lower() in self._public_hosts  # it is spelled as in the URL
        permitted = [each for each in found if is_permitted(each["host"], public=public)]
        if found and not permitted:
            msg = (
                f"the host {host!r} has the IP address {found[0]['host']}, which is not public;"
                " if it is right, add the host to allowed-hosts"
            )
            raise HostRefused(msg)
        return permitted

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def is_permitted(text: str, *, public: bool) -> bool:
    """Return whether a host may have an IP address; a `public` one needs a public address."""
    address = _embedded(text)
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if address in _METADATA:
        return False
    if not public or any(address in network for network in _DOCUMENTATION):
        return True
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local  # RFC 3879
    return address.is_global and not (address.is_reserved or is_site_local)


def _embedded(text: str) -> IPv4Address | IPv6Address:
    """Parse an IP address; return the IPv4 address in an IPv6 address that stands for one."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and not address.is_loopback):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
