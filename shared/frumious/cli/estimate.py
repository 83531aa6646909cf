"""What the command reads for an estimate: mirror.conf, upstream's index, a short list's pages."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from frumious.concurrency import run_all
from frumious.cost import estimate, prices
from frumious.cost.estimate import Workload
from frumious.selection.subject import Context
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

    from frumious.cost.estimate import Item
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Json, JsonObject
    from frumious.selection.selection import Selection
    from frumious.upstream.upstream import Upstream

MAX_ASKED: Final = 200  # names of an allowlist whose pages are read
_CONCURRENT_REQUESTS: Final = 5  # as many as the planner makes
_RECENT_DAYS: Final = 90  # from which the changes of a project are counted


@dataclass(frozen=True, slots=True)
class Measured:
    """A mirror's size, and how it was found out."""

    workload: Workload
    basis: str


async def measure(upstream: Upstream, selection: Selection) -> Measured:
    """Find out how large the configured mirror is, as far as upstream says so politely.

    Raises:
        UpstreamUnavailable: upstream did not answer.
    """
    names = selection.exact_projects
    if names is not None and len(names) <= MAX_ASKED:
        return await _ask(sorted(filter(selection.wants, names)), upstream, selection)
    index = await upstream.root_index()
    projects = 0 if index is None else sum(map(selection.wants, index.projects))
    basis = f"{projects:,} projects by upstream's root index; their files by PyPI's averages"
    return Measured(average(projects), basis)


def average(projects: int) -> Workload:
    """Return what a number of projects have if they are like PyPI's as a whole."""
    files = projects * estimate.FILES_PER_PROJECT
    return Workload(
        projects=projects,
        files=files,
        bytes_=files * estimate.BYTES_PER_FILE,
        changes_per_day=projects * estimate.CHANGES_PER_PROJECT,
        releases=projects * estimate.RELEASES_PER_PROJECT,
    )


async def _ask(
    names: Sequence[NormalizedName], upstream: Upstream, selection: Selection
) -> Measured:
    from frumious.syncing.release_copies import (  # noqa: PLC0415 (with all that asks upstream)
        files_of_releases,
    )

    limit = asyncio.Semaphore(_CONCURRENT_REQUESTS)

    async def ask(name: NormalizedName) -> ProjectPage | None:
        async with limit:
            try:
                parsed = await upstream.project_page(name, at_least=0)
            except InvalidPage:
                return None
        return (
            None
            if parsed is None
            else selection.select(name, parsed.page, Context(now=time.time()))
        )

    pages = [page for page in await run_all(map(ask, names)) if page is not None]
    files = [file for page in pages for file in page.files]
    recent = [{file.upload_time[:10] for file in page.files if _is_recent(file)} for page in pages]  # type: ignore[index]
    changes, new_files = sum(map(len, recent)), sum(map(_is_recent, files))
    companions = sum(bool(file.core_metadata) + bool(file.provenance) for file in files)
    workload = Workload(
        projects=len(pages),
        files=len(files),
        bytes_=sum(file.size or estimate.BYTES_PER_FILE for file in files),
        changes_per_day=changes / _RECENT_DAYS,
        files_per_change=new_files / changes if changes else estimate.FILES_PER_CHANGE,
        releases=sum(len(files_of_releases(canonicalize_name(each.name), each)) for each in pages),
        objects_per_file=1 + companions / len(files) if files else estimate.OBJECTS_PER_FILE,
    )
    missing = (
        f"; names without a page: {len(names) - len(pages)}" if len(pages) < len(names) else ""
    )
    basis = f"the pages of {len(pages)} projects, and their uploads in {_RECENT_DAYS} days{missing}"
    return Measured(workload, basis)


def _is_recent(file: File) -> bool:
    try:
        uploaded = datetime.fromisoformat(file.upload_time or "")
    except ValueError:
        return False
    if uploaded.tzinfo is None:
        uploaded = uploaded.replace(tzinfo=UTC)
    return uploaded.timestamp() > time.time() - _RECENT_DAYS * 24 * 3600


def summary(measured: Measured) -> JsonObject:
    """Return an estimate as JSON."""
    work = measured.workload
    return {
        "prices": prices.AS_OF,
        "region": prices.REGION,
        "basis": measured.basis,
        "projects": work.projects,
        "files": round(work.files),
        "bytes": round(work.bytes_),
        "changes_per_day": round(work.changes_per_day, 2),
        "bootstrap": _bill(estimate.bootstrap(work)),
        "month": _bill(estimate.month(work)),
    }


def _bill(items: Sequence[Item]) -> JsonObject:
    lines: list[Json] = [
        {
            "item": item.text,
            "quantity": round(item.units, 3),
            "unit": item.price.unit,
            "usd": round(item.usd, 4),
            "source": item.price.source,
        }
        for item in items
    ]
    return {"usd": round(estimate.total(items), 2), "items": lines}


def with_numbers(measured: Measured, **numbers: float | None) -> Measured:
    """Replace what somebody knows better."""
    known = {name: value for name, value in numbers.items() if value is not None}
    return replace(measured, workload=replace(measured.workload, **known))  # type: ignore[arg-type]
