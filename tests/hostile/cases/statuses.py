"""Responses with other statuses and types, and pages of proxies and portals."""

from __future__ import annotations

from tests.hostile.case import (
    FILES,
    HTML,
    JSON,
    UNNOTICED,
    Body,
    Case,
    Expected,
    Headers,
    InvalidPage,
    MassLoss,
    Outcome,
    UpstreamUnavailable,
    accepts,
    html_page,
    refuses_file,
    refuses_page,
)
from tests.upstream import Raw, Status

_GONE = (404, 410)
_NO_CONTENT = (100, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 304, 305, 306)
_REFUSED = (400, 401, 402, 403, 405, 406, 407, 409, 412, 416, 418, 421, 422, 423, 425, 426)
_MORE = (408, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 530, 599, 999)
_LOGIN = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in</h1>"
    '<form action="/login"><input name="user"></form><a href="/help">Help</a></body></html>'
)
_PORTAL = '<html><head><meta http-equiv="refresh" content="0;url=http://portal/"></head></html>'
_ERROR = "<html><body><h1>503 Service Temporarily Unavailable</h1><hr>nginx</body></html>"
_TYPES = {
    "none": None,
    "empty": "",
    "text": "text/plain",
    "octets": "application/octet-stream",
    "a-later-version": "application/vnd.pypi.simple.v2+json",
    "xml": "application/xml",
    "nonsense": ";;;",
    "almost": "application/jsonp",
    "two": "application/json, text/html",
    "long": "a" * 4000,
}
_RETRY_AFTER = {
    "huge": "9" * 400,
    "negative": "-5",
    "nan": "nan",
    "infinity": "inf",
    "nonsense": "soon",
    "date-beyond-all": "Mon, 01 Jan 9999999999 00:00:00 GMT",
    "date-with-zone-beyond-all": "Mon, 01 Jan 2026 00:00:00 +99999999999999",
    "past": "Mon, 01 Jan 2001 00:00:00 GMT",
    "no-zone": "Mon, 01 Jan 2001 00:00:00 -0000",
    "half-a-date": "Mon, 01",
    "superscript": "²",
}

CASES: list[Case] = [
    *(
        Case(
            id=f"status-{status}",
            on_page=Status(status),
            empty=Expected(files=(), outcome=Outcome.ABSENT),
            full=Expected(error=MassLoss, reports="no longer has"),
        )
        for status in _GONE
    ),
    *(
        refuses_page(f"status-{status}", Raw(status, JSON), UpstreamUnavailable)
        for status in (*_NO_CONTENT[1:], *_REFUSED, *_MORE)
    ),
    *(
        refuses_page(f"status-{status}-without-location", Raw(status, JSON), UpstreamUnavailable)
        for status in (301, 302, 303, 307, 308)
    ),
    refuses_page("status-200-empty", Raw(200, JSON)),
    refuses_page("status-200-empty-html", Raw(200, HTML)),
    refuses_page("status-200-empty-without-type", Raw(200)),
    refuses_page("login-page", html_page(_LOGIN)),
    refuses_page("portal-page", html_page(_PORTAL)),
    refuses_page("error-page-with-200", html_page(_ERROR)),
    refuses_page("login-page-as-json", Raw(200, JSON, _LOGIN.encode()), InvalidPage, "not JSON"),
    *(
        refuses_page(
            f"type-{name}", Headers({"Content-Type": value}), reports="neither JSON nor HTML"
        )
        for name, value in _TYPES.items()
        if name != "none"
    ),
    refuses_page("type-html-for-json", Headers({"Content-Type": "text/html"})),
    accepts("type-with-charset", Headers({"Content-Type": "application/json; charset=utf-16"})),
    accepts("type-in-capitals", Headers({"Content-Type": "APPLICATION/JSON"})),
    *(
        refuses_page(
            f"retry-after-{name}",
            Raw(503, {"Retry-After": value}),
            UpstreamUnavailable,
            "503",
        )
        for name, value in _RETRY_AFTER.items()
    ),
    *(
        refuses_file(
            f"file-status-{status}",
            None,
            str(status),
            on_files=((r"demo-2.0-py3-none-any\.whl$", Raw(status)),),
            full=UNNOTICED,
        )
        for status in (201, 204, 206, 304, 401, 403, 404, 410, 418, 451)
    ),
    Case(
        id="file-status-500",
        on_page=None,
        on_files=((r"demo-2.0-py3-none-any\.whl$", Status(500)),),
        empty=Expected(error=UpstreamUnavailable, reports="500"),
        full=UNNOTICED,
    ),
    refuses_file(
        "file-is-a-login-page",
        None,
        "its page announces",
        on_files=((r"demo-2.0-py3-none-any\.whl$", html_page(_LOGIN)),),
        full=UNNOTICED,
    ),
    refuses_file(
        "file-is-empty",
        None,
        "its page announces",
        on_files=((r"demo-2.0-py3-none-any\.whl$", Raw(200)),),
        full=UNNOTICED,
    ),
    refuses_file(
        "file-has-wrong-bytes",
        None,
        "its page announces",
        on_files=((r"demo-2.0-py3-none-any\.whl$", Body(lambda good: b"x" + good[1:])),),
        full=UNNOTICED,
    ),
    refuses_file(
        "file-is-gzipped-on-the-way",
        None,
        "",
        on_files=(
            (
                r"demo-2.0-py3-none-any\.whl$",
                Headers({"Content-Encoding": "gzip"}),
            ),
        ),
        full=UNNOTICED,
    ),
    accepts(
        "file-headers-of-all-kinds",
        None,
        on_files=(
            (
                r"demo-2.0-py3-none-any\.whl$",
                Headers({"Set-Cookie": "a=b", "ETag": "no etag", "Content-Type": "text/html"}),
            ),
        ),
        files=FILES,
    ),
]
