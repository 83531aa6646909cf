"""A bundle goes into a container of a real Swift, and on from there."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.storage.opening import open_storage
from tests.airgap.sides import Side, pair
from tests.servers.swift import SwiftServer
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


def in_container(side: Side, swift: SwiftServer, sections: str) -> None:
    """Let a side have its mirror in a new container."""
    text = side.conf.read_text("utf-8").replace(f"directory = {side.mirror}\n", "")
    general, _, _ = text.partition("\n[")
    side.conf.write_text(
        f"{general}\ndirectory = /mirror\nstorage-backend = swift\n[swift]\nauth_version = 1\n"
        f"auth_url = {swift.auth_url}\nusername = {swift.user}\npassword = {swift.key}\n"
        f"default_container = {side.folder.name}\n{sections}",
        "utf-8",
    )


def objects(side: Side) -> dict[str, bytes]:
    """Return what readers of a container get."""
    config = loading.load(side.conf, {})

    async def read() -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        async with open_storage(config) as storage:
            async with aclosing(storage.list("web/")) as listing:
                keys = [entry.key async for entry in listing]
            for key in keys:
                stored = await storage.read(key)
                found[key] = stored.body if stored is not None else b""
        return found

    return asyncio.run(read())


def plain(side: Side) -> dict[str, bytes]:
    """Return what a folder has, without the compressed variants that a container lacks."""
    return {
        key: body
        for key, body in side.objects().items()
        if not (key.endswith(".gz") and "/simple/" in key)
    }


def test_bundles_bring_a_container_in_step_and_leave_it_again(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    for name in ("one", "two", "two-more"):
        index.upload(wheel(name, "1.0"))
        index.upload(sdist(name, "1.0"))
    source, target, gap = pair(tmp_path, upstream.url)
    public, key = f"public-key = {tmp_path}/key.pub\n", f"secret-key = {tmp_path}/key\n"
    onward = tmp_path / "onward"
    onward.mkdir()
    last = Side(tmp_path / "last", f"[import]\n{public}")
    with SwiftServer() as swift:
        in_container(target, swift, f"[import]\n{public}[export]\n{key}")
        for change in range(3):
            if change == 1:
                index.upload(wheel("two", "2.0", filling=bytes(2 * 1024**2)))
                index.yank("two-more", "1.0")
            if change == 2:
                index.remove_project("one")
            source.run("mirror")
            made = json.loads(source.run("export", "--to", str(gap), "--json"))

            target.run("import", made["bundle"])
            assert objects(target) == plain(source)
            assert "Nothing to do" in target.run("import", made["bundle"])

            made = json.loads(target.run("export", "--to", str(onward), "--json"))
            last.run("import", made["bundle"])
            assert last.objects() == source.objects()
            target.run("verify", "--deep")  # it is part of status.json
        synced = Side(tmp_path / "synced")
        in_container(synced, swift, "")
        source.run("sync-to", str(synced.conf))
        assert objects(synced) == plain(source)
