"""The proxy to upstream, from mirror.conf or the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from frumious.redaction import check_login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.config.reader import Reader

_SCHEMES: Final = ("http", "https", "socks4", "socks5", "socks5h")
_ENVIRONMENT: Final = {  # bandersnatch's order -> the scheme of a URL without one
    "SOCKS5_PROXY": "socks5",
    "SOCKS4_PROXY": "socks4",
    "SOCKS_PROXY": "socks5",
    "HTTPS_PROXY": "http",
    "HTTP_PROXY": "http",
    "ALL_PROXY": "http",
}


def read_proxy(reader: Reader, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the proxy's URL and the hosts that bypass it; both empty without a proxy.

    NO_PROXY applies only to a proxy of the environment, not to one of mirror.conf.
    """
    configured = reader.get("mirror", "proxy", _proxy_url("http"), "")
    if configured:
        return configured, ""
    for name, scheme in _ENVIRONMENT.items():
        text = environment.get(name) or environment.get(name.lower(), "")
        if not text:
            continue
        try:
            url = _proxy_url(scheme)(text)
        except ValueError as error:
            reader.mistakes.append(f"{name} in the environment (not shown): {error}")
            return "", ""
        return url, environment.get("NO_PROXY") or environment.get("no_proxy", "")
    return "", ""


def _proxy_url(default_scheme: str) -> Callable[[str], str]:
    """Parse a proxy's URL."""

    def parse(text: str) -> str:
        if not text:
            return ""
        url = (text if "://" in text else f"{default_scheme}://{text}").rstrip("/")
        try:
            parts = urlsplit(url)
            valid = parts.scheme in _SCHEMES and parts.hostname and (parts.port or 80) > 0
        except ValueError:  # the port is invalid
            valid = False
        if valid:
            check_login(url)
            return url
        msg = f"must be <scheme>://[user:password@]host:port with one of {', '.join(_SCHEMES)}"
        raise ValueError(msg)

    return parse
