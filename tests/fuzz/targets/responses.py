"""Upstream's other responses: the changelog, legacy JSON, provenance, headers."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any, Final, cast

from multidict import CIMultiDict

from frumious.model.pages import File
from frumious.simple import legacy_json, parse_json
from frumious.simple.values import InvalidPage
from frumious.upstream import changelog, client, download, responses
from frumious.upstream.client import Client, Response
from frumious.upstream.download import DownloadInterrupted
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.rate_limit import requested_pause
from tests.fuzz.targets.checks import PROJECT, URL, Answer, InstantClock, check_project, run

# The files of a page: name, SHA-256, yanked. The seeds' files are among them.
_SHOWN: Final = (
    ("demo-1.0-py3-none-any.whl", None, False),
    ("demo-1.0.tar.gz", "ab" * 32, "broken"),
)


class _OneAnswer:
    """A client whose server gives the same answer to everything."""

    def __init__(self, body: bytes) -> None:
        self.clock = InstantClock()
        self._body = body

    async def fetch(self, url: str, **_: Any) -> Response:
        return Response(200, {}, self._body, url)


def changelog_rows(data: bytes) -> None:
    """The changelog: XML-RPC."""
    answering = cast("Client", _OneAnswer(data))
    try:
        changes = run(changelog.changes_since(answering, "https://upstream.example", 5))
    except (changelog.NoChangelog, UpstreamUnavailable):
        return
    for project in changes.projects:
        check_project(project)
    assert changes.allowed_removals.keys() <= changes.projects.keys()
    assert changes.serial >= 5
    assert all(serial <= changes.serial for serial in changes.projects.values())


def changelog_serial(data: bytes) -> None:
    """The changelog's last serial."""
    answering = cast("Client", _OneAnswer(data))
    try:
        serial = run(changelog.last_serial(answering, "https://upstream.example"))
    except (changelog.NoChangelog, UpstreamUnavailable):
        return
    assert isinstance(serial, int)


def legacy(data: bytes) -> None:
    """Legacy JSON, which is copied without the queries of its links, or with some files alone."""
    try:
        parse_json.json_object(data, URL)
        parse_json.check_legacy_json(data, URL, PROJECT)
    except InvalidPage:
        return
    copied = legacy_json.without_secrets(data)
    parse_json.check_legacy_json(copied, URL, PROJECT)
    assert legacy_json.without_secrets(copied) == copied
    some = legacy_json.only({name for name, _, _ in _SHOWN}, data)
    parse_json.check_legacy_json(some, URL, PROJECT)


def release(data: bytes) -> None:
    """The legacy JSON of a release, of which the mirror keeps what its page shows."""
    try:
        parse_json.json_object(data, URL)
        parse_json.check_release_json(data, URL, PROJECT, "1.0")
    except InvalidPage:
        return
    payload = legacy_json.parse(data)
    latest = legacy_json.latest_release(payload, "1.0")
    assert latest is None or latest["info"]["version"] == "1.0"  # type: ignore[index,call-overload]
    shown = [
        File(
            filename=name,
            url=f"{URL}{name}",
            hashes={} if sha256 is None else {"sha256": sha256},
            yanked=yanked,
        )
        for name, sha256, yanked in _SHOWN
    ]
    legacy_json.describes(payload, shown)
    copied = legacy_json.of_release(payload, shown)
    parse_json.json_object(copied, URL)
    parse_json.check_release_json(copied, URL, PROJECT, "1.0")
    kept = legacy_json.parse(copied)
    assert "releases" not in kept
    for entry in cast("list[dict[str, Any]]", kept["urls"]):
        assert entry["filename"] in {name for name, _, _ in _SHOWN}
        assert "?" not in str(entry.get("url"))
    assert legacy_json.of_release(kept, shown) == copied


def provenance(data: bytes) -> None:
    """A file's provenance; the first line is the media type."""
    media_type, _, body = data.partition(b"\n")
    response = Response(200, {"Content-Type": media_type.decode("latin-1")}, body, URL)
    try:
        payload = parse_json.json_object(body, URL)
        responses.check_provenance(response, payload)
    except InvalidPage:
        return
    assert type(payload["version"]) is int


def headers(data: bytes) -> None:
    """The headers that the mirror reads, one on a line, after the status."""
    first, *lines = data.decode("latin-1").split("\n")
    status = int(first) if re.fullmatch("[1-5][0-9]{2}", first) else 206
    pairs = (line.partition(":")[::2] for line in lines)
    fields = CIMultiDict((name, value.strip()) for name, value in pairs)
    answer = cast("Any", Answer(fields, status))
    response = Response(status, fields, b"", URL)
    for refused in (True, False):
        pause = requested_pause(fields, InstantClock().now(), refused=refused)
        assert pause is None or 0 <= pause < math.inf
    serial = responses.serial_of(response)
    assert serial is None or 0 <= serial < 10**18
    assert len(responses.etag_of(response)) <= 256
    with suppress(InvalidPage):
        responses.is_json(response)
    with suppress(UpstreamUnavailable):
        client._location(answer, URL)
    with suppress(DownloadInterrupted):
        assert download._bytes_to_skip(answer, 1000) in {0, 1000, None}


TARGETS = (changelog_rows, changelog_serial, legacy, release, provenance, headers)
