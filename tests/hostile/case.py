"""Responses of a hostile or broken upstream, and what the mirror must do with them.

A case changes upstream's page of `demo`, or the files that belong to it. The valid page names
FILES; a case usually changes the last of them, the VICTIM.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from frumious.model.jobs import Outcome
from frumious.simple.values import InvalidPage
from frumious.syncing.comparison import MassLoss
from frumious.upstream.addresses import HostRefused
from frumious.upstream.failures import TooLarge, UpstreamUnavailable
from frumious.upstream.upstream import StalePage
from tests.upstream import Action, Edit, Headers, Raw, Request, Together
from tests.upstream.messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.errors import FrumiousError

WHEEL: Final = "demo-1.0-py3-none-any.whl"
SDIST: Final = "demo-1.0.tar.gz"
VICTIM: Final = "demo-2.0-py3-none-any.whl"  # has core metadata and provenance
FILES: Final = (WHEEL, SDIST, VICTIM)

JSON: Final = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
HTML: Final = {"Content-Type": "text/html"}

Page = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected result of a case.

    With `error` the job fails, and the mirror stays as it was. Without it the page is published
    with `files`.
    """

    error: type[FrumiousError] | None = None
    reports: str | None = None  # part of the error, or of the job's report; None: no report
    files: tuple[str, ...] = FILES
    entry: Mapping[str, Any] | None = None  # of the VICTIM, or of its replacement, in JSON
    page: Mapping[str, Any] | None = None  # of the page, by keys with dots between them
    outcome: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile response, and what is expected of an empty and of a full mirror.

    A full mirror has stored the valid page.
    """

    id: str
    on_page: Action | None = None
    on_files: tuple[tuple[str, Action], ...] = ()  # patterns of paths, and their actions
    empty: Expected
    full: Expected
    json: bool = False  # whether the legacy JSON is mirrored

    @property
    def always_fails(self) -> bool:
        """Whether the job fails in both mirrors: then testing the full one suffices."""
        return self.empty.error is not None and self.empty == self.full


# Expectations


def refuses_page(
    case: str,
    on_page: Action,
    error: type[FrumiousError] = InvalidPage,
    reports: str = "",
    *,
    full: Expected | None = None,
) -> Case:
    """Expect that nothing is published, and that the mirror stays as it was."""
    expected = Expected(error=error, reports=reports)
    return Case(id=case, on_page=on_page, empty=expected, full=full or expected)


def refuses_file(  # noqa: PLR0913 - most parameters have defaults
    case: str,
    on_page: Action | None,
    reports: str,
    *,
    on_files: tuple[tuple[str, Action], ...] = (),
    files: tuple[str, ...] = (WHEEL, SDIST),
    full: Expected | None = None,
) -> Case:
    """Expect that the other files are mirrored, and that a full mirror keeps the file."""
    return Case(
        id=case,
        on_page=on_page,
        on_files=on_files,
        empty=Expected(reports=reports, files=files),
        full=full or Expected(reports=reports, files=FILES),
    )


def accepts(  # noqa: PLR0913 - as above
    case: str,
    on_page: Action | None,
    *,
    on_files: tuple[tuple[str, Action], ...] = (),
    files: tuple[str, ...] = FILES,
    entry: Mapping[str, Any] | None = None,
    page: Mapping[str, Any] | None = None,
    outcome: Outcome | None = None,
) -> Case:
    """Expect that something unusual but harmless is mirrored unchanged."""
    expected = Expected(files=files, entry=entry, page=page, outcome=outcome)
    return Case(id=case, on_page=on_page, on_files=on_files, empty=expected, full=expected)


UNNOTICED: Final = Expected()
"""A full mirror has stored the file, and does not download it again."""


# Changes of upstream's responses


def page(change: Callable[[Page], object]) -> Action:
    """Change upstream's JSON page."""

    def edit(payload: Page) -> None:
        change(payload)

    return Edit(edit)


def page_with(**changes: Any) -> Action:
    """Set keys of the page; `_` in a name stands for `-`."""
    return page(lambda payload: payload.update(_keys(changes)))


def page_with_keys(changes: Mapping[str, Any]) -> Action:
    """Set keys of the page."""
    return page(lambda payload: payload.update(changes))


def extra_entry(entry: object) -> Action:
    """Append an entry to the page's files."""
    return page(lambda payload: payload["files"].append(entry))


def meta_with(changes: Mapping[str, Any]) -> Action:
    """Set keys of the page's "meta"."""
    return page(lambda payload: payload["meta"].update(changes))


def victim(**changes: Any) -> Action:
    """Set keys of the VICTIM's entry; a function receives the old value."""

    def change(payload: Page) -> None:
        entry = payload["files"][-1]
        for key, value in _keys(changes).items():
            entry[key] = value(entry.get(key)) if callable(value) else value

    return page(change)


def without(key: str) -> Action:
    """Remove a key of the VICTIM's entry."""
    return page(lambda payload: payload["files"][-1].pop(key))


def extra_file(**changes: Any) -> Action:
    """Append a copy of the SDIST's entry with changes."""

    def change(payload: Page) -> None:
        entry = dict(payload["files"][1])
        for key, value in _keys(changes).items():
            entry[key] = value(entry.get(key)) if callable(value) else value
        payload["files"].append(entry)

    return page(change)


def url_of(entry: str) -> Action:
    """Set the VICTIM's URL, which may contain `{url}`, `{base}` and other parts: see `fill`."""
    return victim(url=lambda good: fill(entry, good))


def fill(text: str, good: str) -> str:
    """Replace the names of a valid URL's parts in a text."""
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
    """Send the page in HTML."""
    return Together([_InHtml(), *actions])


def json_page(text: str | bytes) -> Action:
    """Send a body as the JSON page."""
    return Raw(200, JSON, text if isinstance(text, bytes) else text.encode())


def html_page(text: str | bytes) -> Action:
    """Send a body as the HTML page."""
    return Raw(200, HTML, text if isinstance(text, bytes) else text.encode())


@dataclass(frozen=True)
class Body(Action):
    """Send a body that is derived from the valid one."""

    change: Callable[[bytes], bytes]
    headers: Mapping[str, str] | None = None  # in addition to the valid ones

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
    """Send bytes that are derived from the valid body, with its own status line and headers."""

    write: Callable[[bytes], bytes]

    def rewrite_response(self, response: Response, request: Request) -> Response:
        return Response(HTTPStatus.OK, wire=self.write(b"".join(response.body())))


class _InHtml(Action):
    def rewrite_request(self, request: Request) -> Request:
        return replace(request, headers={**request.headers, "accept": "text/html"})


def bomb(mebibytes: int, encoding: str = "gzip") -> bytes:
    """Compress that many mebibytes of zeros, without a valid checksum at the end."""
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
    "bomb",
    "extra_entry",
    "extra_file",
    "fill",
    "html",
    "html_page",
    "json_page",
    "meta_with",
    "page",
    "page_with",
    "page_with_keys",
    "refuses_file",
    "refuses_page",
    "url_of",
    "victim",
    "without",
]
