"""Lines of access logs, as CloudFront and nginx document and write them."""

from __future__ import annotations

import gzip
import json
from urllib.parse import quote

from frumious.downloads.fields import CLOUDFRONT

PIP = (
    'pip/24.3.1 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc",'
    '"version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":'
    '"CPython","version":"3.12.1"},"installer":{"name":"pip","version":"24.3.1"},'
    '"openssl_version":"OpenSSL 3.0.15","python":"3.12.1","setuptools_version":"75.6.0",'
    '"system":{"name":"Linux","release":"6.1.0"}}'
)
UV = (
    'uv/0.9.5 {"installer":{"name":"uv","version":"0.9.5","subcommand":["pip","install"]},"python":'
    '"3.13.0","implementation":{"name":"CPython","version":"3.13.0"},"distro":null,"system":{"name":'
    '"Darwin","release":"24.1.0"},"cpu":"arm64","openssl_version":null,"setuptools_version":null,'
    '"rustc_version":null,"ci":true}'
)
POETRY = "poetry/1.8.3 CPython/3.11.4 Linux/6.1.0"
DIGEST = "d9/5a/e7c31adbe875f2abbb91bd84cf2dc52d792b5a01506781dbcf25c91daf11"
WHEEL = "six-1.16.0-py2.py3-none-any.whl"


def path(filename: str) -> str:
    return f"/packages/{DIGEST}/{filename}"


def values(  # noqa: PLR0913 (what differs between requests)
    filename: str = WHEEL,
    *,
    day: str = "2026-11-20",
    time: str = "10:00:00",
    ip: str = "192.0.2.24",
    agent: str = PIP,
    status: str = "200",
    size: str = "11053",
    **changes: str,
) -> dict[str, str]:
    """Return the fields of a request that CloudFront logs, encoded as it does."""
    fields = {
        **dict.fromkeys(CLOUDFRONT, "-"),
        "date": day,
        "time": time,
        "c-ip": ip,
        "sc-status": status,
        "sc-bytes": size,
        "cs-method": "GET",
        "cs(Host)": "d111111abcdef8.cloudfront.net",
        "cs-protocol": "https",
        "cs-uri-stem": quote(path(filename)),
        "cs(User-Agent)": quote(agent, safe="/:;=()"),
        "x-edge-location": "FRA56-P5",
    }
    return {**fields, **{name.replace("_", "-"): value for name, value in changes.items()}}


def legacy(*rows: dict[str, str], delimiter: str = "\t") -> str:
    """Return a standard log, as legacy logging and the format `w3c` write it."""
    lines = ["#Version: 1.0", f"#Fields: {' '.join(CLOUDFRONT)}"]
    lines += [delimiter.join(row[name] for name in CLOUDFRONT) for row in rows]
    return "".join(f"{line}\n" for line in lines)


def as_json(*rows: dict[str, str]) -> str:
    """Return a log of standard logging (v2) in JSON."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def combined(  # noqa: PLR0913
    filename: str = WHEEL,
    *,
    time: str = "20/Nov/2026:10:00:00 +0000",
    ip: str = "192.0.2.24",
    user: str = "-",
    agent: str = PIP,
    status: int = 200,
    method: str = "GET",
    more: str = "",
) -> str:
    """Return a line of nginx in its format `combined`."""
    escaped = agent.replace("\\", "\\x5C").replace('"', "\\x22")
    request = f"{method} {quote(path(filename))} HTTP/1.1"
    return f'{ip} - {user} [{time}] "{request}" {status} 11053 "-" "{escaped}"{more}\n'


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())
