"""What a project needs: its stored core metadata is read, each one once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from frumious.concurrency import run_all
from frumious.model.closure import MAX_PROBLEMS, Dependencies
from frumious.selection.fingerprints import fingerprint
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.state.objects import render
from frumious.state.requirements import (
    Requirements,
    RequirementsFile,
    read_requirements,
    requirements_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import MirroredFile
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.selection.requirements import RawRequirements
    from frumious.storage.protocol import Storage

_CONCURRENT_READS: Final = 16
_MAX_LINES: Final = 50_000  # of a project
_MAX_LENGTH: Final = 2000  # characters of a line that is kept, so that its report can quote it
_SHOWN: Final = 5  # releases in a problem


async def read_dependencies(
    project: NormalizedName,
    upstream_page: ProjectPage,
    files: Sequence[MirroredFile],
    problem: str,
    mirror: Mirror,
) -> Dependencies | None:
    """Return what the files of the mirror's page need; None without a closure.

    `problem` is one of the project's already.
    """
    closure = mirror.selection.closure
    if closure is None:
        return None
    digests = {each.file.filename: digest for each in files if (digest := each.metadata_digest)}
    known = await read_requirements(project, mirror.storage)
    keys = {
        digests[each.file.filename]: each.metadata_key
        for each in files
        if each.file.filename in digests
    }
    found = await _with_new(known, keys, mirror.storage)
    if found != known:
        await mirror.storage.write(requirements_key(project), render(found))
    from frumious.selection.requirements import dependencies_of  # noqa: PLC0415 (few need it)

    dependencies, problems = await asyncio.to_thread(
        dependencies_of, found.lines, closure.environments
    )
    unknown = _unknown(project, upstream_page, files, digests, found)
    problems = [*filter(None, (problem, unknown)), *problems]
    states = sorted((file.filename, str(file.yanked)) for file in upstream_page.files)
    return Dependencies(
        page=fingerprint(states, closure.fingerprint),
        all=dependencies,
        problems=tuple(each[:300] for each in problems[:MAX_PROBLEMS]),
    )


async def _with_new(
    known: RequirementsFile, keys: Mapping[str, Key], storage: Storage
) -> RequirementsFile:
    """Return the requirements of the files at some keys, of which those that are new are read."""
    slots = asyncio.Semaphore(_CONCURRENT_READS)

    async def read(key: Key) -> RawRequirements | None:
        async with slots:
            return await _read_metadata(key, storage)

    new = [digest for digest in keys if digest not in known.files]
    if not new and known.files.keys() == keys.keys():
        return known
    parsed = dict(zip(new, await run_all(read(keys[digest]) for digest in new), strict=True))
    lines: dict[str, int] = {}
    files: dict[str, Requirements] = {}
    for digest in sorted(keys):
        if digest in parsed:
            raw = parsed[digest]
            if raw is None:
                continue  # the audit finds it; the next job reads it
            of_file, problem = raw
        else:
            of_file, problem = tuple(known.of(digest)), known.files[digest].problem
        if len(lines) + len(of_file) > _MAX_LINES:
            of_file, problem = (), f"the project has over {_MAX_LINES} requirements"
        numbers = (lines.setdefault(line[:_MAX_LENGTH], len(lines)) for line in of_file)
        files[digest] = Requirements(tuple(numbers), problem)
    return RequirementsFile(tuple(lines), files)


async def _read_metadata(key: Key, storage: Storage) -> RawRequirements | None:
    """Read core metadata up to its description, which may be long; None: it is missing."""
    from frumious.selection.requirements import (  # noqa: PLC0415 (few need it)
        HEADERS_SIZE,
        parse_metadata,
    )

    opened = await storage.stream(key)
    if opened is None:
        return None
    headers = b""
    async with aclosing(opened.chunks) as chunks:
        async for chunk in chunks:
            headers += chunk
            if len(headers) >= HEADERS_SIZE:
                break
    return parse_metadata(headers[:HEADERS_SIZE])


def _unknown(
    project: NormalizedName,
    page: ProjectPage,
    files: Iterable[MirroredFile],
    digests: Mapping[str, str],
    found: RequirementsFile,
) -> str:
    """Return which releases nobody knows the requirements of: no file has valid metadata."""
    stored = {each.file.filename for each in files}
    whys: defaultdict[str, set[str]] = defaultdict(set)
    for each in Subject.of(project, page, NO_CONTEXT).files:
        name = each.file.filename
        if name in stored:
            known = found.files.get(digests.get(name, ""))
            why = "no file has core metadata" if known is None else known.problem
            whys[each.release or "?"].add(why)
    unknown = {release: sorted(why) for release, why in whys.items() if "" not in why}
    if not unknown:
        return ""
    named = [f"{release} ({why[0]})" for release, why in list(unknown.items())[:_SHOWN]]
    more = f" and {len(unknown) - _SHOWN} others" if len(unknown) > _SHOWN else ""
    return f"nobody knows what {len(unknown)} releases need: {', '.join(named)}{more}"
