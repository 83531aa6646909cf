"""What is specific to a folder: killed processes, names, links, permissions, order."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frumious.model.checksums import ExpectedContent, FileStream, WrongBytes
from frumious.model.types import Key
from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import MirrorLocked, lock, open_locked
from frumious.storage.filesystem.os_errors import storage_error
from frumious.storage.filesystem.storage import FilesystemStorage
from frumious.storage.protocol import (
    Conflict,
    Entry,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)
from localcloud.environment import CHECKOUT
from tests.frumious.storage.filesystem_process import BODIES, COUNTER, FILE, PAGE, ROUNDS, counter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from typing import Any

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def process(verb: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.frumious.storage.filesystem_process", verb, str(folder)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "shared")},
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def at_work(verb: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that has printed "ready"; it is killed at the end."""
    with process(verb, folder) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            yield other
        finally:
            other.kill()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def several(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def stream(chunks: AsyncIterator[bytes], body: bytes) -> FileStream:
    expected = ExpectedContent("sha256", hashlib.sha256(body).hexdigest(), len(body))
    return FileStream(chunks, expected, "upstream")


def entries(folder: Path, prefix: str = "", after: str = "") -> list[Entry]:
    async def gather() -> list[Entry]:
        return [entry async for entry in FilesystemStorage(folder).list(prefix, after=after)]

    return run(gather())


def keys(folder: Path, prefix: str = "", after: str = "") -> list[str]:
    return [entry.key for entry in entries(folder, prefix, after)]


def temp_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def storage(folder: Path) -> FilesystemStorage:
    return FilesystemStorage(folder)


def test_small_files_are_left_to_threads_while_the_disk_is_slow(
    storage: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    replace = os.replace

    def slow_replace(source: str, target: str) -> None:
        time.sleep(0.06)
        replace(source, target)
        threads.append(threading.current_thread())

    async def store() -> None:
        for number in range(3):
            body = b"%d" % number
            await storage.store(Key(f"web/{number}"), stream(several(body), body))

    monkeypatch.setattr(os, "replace", slow_replace)
    run(store())

    assert [each is threading.main_thread() for each in threads] == [True, False, False]


# Processes


def test_a_process_that_is_killed_over_a_file_leaves_a_temporary_file_that_is_removed(
    folder: Path,
) -> None:
    with at_work("store", folder):
        pass
    assert len(temp_files(folder)) == 1
    assert keys(folder) == []
    assert run(FilesystemStorage(folder).remove_leftovers()) == 1
    assert temp_files(folder) == []
    assert not (folder / "web").exists()
    assert run(FilesystemStorage(folder).remove_leftovers()) == 0


def test_a_process_that_is_killed_over_a_page_leaves_a_whole_one(folder: Path) -> None:
    storage = FilesystemStorage(folder)
    for round_number in range(3):
        with at_work("write", folder):
            time.sleep(0.01 + 0.013 * round_number)
        stored = run(storage.read(PAGE))
        assert stored is not None
        assert stored.body in BODIES
        run(storage.remove_leftovers())
        assert temp_files(folder) == []
        assert keys(folder) == [PAGE]


@pytest.mark.parametrize("written", [True, False])
def test_a_temporary_file_on_another_disk_is_removed_with_its_marker(
    folder: Path, *, written: bool
) -> None:
    storage = FilesystemStorage(folder)
    run(storage.write(PAGE, b"page"))
    marker = folder / ".frumious/.frumious-0123456789abcdef.tmp"
    marker.symlink_to("web/simple/whole")
    if written:
        (folder / "web/simple/whole" / marker.name).write_bytes(b"half a file")
    assert run(storage.remove_leftovers()) == written
    assert not marker.is_symlink()
    assert temp_files(folder) == []
    assert keys(folder) == [PAGE]


def test_no_increment_of_eight_processes_is_lost(folder: Path) -> None:
    storage = FilesystemStorage(folder)
    run(storage.write(COUNTER, counter(0)))
    others = [process("count", folder) for _ in range(8)]
    for other in others:
        with other:
            assert other.wait(60) == 0
    stored = run(storage.read(COUNTER))
    assert stored is not None
    assert stored.body == counter(8 * ROUNDS)
    assert temp_files(folder) == []


def test_nobody_compares_while_another_writes(storage: FilesystemStorage, folder: Path) -> None:
    async def write() -> None:
        tag = await storage.write(PAGE, b"as it was read")
        theirs = open_locked(folder / ".frumious/lock", 0o644)
        ours = asyncio.create_task(storage.write(PAGE, b"ours", replacing=tag))
        await asyncio.sleep(0.1)
        assert not ours.done()
        (folder / PAGE).write_bytes(b"theirs")
        os.close(theirs)
        with pytest.raises(Conflict, match="has changed since it was read"):
            await ours

    run(write())


def test_of_many_who_create_an_object_one_does(storage: FilesystemStorage) -> None:
    async def create_all() -> list[str | BaseException]:
        return await asyncio.gather(
            *(storage.create(Key("state/one"), b"%d" % number) for number in range(16)),
            return_exceptions=True,
        )

    outcomes = run(create_all())
    assert len([outcome for outcome in outcomes if isinstance(outcome, str)]) == 1
    assert len([outcome for outcome in outcomes if isinstance(outcome, Conflict)]) == 15


def test_read_and_head_return_the_etag_of_the_write(
    storage: FilesystemStorage,
) -> None:
    tag = run(storage.write(PAGE, b"page"))
    stored = run(storage.read(PAGE))
    head = run(storage.head(PAGE))
    assert stored is not None
    assert head is not None
    assert {tag, stored.etag, head.etag} == {tag}
    assert head.sha256 == hashlib.sha256(b"page").hexdigest()


def test_the_etag_changes_with_every_write_of_other_bytes(storage: FilesystemStorage) -> None:
    async def write_all() -> list[str]:
        return [await storage.write(PAGE, b"%03d" % number) for number in range(200)]

    assert len(set(run(write_all()))) == 200


# The mirror's lock


def test_one_process_uses_a_mirror_and_another_reports_which(folder: Path) -> None:
    with (
        at_work("work", folder) as other,
        pytest.raises(MirrorLocked, match=f"process {other.pid} uses the mirror"),
        lock(Folder.at(folder, manage_permissions=True)),
    ):
        pass


def test_a_lock_ends_with_its_process(folder: Path) -> None:
    with at_work("work", folder) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        with lock(Folder.at(folder, manage_permissions=True)):
            assert (folder / ".lock").read_text() == f"{os.getpid()}\n"
    assert keys(folder) == []


def test_a_mirror_that_bandersnatch_uses_is_locked(folder: Path) -> None:
    folder.mkdir()
    with (folder / ".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        with (
            pytest.raises(MirrorLocked, match="another process uses the mirror"),
            lock(Folder.at(folder, manage_permissions=True)),
        ):
            pass


def test_a_lock_leaves_no_folder_behind_that_it_created_for_nothing(tmp_path: Path) -> None:
    kept, nested = tmp_path / "kept", tmp_path / "new/srv/mirror"
    kept.mkdir()
    used = tmp_path / "used"
    for folder in (kept, nested, used):
        with lock(Folder.at(folder, manage_permissions=True)):
            assert (folder / ".lock").exists()
            if folder == used:
                (folder / "status").write_text("7")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "used"]


def test_a_lock_file_that_was_deleted_while_it_was_locked_does_not_count(folder: Path) -> None:
    with lock(Folder.at(folder, manage_permissions=True)):
        (folder / ".lock").unlink()
        with lock(Folder.at(folder, manage_permissions=True)):
            pass


# Files as they arrive


def test_a_file_whose_chunks_break_off_leaves_nothing(
    storage: FilesystemStorage, folder: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield BODIES[0]
        yield BODIES[1]
        msg = "not what was promised"
        raise WrongBytes(msg)

    with pytest.raises(WrongBytes, match="not what was promised"):
        run(storage.store(FILE, stream(broken(), b"".join(BODIES))))
    assert not (folder / "web").exists()
    assert temp_files(folder) == []


def test_a_file_whose_store_is_cancelled_leaves_nothing(
    storage: FilesystemStorage, folder: Path
) -> None:
    async def cancel() -> None:
        begun = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield BODIES[1]
            begun.set()
            await asyncio.sleep(60)

        storing = asyncio.create_task(storage.store(FILE, stream(slow(), b"".join(BODIES))))
        await begun.wait()
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing

    run(cancel())
    assert not (folder / "web").exists()
    assert temp_files(folder) == []


def test_a_file_that_fails_leaves_the_one_that_was_there(storage: FilesystemStorage) -> None:
    run(storage.store(FILE, stream(several(b"old"), b"old")))
    with pytest.raises(WrongBytes, match="sent less than the 8 bytes"):
        run(storage.store(FILE, stream(several(b"new"), b"promised")))
    stored = run(storage.read(FILE))
    assert stored is not None
    assert stored.body == b"old"


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 3_000_001])
def test_a_file_is_what_its_chunks_were(storage: FilesystemStorage, body: bytes) -> None:
    chunks = [body[start : start + 70_000] for start in range(0, len(body), 70_000)]
    run(storage.store(FILE, stream(several(*chunks), body)))
    stored = run(storage.read(FILE))
    assert stored is not None
    assert stored.body == body


# Names


@pytest.mark.parametrize(
    "key",
    [
        "../outside",
        "web/../../outside",
        "/etc/outside",
        "web//x",
        "web/./x",
        "web/",
        "",
        "web/nul\0",
        "web/\ud800",
        "web/" + "x" * 256,
        ".lock",
        ".frumious/lock",
        "web/.frumious-0123456789abcdef.tmp",
    ],
)
def test_a_key_that_can_be_no_file_is_refused_by_name(
    storage: FilesystemStorage, tmp_path: Path, key: str
) -> None:
    run(storage.write(Key("web/here"), b""))
    for work in (
        storage.write(Key(key), b"x"),
        storage.create(Key(key), b"x"),
        storage.store(Key(key), stream(several(b"x"), b"x")),
        storage.read(Key(key)),
        storage.head(Key(key)),
        storage.delete([Key(key)]),
    ):
        with pytest.raises(StorageRefused) as refused:
            run(work)
        assert repr(key)[:200] in str(refused.value)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"here", "lock"}


def test_a_listing_does_not_leave_the_mirror(storage: FilesystemStorage, folder: Path) -> None:
    run(storage.write(Key("status"), b"1"))
    (folder.parent / "secret").write_text("secret")
    with pytest.raises(StorageRefused):
        keys(folder, "../")


def test_a_file_with_the_name_of_a_folder_is_an_error(storage: FilesystemStorage) -> None:
    run(storage.write(Key("web/simple"), b"a file"))
    with pytest.raises(StorageRefused, match=r"'web/simple/x/index.html' .* Not a directory"):
        run(storage.write(Key("web/simple/x/index.html"), b"page"))
    assert run(storage.read(Key("web/simple/x/index.html"))) is None
    run(storage.delete([Key("web/simple/x/index.html")]))


def test_a_folder_with_the_name_of_a_file_is_an_error(storage: FilesystemStorage) -> None:
    run(storage.write(Key("web/simple/x/index.html"), b"page"))
    assert run(storage.read(Key("web/simple/x"))) is None
    assert run(storage.head(Key("web/simple/x"))) is None
    run(storage.delete([Key("web/simple/x")]))
    for work in (storage.write(Key("web/simple/x"), b""), storage.create(Key("web/simple/x"), b"")):
        with pytest.raises(StorageRefused, match=r"'web/simple/x' .* Is a directory"):
            run(work)


@pytest.mark.parametrize("name", ["a b", "a+b", "100%", "~x", "é", "\N{SNAKE}", "\udcff", "\\x"])
def test_any_name_that_a_file_can_have_is_kept(
    storage: FilesystemStorage, folder: Path, name: str
) -> None:
    run(storage.write(Key(f"web/{name}/{name}"), b"x"))
    assert keys(folder) == [f"web/{name}/{name}"]


def test_temporary_and_permanent_errors_are_distinguished(folder: Path) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        full = storage_error(OSError(number, os.strerror(number)), "web/x", folder, 5)
        assert isinstance(full, StorageFull)
        assert f"{folder}/web/x': {os.strerror(number)}; it needs 5 bytes, and " in str(full)
    for number in (errno.EIO, errno.EMFILE, errno.ESTALE):
        error = storage_error(OSError(number, os.strerror(number)), "web/x", folder)
        assert isinstance(error, StorageUnavailable)
        assert os.strerror(number) in str(error)
    for number in (errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR):
        refused = storage_error(OSError(number, os.strerror(number)), "web/x", folder)
        assert isinstance(refused, StorageRefused)
        assert "'web/x'" in str(refused)


def test_a_missing_permission_is_reported_with_what_to_do(
    storage: FilesystemStorage, folder: Path
) -> None:
    folder.mkdir()
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write anywhere
        os.seteuid(65534)
    try:
        with pytest.raises(StorageRefused, match=r"'web/x' .* the permissions rwx"):
            run(storage.write(Key("web/x"), b"x"))
    finally:
        os.seteuid(user)


# Permissions


def test_what_is_written_can_be_served_whatever_the_umask(folder: Path) -> None:
    with umask(0o077):
        storage = FilesystemStorage(folder)
        run(storage.write(PAGE, b"page"))
        run(storage.store(FILE, stream(several(b"file"), b"file")))
    assert {mode(folder / key) for key in (PAGE, FILE)} == {0o644}
    made = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    assert {mode(path) for path in made} == {0o755}


def test_the_mirrors_own_folder_is_created_readable_whatever_the_umask(tmp_path: Path) -> None:
    top = tmp_path / "srv/mirror"
    with umask(0o077), lock(Folder.at(top, manage_permissions=True)):
        (top / "status").touch()
    assert {mode(each) for each in (top, top.parent)} == {0o755}


def test_permissions_are_the_umask_s_where_they_are_not_managed(folder: Path) -> None:
    storage = FilesystemStorage(folder, manage_permissions=False)
    with umask(0o027):
        run(storage.write(PAGE, b"page"))
    assert mode(folder / PAGE) == 0o640
    assert mode((folder / PAGE).parent) == 0o750


def test_a_group_that_is_handed_down_stays(storage: FilesystemStorage, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o2755)
    run(storage.write(PAGE, b"page"))
    assert mode((folder / PAGE).parent) == 0o2755


# Links, and what others left


def test_a_link_to_an_older_page_is_replaced_and_not_followed(
    storage: FilesystemStorage, folder: Path
) -> None:
    older = folder / "web/simple/x/versions/index_1.html"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"old")
    page = folder / "web/simple/x/index.html"
    page.symlink_to("versions/index_1.html")
    key = Key("web/simple/x/index.html")
    stored = run(storage.read(key))
    assert stored is not None
    assert stored.body == b"old"
    assert [(entry.key, entry.size) for entry in entries(folder, key)] == [(key, 3)]
    run(storage.write(key, b"new", replacing=stored.etag))
    assert not page.is_symlink()
    assert (page.read_bytes(), older.read_bytes()) == (b"new", b"old")


def test_deleting_a_link_leaves_what_it_leads_to(storage: FilesystemStorage, folder: Path) -> None:
    run(storage.write(Key("web/target"), b"x"))
    (folder / "web/link").symlink_to("target")
    run(storage.delete([Key("web/link")]))
    assert keys(folder) == ["web/target"]


def test_a_link_to_nothing_is_no_object(storage: FilesystemStorage, folder: Path) -> None:
    (folder / "web").mkdir(parents=True)
    (folder / "web/x").symlink_to("nowhere")
    assert run(storage.read(Key("web/x"))) is None
    assert keys(folder) == []
    run(storage.create(Key("web/x"), b"x"))
    assert keys(folder) == ["web/x"]


def test_the_files_may_lie_on_another_disk(
    storage: FilesystemStorage, folder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (folder / "web").mkdir(parents=True)
    (folder / "web/packages").symlink_to(disk)
    run(storage.store(FILE, stream(several(b"file"), b"file")))
    assert keys(folder) == [FILE]
    assert (disk / "aa/bb/cc/whole-1.0.tar.gz").read_bytes() == b"file"
    run(storage.delete([FILE]))
    assert list(disk.iterdir()) == []
    assert (folder / "web/packages").is_symlink()


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the tests' folders."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def test_files_on_another_disk_are_written_there(
    storage: FilesystemStorage, folder: Path, other_disk: Path
) -> None:
    if folder.parent.stat().st_dev == other_disk.stat().st_dev:
        pytest.skip("the tests' folders are on the same disk as /dev/shm")
    (folder / "web").mkdir(parents=True)
    (folder / "web/packages").symlink_to(other_disk)
    body = os.urandom(3_000_001)
    for name in ("first", "second"):
        key = Key(f"web/packages/aa/bb/cc/{name}-1.0.tar.gz")
        run(storage.store(key, stream(several(body[:5], body[5:]), body)))
        assert (other_disk / "aa/bb/cc" / f"{name}-1.0.tar.gz").read_bytes() == body
    with pytest.raises(WrongBytes):
        run(storage.store(FILE, stream(several(body, b"more"), body + b"less")))
    run(storage.write(PAGE, b"page"))
    assert [path.name for path in (folder / ".frumious").iterdir()] == ["lock"]
    assert temp_files(other_disk) == []


def test_a_disk_that_is_not_there_is_waited_for(storage: FilesystemStorage, folder: Path) -> None:
    (folder / "web").mkdir(parents=True)
    (folder / "web/packages").symlink_to("/nowhere/at/all")
    with pytest.raises(StorageUnavailable, match=r"whole-1\.0"):
        run(storage.store(FILE, stream(several(b"file"), b"file")))
    assert temp_files(folder) == []


def test_links_in_a_circle_are_walked_once(storage: FilesystemStorage, folder: Path) -> None:
    run(storage.write(Key("web/a/x"), b"x"))
    (folder / "web/a/up").symlink_to("..")
    (folder / "web/a/self").symlink_to("self")
    assert keys(folder) == ["web/a/x"]


def test_a_pipe_is_no_object_and_keeps_nobody_waiting(
    storage: FilesystemStorage, folder: Path
) -> None:
    folder.mkdir()
    os.mkfifo(folder / "status")
    assert run(storage.read(Key("status"))) is None
    assert keys(folder) == []


# Deleting


def test_directories_that_become_empty_go_and_the_mirror_s_own_stays(
    storage: FilesystemStorage, folder: Path
) -> None:
    run(storage.write(Key("web/a/b/c/x"), b"x"))
    run(storage.write(Key("web/a/y"), b"y"))
    run(storage.delete([Key("web/a/b/c/x"), Key("web/a/b/absent")]))
    assert [path.name for path in (folder / "web/a").iterdir()] == ["y"]
    run(storage.delete([Key("web/a/y")]))
    assert not (folder / "web").exists()
    assert folder.is_dir()


def test_writers_do_not_fail_because_others_empty_their_directories(
    storage: FilesystemStorage, folder: Path
) -> None:
    async def come_and_go(number: int) -> None:
        key = Key(f"web/a/b/c/{number}")
        for _ in range(25):
            await storage.write(key, b"x")
            await storage.delete([key])

    async def all_at_once() -> None:
        await asyncio.gather(*(come_and_go(number) for number in range(6)))

    run(all_at_once())
    assert keys(folder) == []


# Listing

SEGMENTS = st.text(st.sampled_from("ab-.0~é\N{SNAKE}"), min_size=1, max_size=3).filter(
    lambda name: name not in {".", ".."}
)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


def utf8(key: str) -> bytes:
    return key.encode()


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sets(KEYS, max_size=12), st.data())
def test_a_folder_lists_as_a_sorted_list_of_its_keys_would(
    keys: set[str], data: st.DataObject
) -> None:
    some = sorted((key for key in keys if not _is_folder(key, keys)), key=utf8)
    known = st.sampled_from(some) if some else KEYS
    prefix = data.draw(st.one_of(st.just(""), KEYS, known.flatmap(_beginnings)), label="prefix")
    after = data.draw(
        st.one_of(st.just(""), KEYS, known, known.flatmap(_beginnings)), label="after"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in some:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(utf8(key))
        assert [(entry.key, entry.size) for entry in entries(folder, prefix, after)] == [
            (key, len(utf8(key)))
            for key in some
            if key.startswith(prefix) and utf8(key) > utf8(after)
        ]


def _is_folder(key: str, others: set[str]) -> bool:
    return any(other.startswith(f"{key}/") for other in others)


def _beginnings(key: str) -> st.SearchStrategy[str]:
    return st.integers(0, len(key)).map(lambda length: key[:length])


def test_the_slash_counts_where_names_are_compared(
    storage: FilesystemStorage, folder: Path
) -> None:
    for key in ("web/ab", "web/a/b", "web/a-b", "web/a0"):
        run(storage.write(Key(key), b""))
    assert keys(folder) == ["web/a-b", "web/a/b", "web/a0", "web/ab"]
    assert keys(folder, "web/a", after="web/a-b") == ["web/a/b", "web/a0", "web/ab"]


def test_locks_notes_and_drafts_are_not_listed(folder: Path) -> None:
    with lock(Folder.at(folder, manage_permissions=True)), at_work("store", folder):
        assert len(temp_files(folder)) == 1
        assert (folder / ".lock").exists()
        assert (folder / ".frumious").exists()
        assert keys(folder) == []


def test_a_storage_within_the_mirror_shows_no_more_than_its_files(folder: Path) -> None:
    run(FilesystemStorage(folder / "web/diffs").write(Key("mirrored-files"), b""))
    assert keys(folder) == ["web/diffs/mirrored-files"]


def test_operations_are_counted(storage: FilesystemStorage, folder: Path) -> None:
    run(storage.write(PAGE, b"page"))
    run(storage.read(PAGE))
    run(storage.store(FILE, stream(several(b"file"), b"file")))
    assert storage.pop_request_count() == 3
    assert storage.pop_request_count() == 0
