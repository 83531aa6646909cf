"""This machine's environment variables for network access, which the functions need."""

from __future__ import annotations

import os

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def network_variables() -> dict[str, str]:
    """Return the variables for proxies and certificates; loopback bypasses the proxy."""
    variables = {name: os.environ[name] for name in PROXIES + CERTIFICATES if name in os.environ}
    no_proxy = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    variables["NO_PROXY"] = variables["no_proxy"] = f"{no_proxy + ',' if no_proxy else ''}127.0.0.1"
    return variables
