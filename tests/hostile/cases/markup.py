"""HTML and JavaScript in every string: the pages' HTML must contain only the files' links."""

from __future__ import annotations

from tests.hostile.case import (
    SDIST,
    WHEEL,
    Case,
    Expected,
    accepts,
    page_with,
    refuses_file,
    victim,
)

_SCRIPT = '"><script>alert(1)</script><a href="https://evil.example/evil-1.0.whl">evil</a>'
_QUOTES = "' onmouseover='alert(1)' x='\" onclick=\"alert(1)\" y=\""
_COMMENT = "--><script>alert(1)</script><!--SERIAL 99999999999-->"
_ENTITY = "&lt;script&gt;&#60;script&#62;&quot;&apos;&NewLine;&amp"
_TITLE = "</title></head><body><a href=x>x</a>"
_TEXTS = {
    "script": _SCRIPT,
    "quotes": _QUOTES,
    "comment": _COMMENT,
    "entities": _ENTITY,
    "title": _TITLE,
    "cdata": "<![CDATA[<a href=x>]]>",
    "backticks": "``onerror=alert(1)",
}
_KEYS = ("yanked", "requires-python", "upload-time", "x-unknown")

CASES: list[Case] = [
    *(
        accepts(
            f"markup-{name}-in-a-file",
            victim(**dict.fromkeys(_KEYS, text)),
            entry=dict.fromkeys(_KEYS, text),
        )
        for name, text in _TEXTS.items()
    ),
    *(
        accepts(
            f"markup-{name}-in-the-page",
            page_with(project_status={"status": text, "reason": text}, versions=[text]),
            page={
                "project-status.status": text,
                "project-status.reason": text,
                "versions": [text],
            },
        )
        for name, text in _TEXTS.items()
    ),
    *(
        refuses_file(
            f"markup-{name}-in-filename",
            victim(filename=text),
            "slash",
            full=Expected(reports="slash", files=(WHEEL, SDIST)),
        )
        if "/" in text
        else accepts(
            f"markup-{name}-in-filename",
            victim(filename=text, provenance=None),
            files=(WHEEL, SDIST, text),
            entry={"filename": text},
        )
        for name, text in _TEXTS.items()
    ),
    *(
        accepts(
            f"markup-{name}-in-a-hash",
            victim(hashes=lambda good, t=text: {t: t, **good}),
            entry={f"hashes.{text}": text} if "." not in text else None,
        )
        for name, text in _TEXTS.items()
    ),
]
