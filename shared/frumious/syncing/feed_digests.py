"""Digests for the mirror's own change feed, and those of upstream's. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.errors import FrumiousError, Reason, Retryable
from frumious.model import layout
from frumious.model.types import MAX_TIME_LENGTH
from frumious.simple import render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.config.settings import Config
    from frumious.model.blobs import MirroredFile
    from frumious.model.jobs import Job, Result
    from frumious.model.pages import ProjectPage
    from frumious.simple.values import ParsedPage


class PageAhead(FrumiousError):
    """Upstream's page is newer than its change feed: a later entry brings it."""

    reason = Reason.UPSTREAM_STALE


class WrongPage(Retryable):
    """Upstream's page is not the one that its change feed names; perhaps a cache is stale."""

    reason = Reason.UPSTREAM_INVALID


def check_digest(job: Job, parsed: ParsedPage | None) -> None:
    """Check upstream's page against what upstream's change feed says of it.

    Raises:
        PageAhead: it is newer than the feed.
        WrongPage: it is another one.
    """
    if not job.digest or parsed is None or parsed.sha256 == job.digest:
        return
    serial = parsed.page.serial or 0
    if serial > job.serial:
        msg = f"upstream's page of {job.project!r} is at serial {serial}, its feed at {job.serial}"
        raise PageAhead(msg)
    msg = f"upstream's page of {job.project!r} does not have the digest of upstream's change feed"
    raise WrongPage(msg)


def with_digests(
    result: Result, page: ProjectPage | None, files: Iterable[MirroredFile], config: Config
) -> Result:
    """Return the result with the digests of the page and of the files that it names.

    `files` are those on the page, and those on the page before, as far as they are known.
    """
    if config.changes is None or not result.outcome.changed:
        return result
    by_key = {each.key: each.file for each in files}
    named = [key for key in (*result.added, *result.removed) if layout.is_file(key)]
    digests = ((key, by_key[key].hashes.get("sha256", "")) for key in named if key in by_key)
    uploads = (by_key[key].upload_time or "" for key in result.added if key in by_key)
    times = (each for each in uploads if len(each) <= MAX_TIME_LENGTH)
    body = None
    if page is not None and config.page_layout.json:
        body = render.project_page_json(page)
    return replace(
        result,
        page="" if body is None else hashlib.sha256(body).hexdigest(),
        sha256=tuple((key, digest) for key, digest in digests if digest),
        uploaded=max(times, default=""),
    )
