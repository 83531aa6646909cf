"""Project pages in HTML, from upstreams without JSON."""

from __future__ import annotations

from tests.hostile.case import (
    FILES,
    SDIST,
    WHEEL,
    Body,
    Case,
    Expected,
    InvalidPage,
    MassLoss,
    accepts,
    fill,
    html,
    html_page,
    page,
    page_with,
    refuses_file,
    refuses_page,
    url_of,
    victim,
)

_TITLE = "<html><head><title>Links for %s</title></head><body><h1>Links for %s</h1>%s</body></html>"
_OTHER = f"<a href='/packages/aa/other-1.0.tar.gz#sha256={'ab' * 32}'>other-1.0.tar.gz</a>"
_LOST = Expected(error=MassLoss, reports="3 of 3")
_NOTHING = Expected(files=())
_NO_PAGES = {
    "no-html": "Service unavailable",
    "nul": "\0" * 100,
    "login": "<html><h1>Sign in</h1><a href='/login'>Sign in</a></html>",
    "javascript-only": "<html><script>location='/login'</script></html>",
    "frames": "<html><frameset><frame src=x></frameset></html>",
    "root-index": "<html><title>Simple index</title><a href='/simple/demo/'>demo</a></html>",
    "another-s-and-empty": _TITLE % ("other", "other", ""),
    "unfinished-tag": _TITLE % ("demo", "demo", "") + "<a href='x",
    "unfinished-comment": _TITLE % ("demo", "demo", "") + "<!-- ",
    "unfinished-cdata": _TITLE % ("demo", "demo", "") + "<![CDATA[",
    "a-million-tags": "<a" * 2_100_000,
    "a-million-entities": "&amp;" * 2_100_000,
    "a-million-comments": "<!--" * 2_100_000,
    "version-2": "<html><meta name='pypi:repository-version' content='2.0'>"
    + _TITLE % ("demo", "demo", ""),
}


CASES: list[Case] = [
    accepts("html-good", html(page(len)), files=FILES),
    *(refuses_page(f"html-{name}", html_page(body)) for name, body in _NO_PAGES.items()),
    Case(
        id="html-empty-page",
        on_page=html_page(_TITLE % ("demo", "demo", "")),
        empty=_NOTHING,
        full=_LOST,
    ),
    Case(
        id="html-another-s-page-with-files",
        on_page=html_page(_TITLE % ("other", "other", _OTHER)),
        empty=Expected(error=InvalidPage),
        full=Expected(error=InvalidPage),
    ),
    Case(
        id="html-links-that-are-no-files",
        on_page=html_page(
            _TITLE
            % ("demo", "demo", "<a href='javascript:alert(1)'>x</a><a href='../'>up</a><a>y</a>")
        ),
        empty=_NOTHING,
        full=_LOST,
    ),
    *(
        refuses_file(f"html-url-{name}", html(url_of(url)), "")
        for name, url in {
            "file": "file:///demo-2.0-py3-none-any.whl",
            "javascript": "javascript:x/demo-2.0-py3-none-any.whl",
            "user": "http://user@{host}{path}",
            "half-an-ipv6": "http://[::1{path}",
            "up-encoded": "{base}/packages/%2e%2e/%2e%2e/demo-2.0-py3-none-any.whl",
            "nul-encoded": "{base}/packages/a%00b/demo-2.0-py3-none-any.whl",
        }.items()
    ),
    *(
        refuses_file(
            f"html-filename-{name}",
            html(
                victim(
                    url=lambda good, p=path: fill("{base}/packages/aa/" + p, good),
                    filename=filename,
                )
            ),
            "",
            full=Expected(reports="", files=(WHEEL, SDIST)),
        )
        for name, path, filename in [
            ("slash-encoded", "..%2fdemo-2.0.tar.gz", "../demo-2.0.tar.gz"),
            ("backslash-encoded", "..%5cdemo-2.0.tar.gz", "..\\demo-2.0.tar.gz"),
            ("newline-encoded", "demo%0a-2.0.tar.gz", "demo\n-2.0.tar.gz"),
            ("text-names-another", "demo-2.0.tar.gz", "demo-9.0.tar.gz"),
        ]
    ),
    refuses_file(
        "html-hash-not-hex",
        html(victim(hashes={"sha256": "zz" * 32})),
        "64 hexadecimal digits",
    ),
    *(
        accepts(
            f"html-markup-in-{key}",
            html(victim(**{key: text})),
            entry={key: text},
        )
        for key in ("yanked", "requires-python")
        for text in ['"><script>alert(1)</script>']
    ),
    accepts(
        "html-markup-in-status",
        html(page_with(project_status={"status": '"><script>', "reason": "<b>'\""})),
        page={"project-status.status": '"><script>', "project-status.reason": "<b>'\""},
    ),
    refuses_page(
        "html-cut-off-within-a-tag",
        html(Body(lambda good: good[: good.rindex(b"<a ") + 20])),
        reports="ends within a tag",
    ),
]
