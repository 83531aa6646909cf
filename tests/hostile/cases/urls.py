"""Files' URLs on other hosts or outside `/packages/`, and targets of redirects."""

# ruff: noqa: RUF001 - characters that look like others are the point

from __future__ import annotations

from tests.hostile.case import (
    UNNOTICED,
    Case,
    Expected,
    HostRefused,
    UpstreamUnavailable,
    accepts,
    refuses_file,
    refuses_page,
    url_of,
    victim,
)
from tests.upstream import Redirect

# Refused when the page is read, even if the mirror has stored the file.
_NO_URLS = {
    "file": ("file:///etc/passwd", "neither https nor http"),
    "ftp": ("ftp://{host}{path}", "neither https nor http"),
    "data": ("data:application/octet-stream;base64,AAAA", "neither https nor http"),
    "javascript": ("javascript:alert(1)//{path}", "neither https nor http"),
    "gopher": ("gopher://{host}/_GET", "neither https nor http"),
    "s3": ("s3://bucket{path}", "neither https nor http"),
    "git": ("git+https://{host}{path}", "neither https nor http"),
    "user": ("http://user@{host}{path}", "user name"),
    "user-and-password": ("http://user:password@{host}{path}", "user name"),
    "user-that-looks-like-the-host": ("http://{host}@evil.example{path}", "user name"),
    "empty-user": ("http://@{host}{path}", "user name"),
    "backslash-before-user": ("http://{host}\\@evil.example{path}", "user name"),
    "port-and-no-host": ("http://:80/packages/x", "no host"),
    "port-too-large": ("http://127.0.0.1:99999{path}", "its URL is invalid"),
    "port-negative": ("http://127.0.0.1:-1{path}", "its URL is invalid"),
    "port-no-number": ("http://127.0.0.1:x{path}", "its URL is invalid"),
    "half-an-ipv6": ("http://[::1{path}", "its URL is invalid"),
    "no-ipv6": ("http://[evil]{path}", "its URL is invalid"),
    "unicode-slash-in-host": ("http://127.0.0.1\u2100evil.example{path}", "its URL is invalid"),
    "lone-surrogate": ("{base}/packages/\ud800/demo-2.0-py3-none-any.whl", "its URL"),
    "overlong": ("{base}/" + "a" * 1_000_000, "its URL"),
}
# Valid, but not allowed. The key depends on the path only, so that a mirror that has stored the
# file makes no request.
_ELSEWHERE = {
    "another-host": "http://evil.example{path}",
    "another-host-https": "https://evil.example{path}",
    "protocol-relative": "//evil.example{path}",
    "host-with-suffix": "http://127.0.0.1.evil.example{path}",
    "host-with-dot": "http://127.0.0.1.:{port}{path}",
    "localhost": "http://localhost:{port}{path}",
    "metadata-service": "http://169.254.169.254{path}",
    "private": "http://10.0.0.1{path}",
    "loopback-in-short": "http://127.1:{port}{path}",
    "loopback-as-number": "http://2130706433:{port}{path}",
    "loopback-in-hex": "http://0x7f000001:{port}{path}",
    "loopback-in-ipv6": "http://[::1]:{port}{path}",
    "mapped-into-ipv6": "http://[::ffff:127.0.0.1]:{port}{path}",
    "any-address": "http://0.0.0.0:{port}{path}",
    "wide-digits": "http://１２７.0.0.1:{port}{path}",
    "circled-digits": "http://①②⑦.0.0.1:{port}{path}",
    "unicode-host": "http://еvil.example{path}",
    "punycode-host": "http://xn--vil-flc.example{path}",
    "percent-in-host": "http://127.0.0.1%2eevil.example{path}",
    "nul-in-host": "http://127.0.0.1%00.evil.example{path}",
    "space-in-host": "http://127.0.0.1 .evil.example{path}",
}
# Paths that would leave web/packages/.
_WAYWARD = {
    "up": "{base}/packages/../../simple/other/demo-2.0-py3-none-any.whl?x={path}",
    "up-encoded": "{base}/packages/%2e%2e/%2e%2e/demo-2.0-py3-none-any.whl",
    "up-encoded-with-slash": "{base}/packages/..%2f..%2f/demo-2.0-py3-none-any.whl",
    "up-in-mixed-case": "{base}/packages/%2E./demo-2.0-py3-none-any.whl",
    "dot": "{base}/packages/%2e/demo-2.0-py3-none-any.whl",
    "nothing-between-slashes": "{base}/packages//demo-2.0-py3-none-any.whl",
    "backslash-encoded": "{base}/packages/a%5c..%5cb/demo-2.0-py3-none-any.whl",
    "nul-encoded": "{base}/packages/a%00b/demo-2.0-py3-none-any.whl",
    "newline-encoded": "{base}/packages/a%0ab/demo-2.0-py3-none-any.whl",
    "bidi-encoded": "{base}/packages/a%e2%80%aeb/demo-2.0-py3-none-any.whl",
    "folder-overlong": "{base}/packages/" + "a" * 300 + "/demo-2.0-py3-none-any.whl",
    "key-overlong": "{base}/packages/" + "a/" * 500 + "demo-2.0-py3-none-any.whl",
    "key-overlong-in-bytes": "{base}/packages/" + "%c3%a9/" * 340 + "demo-2.0-py3-none-any.whl",
}
# Missing: the file is requested, and refused.
_MISSING = {
    "another-path": "{base}/packages/aa/bb/cc/demo-2.0-py3-none-any.whl",
    "no-packages": "{base}/files/demo-2.0-py3-none-any.whl",
    "the-page-itself": "{base}/simple/demo/index.v1_json",
    "empty": "",
    "only-a-fragment": "#sha256=00",
    "only-a-query": "?a=b",
    "just-the-host": "{base}",
    "no-host": "http:///packages/x",
    "relative-nonsense": "....//demo-2.0-py3-none-any.whl",
    "backslashes": "http:\\\\evil.example\\packages\\demo-2.0-py3-none-any.whl",
    "twice-encoded-up": "{base}/packages/%252e%252e/demo-2.0-py3-none-any.whl",
}
_FINE = {
    "relative": "../..{path}",
    "absolute-path": "{path}",
    "protocol-relative": "//{host}{path}",
    "query": "{url}?token=a&b=%2e%2e",
    "fragment": "{url}#sha256=00",
    "tabs-and-newlines": "{base}\n{path}\t",
    "spaces-around": " {url}",
    "upper-case-scheme": "HTTP://{host}{path}",
}
_NO_TEXT: dict[str, object] = {"null": None, "number": 7, "list": [], "object": {}}

_REDIRECTS = {
    "metadata-service": "http://169.254.169.254/latest/meta-data/",
    "private": "http://192.168.0.1/",
    "ipv6-loopback": "http://[::1]/",
    "localhost": "http://localhost/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1/",
    "another-host": "https://evil.example/",
    "protocol-relative": "//evil.example/",
    "user-that-looks-like-the-host": "http://127.0.0.1@evil.example/",
    "backslash": "http://127.0.0.1\\@evil.example/",
    "port-too-large": "http://127.0.0.1:99999/",
}
_NO_REDIRECTS = {
    "half-an-ipv6": "http://[::1/",
    "loop": None,
}

CASES: list[Case] = [
    *(
        refuses_file(f"url-{name}", url_of(url), reports)
        for name, (url, reports) in _NO_URLS.items()
    ),
    *(
        refuses_file(f"url-elsewhere-{name}", url_of(url), "allowed-hosts", full=UNNOTICED)
        if not url.startswith("https")
        else refuses_file(f"url-elsewhere-{name}", url_of(url), "evil.example", full=UNNOTICED)
        for name, url in _ELSEWHERE.items()
    ),
    *(refuses_file(f"url-wayward-{name}", url_of(url), "") for name, url in _WAYWARD.items()),
    *(
        refuses_file(
            f"url-missing-{name}",
            url_of(url),
            "",
        )
        for name, url in _MISSING.items()
    ),
    *(accepts(f"url-fine-{name}", url_of(url)) for name, url in _FINE.items()),
    *(refuses_file(f"url-is-{name}", victim(url=url), "`$.url`") for name, url in _NO_TEXT.items()),
    *(
        refuses_page(f"redirect-{name}", Redirect(to), HostRefused)
        for name, to in _REDIRECTS.items()
    ),
    *(
        refuses_page(f"redirect-{name}", Redirect(to), UpstreamUnavailable)
        for name, to in _NO_REDIRECTS.items()
    ),
    *(
        refuses_file(
            f"redirect-of-a-file-{name}",
            None,
            "",
            on_files=(("demo-2.0-py3-none-any.whl$", Redirect(to)),),
            full=UNNOTICED,
        )
        for name, to in _REDIRECTS.items()
    ),
    refuses_file(
        "url-with-dots-that-lead-back",
        url_of("{base}/a/../packages/./x/..{path}"),
        "404",
        full=UNNOTICED,
    ),
    Case(
        id="url-port-without-a-listener",
        on_page=url_of("http://127.0.0.1:1{path}"),
        empty=Expected(error=UpstreamUnavailable, reports="127.0.0.1:1"),
        full=UNNOTICED,
    ),
]
