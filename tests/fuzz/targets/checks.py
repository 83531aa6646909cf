"""Properties that several targets check, and doubles of the network and the storage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_name, is_normalized_name

from frumious.clock import Clock
from frumious.config.loading import parse as parse_configuration
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.page_layout import PageLayout
from frumious.model.types import Key, RunId
from frumious.simple import parse_html, parse_json, render
from frumious.state import objects
from frumious.state.removed_files import RemovedFiles
from frumious.storage.protocol import Conflict, Stored
from frumious.syncing.comparison import CurrentPage, compare
from frumious.syncing.page_builder import build_page
from frumious.syncing.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from multidict import CIMultiDict

    from frumious.model.pages import ProjectPage
    from frumious.simple.values import ParsedPage

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

PROJECT: Final = canonicalize_name("demo")
URL: Final = "https://upstream.example/simple/demo/"
MANIFEST: Final = PageLayout().manifest(PROJECT)
CONFIG: Final = parse_configuration("[mirror]\ndirectory = /srv/pypi\n", {})
SELECTION: Final = CONFIG.selection

_MAX_KEY_BYTES: Final = 1024  # of S3
_MAX_NAME_BYTES: Final = 255  # of file systems


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, because its network and its storage are doubles."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    msg = "the coroutine waits"
    raise AssertionError(msg)


class InstantClock(Clock):
    """A clock that does not wait; it stands still, so that findings can be repeated."""

    def now(self) -> float:
        return 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 3600


@dataclass
class Answer:
    """A response of aiohttp, as far as the code reads its status and headers."""

    headers: CIMultiDict[str]
    status: int = 200
    reason: str = "OK"
    url: str = URL
    content_length: int | None = None


@dataclass
class MemoryStorage:
    """A storage that never waits."""

    objects: dict[Key, bytes] = field(default_factory=dict)

    async def read(self, key: Key) -> Stored | None:
        body = self.objects.get(key)
        return None if body is None else Stored(body, _etag(body))

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        if replacing is not None and (
            key not in self.objects or _etag(self.objects[key]) != replacing
        ):
            raise Conflict(key)
        self.objects[key] = body
        return _etag(body)

    async def create(self, key: Key, body: bytes) -> str:
        if key in self.objects:
            raise Conflict(key)
        return await self.write(key, body)


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def check_key(key: str, *prefixes: str) -> None:
    """Check that a key stays below its prefix, and fits into every storage."""
    assert key.startswith(prefixes), key
    segments = key.split("/")
    assert not {"", ".", ".."} & {*segments}, key
    assert key.isprintable(), ascii(key)
    assert "\\" not in key, key
    assert len(key.encode()) <= _MAX_KEY_BYTES, key
    assert max(len(segment.encode()) for segment in segments) <= _MAX_NAME_BYTES, key


def check_project(name: str) -> None:
    """Check that a name can be part of every key of a project."""
    assert is_normalized_name(name), name
    assert name.isascii(), name


def check_parsed(parsed: ParsedPage) -> None:
    """Check a page that was accepted from upstream, and what the mirror makes of it."""
    page = parsed.page
    body = render.project_page_json(page)
    again = parse_json.project_page(body, URL, PROJECT)
    assert again.page == page
    assert again.refused == {}
    render.project_page_html(page)
    page_selected = SELECTION.select(PROJECT, page)
    assert page_selected is not None
    selected = replace(parsed, page=page_selected)
    current = CurrentPage(None, (), RemovedFiles())
    change = compare(PROJECT, selected, current, CONFIG, "fingerprint")
    built = build_page(change, {}, current, Recovery(RunId("20260101T000000-1")), CONFIG)
    check_published(built.page)


def check_published(page: ProjectPage) -> None:
    """Check a page that the mirror would publish: it is read back as it is."""
    body = render.project_page_json(page)
    stored = parse_json.manifest(body, MANIFEST)
    assert without_urls(stored) == without_urls(page)
    assert render.project_page_json(page) == body
    files = mirrored_files(PROJECT, stored)
    for key in keys_of(files):
        check_key(key, "web/packages/", f"web/integrity/{PROJECT}/")
    html = parse_html.project_page(render.project_page_html(page), f"/{MANIFEST}", PROJECT).page
    assert [file.filename for file in html.files] == [file.filename for file in page.files]


def without_urls(page: ProjectPage) -> ProjectPage:
    """Return the page without what is resolved against its own URL."""
    files = tuple(replace(file, url="", provenance=None) for file in page.files)
    return replace(page, files=files)


def read_back(key: Key, data: bytes, kind: type[S]) -> S | None:
    """Parse a state file; check that it is read back as it is written."""
    try:
        value = objects.parse(key, Stored(data, "etag"), kind)
    except (objects.LedgerCorrupt, objects.NewerFormat):
        return None
    assert objects.parse(key, Stored(objects.render(value), "etag"), kind) == value
    return value
