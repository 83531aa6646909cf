"""Readers are pointed at a snapshot, or at the live index."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.model.snapshots import ROLLBACK
from frumious.model.types import Key
from frumious.snapshots.folder_link import linked_snapshot
from frumious.snapshots.readers import CannotSwitch, Readers, readers_of
from frumious.storage.filesystem.storage import FilesystemStorage
from frumious.storage.protocol import StorageRefused
from tests.frumious.storage.power import Recorder

if TYPE_CHECKING:
    from pathlib import Path


def folder_readers(folder: Path) -> Readers:
    return readers_of(loading.parse(f"[mirror]\ndirectory = {folder}\n", {}))


def test_the_link_of_a_folder_leads_to_one_snapshot_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    readers = folder_readers(tmp_path)
    for snapshot in ("monday", "v1.0--tuesday", "v1.0--tuesday", None, None, "monday"):
        asyncio.run(readers.point(snapshot))
        assert linked_snapshot(tmp_path) == snapshot
        assert [path.name for path in (tmp_path / "web").iterdir()] == ["rollback"] * bool(snapshot)


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/.frumious-0000000000000000.tmp").symlink_to("snapshot/other")
    asyncio.run(folder_readers(tmp_path).point("monday"))
    assert linked_snapshot(tmp_path) == "monday"


def test_a_switch_survives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web").mkdir()
    readers, disk = folder_readers(tmp_path), Recorder(tmp_path)
    with monkeypatch.context() as patch:
        disk.attach(patch)
        asyncio.run(readers.point("monday"))
        asyncio.run(readers.point(None))
    kinds = [each.kind for each in disk.operations if each.path in {ROLLBACK, "web"}]
    assert kinds == ["move", "flush-names", "remove", "flush-names"]


def test_the_mirror_has_nothing_below_the_link(tmp_path: Path) -> None:
    page = Key("web/snapshot/monday/simple/index.html")
    (tmp_path / page).parent.mkdir(parents=True)
    (tmp_path / page).write_text("page")
    asyncio.run(folder_readers(tmp_path).point("monday"))
    storage = FilesystemStorage(tmp_path)

    async def listed(prefix: str) -> list[str]:
        return [entry.key async for entry in storage.list(prefix)]

    for prefix in ("", "web/", "web/r"):
        assert asyncio.run(listed(prefix)) == [page] * (prefix in {"", "web/"})
    with pytest.raises(StorageRefused, match="reserved"):
        asyncio.run(storage.delete([Key(f"{ROLLBACK}/simple/index.html")]))
    assert (tmp_path / page).read_text() == "page"


def test_what_is_no_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / ROLLBACK).mkdir(parents=True)
    with pytest.raises(StorageRefused, match="web/rollback"):
        asyncio.run(folder_readers(tmp_path).point("monday"))


def test_readers_of_a_bucket_cannot_be_switched() -> None:
    readers = readers_of(loading.parse("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n", {}))
    with pytest.raises(CannotSwitch, match="cannot switch the readers"):
        asyncio.run(readers.point("monday"))
    asyncio.run(readers.offer("monday"))
    asyncio.run(readers.withdraw("monday"))


@pytest.mark.parametrize(
    ("conf", "advice"),
    [
        ("storage-backend = s3\ndirectory = /bucket", "pass --store ARN"),
        ("storage-backend = swift\ndirectory = /", "storage-backend = swift has no switch$"),
    ],
)
def test_what_cannot_be_switched_is_explained(conf: str, advice: str) -> None:
    login = "auth_url = https://k.example/v3\nusername = u\npassword = p\nproject_name = p\n"
    config = loading.parse(f"[mirror]\n{conf}\n[swift]\n{login}", {})
    with pytest.raises(CannotSwitch, match=advice):
        asyncio.run(readers_of(config).point("monday"))


def test_a_folder_has_no_store(tmp_path: Path) -> None:
    config = loading.parse(f"[mirror]\ndirectory = {tmp_path}\n", {})
    with pytest.raises(CannotSwitch, match="storage-backend is filesystem"):
        readers_of(config, store="arn:aws:cloudfront::123456789012:key-value-store/x")
