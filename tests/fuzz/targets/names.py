"""Filenames, URLs and texts that become keys, requests or log lines."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from yarl import URL

from frumious.model import layout
from frumious.model.pages import File
from frumious.redaction import redact
from frumious.selection.filenames import Versions, owners_of
from frumious.upstream.addresses import AddressPolicy, HostRefused
from tests.fuzz.targets.checks import CONFIG, PROJECT, check_key, check_project

_HASHES: Final = {"sha256": "ab" * 32}
_POLICY: Final = AddressPolicy(CONFIG)


def filename(data: bytes) -> None:
    """A file's name and the path of its URL, on two lines."""
    name, _, path = data.decode("utf-8", "surrogateescape").partition("\n")
    for project in owners_of(name):
        check_project(project)
    _, tags = Versions(PROJECT, ("1.0", "1.0-1")).split(name)
    assert tags in name
    url = f"https://files.example/{path}"
    provenance = f"https://upstream.example/integrity/demo/{path}/provenance"
    try:
        file = File(filename=name, url=url, hashes=_HASHES, provenance=provenance)
        layout.check_reserved(name)
        key = layout.file_key(file)
        stored = layout.stored_key(file)
    except (layout.UnsafeName, ValueError):  # parsers refuse URLs that are not valid
        return
    for each in (key, stored):
        check_key(each, "web/packages/")
        check_key(layout.metadata_key(each), "web/packages/")
        assert layout.filename(each) == name
    with suppress(layout.UnsafeName):
        check_key(layout.provenance_key(PROJECT, file), f"web/integrity/{PROJECT}/")


def url(data: bytes) -> None:
    """A URL of a page or of a redirect."""
    text = data.decode("utf-8", "replace")
    try:
        target = _POLICY.check(text)
    except HostRefused:
        return
    assert target.scheme == "https"
    assert ((target.raw_host or "").lower(), target.port) in CONFIG.allowed_hosts
    assert target.raw_user is None
    sent = URL(str(target), encoded=True)  # as a server and its proxies parse it
    assert (sent.raw_host, sent.port) == (target.raw_host, target.port)


def redaction(data: bytes) -> None:
    """A text of a log record or an error."""
    text = data.decode("utf-8", "replace")
    redacted = redact(text)
    assert redact(redacted) == redacted


TARGETS = (filename, url, redaction)
