"""Builds of Python on their way to another mirror: files first, the list that names them last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.bundles.changes import NewFile
from frumious.bundles.errors import InvalidBundle
from frumious.model.blobs import Blob
from frumious.model.checksums import ExpectedContent
from frumious.pythons.listing import InvalidList, parse, select
from frumious.pythons.published import LIST, read_published

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from frumious.model.types import Key
    from frumious.pythons.listing import Build
    from frumious.storage.protocol import Storage


def named_builds(body: bytes | None) -> Mapping[Key, Build]:
    """Return the builds that a published list names; none without a list.

    Raises:
        InvalidBundle: the list is damaged, or names what no mirror has.
    """
    if body is None:
        return {}
    try:
        builds, problems = select(parse(body, LIST), None)
    except InvalidList as error:
        raise InvalidBundle(str(error)) from error
    if problems:
        msg = f"{LIST}: {problems[0]}"
        raise InvalidBundle(msg)
    return builds


def missing_builds(named: Mapping[Key, Build], had: Mapping[Key, Build]) -> list[NewFile]:
    """Return the builds that a mirror with other builds lacks, in the order of their keys."""
    return [
        NewFile(Blob(key=key, url="", expected=ExpectedContent("sha256", build.sha256)), None)
        for key, build in sorted(named.items())
        if key not in had or had[key].sha256 != build.sha256
    ]


async def stored_builds(storage: Storage) -> Mapping[Key, Build]:
    """Return the builds that a mirror's list names; none, if the list is damaged."""
    try:
        return await read_published(storage)
    except InvalidList:
        return {}


async def check_builds(body: bytes | None, new: Container[Key], storage: Storage) -> None:
    """Check that a mirror has all builds that a list names, apart from `new` ones.

    Raises:
        InvalidBundle: it lacks one.
    """
    known = await stored_builds(storage)
    for file in missing_builds(named_builds(body), known):
        if file.blob.key not in new:
            msg = f"{LIST!r} names {file.blob.key!r}, which neither bundle nor mirror has"
            raise InvalidBundle(msg)
