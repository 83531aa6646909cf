"""Builds are brought in step with their list.

The list that the mirror publishes is the manifest: what it names is stored and was verified. It is
written last. What the list of upstream no longer has stays, because uv's releases contain older
lists; only `prune` deletes it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from packaging.utils import canonicalize_name

from frumious.model.blobs import Blob
from frumious.model.checksums import ExpectedContent
from frumious.pythons.listing import Build, InvalidList, parse, platforms, render, select
from frumious.pythons.published import LIST, is_intact, read_published
from frumious.syncing.transfer import Transfer
from frumious.upstream.client import Client
from frumious.upstream.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frumious.config.pythons import PythonBuilds
    from frumious.mirror import Mirror
    from frumious.model.types import Key

_MAX_LIST: Final = 64 * 1024**2  # bytes
_SHOWN: Final = 30  # platforms


class Mirrored(NamedTuple):
    """What became of the builds."""

    builds: int  # that the mirror has
    stored: tuple[Key, ...]
    removed: tuple[Key, ...]
    problems: tuple[str, ...]  # builds that could not be mirrored, and why


async def mirror_builds(
    policy: PythonBuilds, mirror: Mirror, *, deep: bool = False, prune: bool = False
) -> Mirrored:
    """Store the selected builds that are missing, and publish the list.

    `deep` reads what is stored, and fetches damaged builds again.

    Raises:
        InvalidList, FrumiousError: the list cannot be read; nothing is changed.
    """
    config = policy.upstream(mirror.config)
    client = Client(config, mirror.clock)
    async with aclosing(Upstream(config, client)) as upstream:
        body = await _read(policy.list, client)
        entries = parse(body, policy.list)
        selected, problems = select(entries, policy)
        if not selected:
            raise InvalidList(_none_selected(entries, problems, policy.list))
        current = await _current(mirror)
        if deep and (damaged := await _damaged(current, mirror)):
            current = {key: build for key, build in current.items() if key not in damaged}
            await _publish(current, mirror)
            await mirror.storage.delete(damaged)
        for key in selected.keys() & current.keys():
            if selected[key].sha256 != current[key].sha256:
                problems.append(f"{key!r}: the list has another digest now; the stored build stays")
        new = [build for key, build in selected.items() if key not in current]
        transfer = Transfer(
            canonicalize_name("python-builds"),
            upstream,
            mirror.storage,
            mirror.clock,
            resuming=True,
            final=True,
        )
        failed = await transfer.store([_blob(build) for build in new])
    stored = {build.key: build for build in new if build.key not in failed}
    kept = {key: each for key, each in current.items() if key in selected or not prune}
    removed = tuple(sorted(current.keys() - kept.keys()))
    await _publish(kept | stored, mirror)
    await mirror.storage.delete(removed)
    problems += [f"{key!r}: {why}" for key, why in failed.items()]
    return Mirrored(len(kept) + len(stored), tuple(sorted(stored)), removed, tuple(problems))


async def _read(source: str, client: Client) -> bytes:
    if not source.startswith(("http://", "https://")):
        try:
            return await asyncio.to_thread(Path(source).read_bytes)
        except OSError as error:
            msg = f"cannot read the list of builds {source!r}: {error.strerror}"
            raise InvalidList(msg) from error
    accept = {"Accept": "application/json"}
    response = await client.fetch(source, limit=_MAX_LIST, headers=accept)
    response.check_status()
    return response.body


def _none_selected(
    entries: Mapping[str, Mapping[str, Any]], problems: Sequence[str], source: str
) -> str:
    """Return why nothing is selected: what the list has, or the first build that is refused."""
    known = sorted(platforms(entries))
    found = f"the list is of these platforms: {', '.join(known[:_SHOWN])}"
    if problems:
        found = problems[0]
    elif not known:
        found = "it names no builds"
    elif len(known) > _SHOWN:
        found += f" and {len(known) - _SHOWN} more"
    return f"{source!r} has none of the builds that [pythons] selects; {found}"


async def _current(mirror: Mirror) -> Mapping[Key, Build]:
    """Return the builds that the mirror's own list names; a damaged list counts as absent."""
    try:
        return await read_published(mirror.storage)
    except InvalidList:
        return {}


async def _damaged(builds: Mapping[Key, Build], mirror: Mirror) -> list[Key]:
    return [key for key, build in builds.items() if not await is_intact(build, mirror.storage)]


async def _publish(builds: Mapping[Key, Build], mirror: Mirror) -> None:
    body = render(builds[key] for key in sorted(builds))
    stored = await mirror.storage.read(LIST)
    if stored is None or stored.body != body:
        await mirror.storage.write(LIST, body)


def _blob(build: Build) -> Blob:
    expected = ExpectedContent("sha256", build.sha256)
    return Blob(key=build.key, url=build.url, expected=expected)
