"""Through which proxy upstream is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.config.reader import Reader

_SCHEMES: Final = ("http", "https", "socks4", "socks5", "socks5h")
_ENVIRONMENT: Final = {  # in the order that bandersnatch has, and what an address without scheme is
    "SOCKS5_PROXY": "socks5",
    "SOCKS4_PROXY": "socks4",
    "SOCKS_PROXY": "socks5",
    "HTTPS_PROXY": "http",
    "HTTP_PROXY": "http",
    "ALL_PROXY": "http",
}


def read_proxy(reader: Reader, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the proxy's address and the hosts that are reached without it; empty: none.

    An address in mirror.conf is for every host: NO_PROXY goes with the environment's own.
    """
    said = reader.get("mirror", "proxy", _address("http"), "")
    if said:
        return said, ""
    for name, scheme in _ENVIRONMENT.items():
        text = environment.get(name) or environment.get(name.lower(), "")
        if not text:
            continue
        try:
            address = _address(scheme)(text)
        except ValueError as error:
            reader.mistakes.append(f"{name} in the environment (not shown): {error}")
            return "", ""
        return address, environment.get("NO_PROXY") or environment.get("no_proxy", "")
    return "", ""


def _address(scheme: str) -> Callable[[str], str]:
    """Read a proxy's address; one without a scheme has `scheme`."""

    def read(text: str) -> str:
        if not text:
            return ""
        address = (text if "://" in text else f"{scheme}://{text}").rstrip("/")
        try:
            url = urlsplit(address)
            complete = url.scheme in _SCHEMES and url.hostname and (url.port or 80) > 0
        except ValueError:  # of the port
            complete = False
        if complete:
            return address
        msg = f"allowed is <scheme>://[user:password@]host:port of {', '.join(_SCHEMES)}"
        raise ValueError(msg)

    return read
