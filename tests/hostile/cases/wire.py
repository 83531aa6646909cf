"""Bytes that are not HTTP, and HTTP with wrong headers."""

from __future__ import annotations

from tests.hostile.case import (
    UNNOTICED,
    Case,
    Expected,
    HostRefused,
    OnWire,
    UpstreamUnavailable,
    accepts,
    refuses_file,
    refuses_page,
)
from tests.upstream import Raw, Reset, Truncated, Wire

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
_END = b"Connection: close\r\n\r\n"


def _with(*headers: bytes) -> bytes:
    return _OK + b"".join(header + b"\r\n" for header in headers) + _END


_GARBAGE = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe garbage",
    "newlines": b"\r\n" * 100,
    "a-banner-of-ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "tls-alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "http-0.9": b'{"meta":{}}',
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "only-a-status-line": b"HTTP/1.1 200 OK\r\n",
    "status-no-number": b"HTTP/1.1 two hundred OK\r\n\r\n",
    "status-negative": b"HTTP/1.1 -200 OK\r\n\r\n",
    "status-of-ten-digits": b"HTTP/1.1 2000000000 OK\r\n\r\n",
    "version-9": b"HTTP/9.9 200 OK\r\n\r\n",
    "status-line-of-100-kb": b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n",
    "header-of-100-kb": _with(b"X-Bomb: " + b"b" * 100_000) + b"{}",
    "ten-thousand-headers": _with(*(b"X-%d: b" % number for number in range(10_000))) + b"{}",
    "header-without-colon": _with(b"no header") + b"{}",
    "header-with-space-in-name": _with(b"Content Length: 2") + b"{}",
    "header-with-nul": _with(b"X-Nul: a\x00b") + b"{}",
    "length-negative": _with(b"Content-Length: -1") + b"{}",
    "length-no-number": _with(b"Content-Length: many") + b"{}",
    "length-twice": _with(b"Content-Length: 2", b"Content-Length: 3") + b"{}x",
    "length-beyond-all": _with(b"Content-Length: " + b"9" * 30) + b"{}",
    "chunks-no-hex": _with(b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "chunks-negative": _with(b"Transfer-Encoding: chunked") + b"-2\r\n{}\r\n0\r\n\r\n",
    "chunks-beyond-all": _with(b"Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n{}",
    "chunks-cut-off": _with(b"Transfer-Encoding: chunked") + b"100\r\n{}",
    "chunks-without-end": _with(b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n",
    "chunks-and-a-length": _with(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"ff\r\n{}",
    "early-hints-for-ever": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000,
    "continue-and-no-more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching-protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
}
_VICTIM = r"demo-2.0-py3-none-any\.whl$"

CASES: list[Case] = [
    *(
        refuses_page(f"wire-{name}", Wire(data), UpstreamUnavailable)
        for name, data in _GARBAGE.items()
    ),
    refuses_page("wire-reset", Reset(), UpstreamUnavailable),
    refuses_page("wire-reset-within-the-page", Reset(100), UpstreamUnavailable),
    refuses_page("wire-truncated", Truncated(100), UpstreamUnavailable),
    refuses_page(
        "wire-length-too-large",
        OnWire(lambda good: _with(b"Content-Length: %d" % (len(good) + 1)) + good),
        UpstreamUnavailable,
    ),
    refuses_page(
        "wire-length-too-small",
        OnWire(lambda good: _with(b"Content-Length: %d" % (len(good) - 1)) + good),
        UpstreamUnavailable,
    ),
    refuses_page(
        "wire-length-zero",
        OnWire(lambda good: _with(b"Content-Length: 0") + good),
        UpstreamUnavailable,
    ),
    accepts("wire-no-length", OnWire(lambda good: _with() + good)),
    refuses_page("wire-no-length-and-cut-off", OnWire(lambda good: _with() + good[:-10])),
    accepts(
        "wire-chunks-of-one-byte",
        OnWire(
            lambda good: (
                _with(b"Transfer-Encoding: chunked")
                + b"".join(b"1\r\n%c\r\n" % byte for byte in good)
                + b"0\r\n\r\n"
            )
        ),
    ),
    refuses_page(
        "wire-two-responses-at-once",
        OnWire(lambda good: 2 * (_with(b"Content-Length: %d" % len(good)) + good)),
        UpstreamUnavailable,
    ),
    refuses_page(
        "wire-location-no-text",
        Wire(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\xff\xfe\r\n\r\n"),
        HostRefused,
    ),
    refuses_file(
        "wire-file-cut-off",
        None,
        "broke off",
        on_files=((_VICTIM, Truncated(0)),),
        full=UNNOTICED,
    ),
    refuses_file(
        "wire-file-length-too-large",
        None,
        "",
        on_files=(
            (
                _VICTIM,
                OnWire(lambda good: _with(b"Content-Length: %d" % (len(good) + 9)) + good),
            ),
        ),
        full=UNNOTICED,
    ),
    Case(
        id="wire-file-length-too-small",
        on_page=None,
        on_files=(
            (
                _VICTIM,
                OnWire(lambda good: _with(b"Content-Length: %d" % (len(good) - 9)) + good),
            ),
        ),
        empty=Expected(error=UpstreamUnavailable),
        full=UNNOTICED,
    ),
    accepts(
        "wire-file-without-length",
        None,
        on_files=((_VICTIM, OnWire(lambda good: _with() + good)),),
    ),
    Case(
        id="wire-file-garbage",
        on_page=None,
        on_files=((_VICTIM, Wire(b"garbage")),),
        empty=Expected(error=UpstreamUnavailable),
        full=UNNOTICED,
    ),
    refuses_file(
        "wire-file-206-without-a-range",
        None,
        "206",
        on_files=((_VICTIM, Raw(206, {"Content-Range": "bytes 0-9/10"}, b"0123456789")),),
        full=UNNOTICED,
    ),
]
