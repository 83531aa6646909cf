"""What a hostile or broken upstream answers, and what must come of it: plain values.

A case says what goes wrong with upstream's page of `demo`, and with what else is fetched for
it. The good page names FILES; a case usually spoils the last of them, the VICTIM.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from frumious.model.jobs import Outcome
from frumious.simple.values import InvalidPage
from frumious.syncing.comparison import MassLoss
from frumious.upstream.client import HostRefused, TooLarge, UpstreamUnavailable
from frumious.upstream.upstream import StalePage
from tests.upstream import Action, Edit, Raw, Request, Together
from tests.upstream.messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WHEEL: Final = "demo-1.0-py3-none-any.whl"
SDIST: Final = "demo-1.0.tar.gz"
VICTIM: Final = "demo-2.0-py3-none-any.whl"  # has core metadata and provenance
FILES: Final = (WHEEL, SDIST, VICTIM)

JSON: Final = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
HTML: Final = {"Content-Type": "text/html"}

Page = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What must come of a case.

    Either `error`: the job fails, and what was there stays. Or the page is published with
    `files`; `says` is what the job reports of those that it refuses, None: nothing.
    """

    error: type[Exception] | None = None
    says: str | None = None  # found in the error, or in what the job reports
    files: tuple[str, ...] = FILES
    shows: Mapping[str, Any] | None = None  # of the VICTIM, or what took its place, in JSON
    page: Mapping[str, Any] | None = None  # of the page's own keys; dots lead inward
    outcome: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile response.

    `held` is expected where the mirror has the good page already; elsewhere `fresh` is.
    """

    id: str
    on_page: Action | None = None
    on_files: tuple[tuple[str, Action], ...] = ()  # a pattern in the path, what happens there
    fresh: Expected
    held: Expected
    json: bool = False  # whether the legacy JSON is mirrored too

    @property
    def same(self) -> bool:
        """Whether the job fails either way: then what is held tells more than nothing does."""
        return self.fresh.error is not None and self.fresh == self.held


# What is expected


def refuses_page(
    case: str,
    on_page: Action,
    error: type[Exception] = InvalidPage,
    says: str = "",
    *,
    held: Expected | None = None,
) -> Case:
    """Nothing is published, and what the mirror had stays."""
    expected = Expected(error=error, says=says)
    return Case(id=case, on_page=on_page, fresh=expected, held=held or expected)


def refuses_file(  # noqa: PLR0913 - a case says that much, most of it by default
    case: str,
    on_page: Action | None,
    says: str,
    *,
    on_files: tuple[tuple[str, Action], ...] = (),
    files: tuple[str, ...] = (WHEEL, SDIST),
    held: Expected | None = None,
) -> Case:
    """The others are mirrored; where the mirror had the file, it keeps it as it was."""
    return Case(
        id=case,
        on_page=on_page,
        on_files=on_files,
        fresh=Expected(says=says, files=files),
        held=held or Expected(says=says, files=FILES),
    )


def accepts(  # noqa: PLR0913 - as above
    case: str,
    on_page: Action | None,
    *,
    on_files: tuple[tuple[str, Action], ...] = (),
    files: tuple[str, ...] = FILES,
    shows: Mapping[str, Any] | None = None,
    page: Mapping[str, Any] | None = None,
    outcome: Outcome | None = None,
) -> Case:
    """It looks odd, but it does no harm: it is mirrored as it is."""
    expected = Expected(files=files, shows=shows, page=page, outcome=outcome)
    return Case(id=case, on_page=on_page, on_files=on_files, fresh=expected, held=expected)


UNNOTICED: Final = Expected()
"""The mirror has the file already and does not fetch it: nothing is wrong with what it has."""


# What upstream says


def page(change: Callable[[Page], object]) -> Action:
    """Let upstream's page, as the JSON has it, be changed."""

    def edit(said: Page) -> None:
        change(said)

    return Edit(edit)


def page_says(**changes: Any) -> Action:
    """Let the page say this; `name__` stands for keys that are no Python names."""
    return page(lambda said: said.update(_keys(changes)))


def page_has(changes: Mapping[str, Any]) -> Action:
    """Let the page say this, by keys of any form."""
    return page(lambda said: said.update(changes))


def also_this(entry: object) -> Action:
    """Let the page name something more among its files."""
    return page(lambda said: said["files"].append(entry))


def meta_says(changes: Mapping[str, Any]) -> Action:
    """Let the page's "meta" say this."""
    return page(lambda said: said["meta"].update(changes))


def victim(**changes: Any) -> Action:
    """Let the page say this of the VICTIM; a function is given what was said before."""

    def change(said: Page) -> None:
        entry = said["files"][-1]
        for key, value in _keys(changes).items():
            entry[key] = value(entry.get(key)) if callable(value) else value

    return page(change)


def without(key: str) -> Action:
    """Let the page not say this of the VICTIM."""
    return page(lambda said: said["files"][-1].pop(key))


def also(**changes: Any) -> Action:
    """Let the page name another file: the SDIST again, but for the changes."""

    def change(said: Page) -> None:
        entry = dict(said["files"][1])
        for key, value in _keys(changes).items():
            entry[key] = value(entry.get(key)) if callable(value) else value
        said["files"].append(entry)

    return page(change)


def url_of(entry: str) -> Action:
    """Let the VICTIM's URL be another: `{url}`, `{base}`, `{host}` and `{path}` are the good one's.

    `{port}` is upstream's port.
    """
    return victim(url=lambda good: fill(entry, good))


def fill(text: str, good: str) -> str:
    """Put the parts of a good URL where a text names them."""
    base, _, path = good.partition("/packages/")
    host = base.removeprefix("http://")
    parts = {
        "{url}": good,
        "{base}": base,
        "{host}": host,
        "{port}": host.rpartition(":")[2],
        "{path}": f"/packages/{path}",
    }
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


def html(*actions: Action) -> Action:
    """Answer in HTML."""
    return Together([_InHtml(), *actions])


def json_page(text: str | bytes) -> Action:
    """Answer with this as the page, whatever it is."""
    return Raw(200, JSON, text if isinstance(text, bytes) else text.encode())


def html_page(text: str | bytes) -> Action:
    """Answer with this as the page in HTML."""
    return Raw(200, HTML, text if isinstance(text, bytes) else text.encode())


@dataclass(frozen=True)
class Body(Action):
    """Send another body, made of the good one."""

    change: Callable[[bytes], bytes]
    headers: Mapping[str, str] | None = None  # beside the good ones

    def rewrite_response(self, response: Response, request: Request) -> Response:
        body = self.change(b"".join(response.body()))
        return replace(
            response,
            headers={**response.headers, **(self.headers or {})},
            body=lambda: iter((body,)),
            length=len(body),
        )


@dataclass(frozen=True)
class OnWire(Action):
    """Send what is made of the good body, and nothing else: status line, headers and all."""

    write: Callable[[bytes], bytes]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return Response(HTTPStatus.OK, wire=self.write(b"".join(response.body())))


@dataclass(frozen=True)
class Headers(Action):
    """Send the good answer with other headers; None takes one away."""

    changes: Mapping[str, str | None]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        said = {**response.headers, **self.changes}
        return replace(response, headers={k: v for k, v in said.items() if v is not None})


class _InHtml(Action):
    def rewrite_request(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "accept": "text/html"})


def bomb(mebibytes: int, encoding: str = "gzip") -> bytes:
    """Compress that many mebibytes of zeros; nobody comes to the checksum at the end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    first, other = (
        packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return first + other * (mebibytes - 1)


def _keys(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in changes.items()}


__all__ = [
    "FILES",
    "HTML",
    "JSON",
    "SDIST",
    "UNNOTICED",
    "VICTIM",
    "WHEEL",
    "Body",
    "Case",
    "Expected",
    "Headers",
    "HostRefused",
    "InvalidPage",
    "MassLoss",
    "OnWire",
    "Outcome",
    "Page",
    "StalePage",
    "TooLarge",
    "UpstreamUnavailable",
    "accepts",
    "also",
    "also_this",
    "bomb",
    "fill",
    "html",
    "html_page",
    "json_page",
    "meta_says",
    "page",
    "page_has",
    "page_says",
    "refuses_file",
    "refuses_page",
    "url_of",
    "victim",
    "without",
]
