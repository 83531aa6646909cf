"""Checks of a mirror in a folder: its lock, its permissions, and the space on its disks."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frumious.auditing.findings import Finding
from frumious.storage.filesystem.lock import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.mirror import Mirror

_MIN_FREE: Final = 10**9  # bytes
_CHECKED: Final = 1000  # files and directories below web/ whose permissions are read
_DISKS: Final = ("", "state", "web", "web/simple", "web/packages")
# Their servers may lock files for one machine alone (mount(2) of Linux names the types).
_SHARED_DISKS: Final = ("nfs", "cifs", "smb", "fuse.", "ceph", "glusterfs", "lustre", "9p", "afs")
_MOUNTS: Final = Path("/proc/self/mounts")


def check_folder(mirror: Mirror, *, locked: bool) -> Iterator[Finding]:
    """Check the mirror's folder; `locked`: this process has locked it."""
    top = Path(mirror.config.directory)
    if not top.is_dir():
        problem = "it is not a directory" if top.exists() else "it does not exist yet"
        yield Finding(subject=str(top), problem=problem, advice="check 'directory' in mirror.conf")
        return
    if not locked:
        yield from _check_lock(top / LOCK)
    yield from _check_sharing(top)
    yield from _check_access(top)
    if mirror.config.manage_permissions:
        yield from _check_readers(top)
    yield from _check_space(top)


def _check_lock(path: Path) -> Iterator[Finding]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # nobody has locked the mirror yet, or _check_access says why
    holder = ""
    try:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield Finding(
            subject=str(path),
            problem=f"process {holder or '(unknown)'} uses the mirror now",
            advice="check again when it has finished: what it is changing may look damaged",
        )
        return
    finally:
        os.close(descriptor)
    if holder:

        async def clear(mirror: Mirror) -> None:
            await mirror.storage.remove_leftovers()  # the command that repairs has the lock

        yield Finding(
            subject=str(path),
            problem=f"process {holder} was killed while it used the mirror",
            advice="run 'frumious mirror', which goes on, or 'frumious doctor --repair', which"
            " removes its temporary files",
            repair=clear,
        )


def _check_sharing(top: Path) -> Iterator[Finding]:
    kind = _kind_of_disk(top)
    if kind.startswith(_SHARED_DISKS):
        yield Finding(
            subject=str(top),
            problem=f"it is on {kind}: the lock may not exclude other machines",
            advice="let one machine alone write to it",
        )


def _kind_of_disk(path: Path) -> str:
    """Return the type of the file system at a path; empty where the system does not say."""
    best, kind = "", ""
    with suppress(OSError):
        for line in _MOUNTS.read_text(errors="replace").splitlines():
            _, at, each, *_ = line.split(" ")
            at = at.encode().decode("unicode_escape")  # spaces are octal
            if path.absolute().is_relative_to(at) and len(at) >= len(best):
                best, kind = at, each
    return kind


def _check_access(top: Path) -> Iterator[Finding]:
    for path in (top, top / LOCK, *(top / name for name in _DISKS[1:])):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            owner = path.stat().st_uid
            yield Finding(
                subject=str(path),
                problem=f"this user ({os.geteuid()}) cannot write to it; it belongs to {owner}",
                advice=f"run as user {owner}, or change its owner",
            )


def _check_readers(top: Path) -> Iterator[Finding]:
    """Find what a web server that runs as another user cannot read."""
    web = top / "web"
    shut = [path for path in islice(_below(web), _CHECKED) if not _is_public(path)]
    shut += [path for path in (top,) if not _is_public(path) and web.exists()]
    if shut:

        async def open_all(_mirror: Mirror) -> None:
            await asyncio.to_thread(_publish, top, web)

        more = f" (and {len(shut) - 1} more)" if len(shut) > 1 else ""
        mode = stat.S_IMODE(shut[0].stat().st_mode)
        yield Finding(
            subject=f"{shut[0]}{more}",
            problem=f"the web server cannot read it: its mode is {mode:04o}; a umask, or a copy",
            advice="run 'frumious doctor --repair', or set"
            " 'storage-filesystem-manage-permissions = false' if the web server needs no more",
            repair=open_all,
        )


def _publish(top: Path, web: Path) -> None:
    for path in (top, *_below(web)):
        with suppress(FileNotFoundError):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _below(web: Path) -> Iterator[Path]:
    if not web.exists():
        return
    yield web
    for folder, folders, files in os.walk(web):
        yield from (Path(folder, name) for name in (*folders, *files))


def _is_public(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return True  # a run has just deleted it, or it is a link that leads nowhere
    needed = 0o005 if stat.S_ISDIR(mode) else 0o004
    return mode & needed == needed


def _check_space(top: Path) -> Iterator[Finding]:
    disks: dict[int, Path] = {}
    for name in _DISKS:
        path = top / name
        if path.is_dir():
            disks.setdefault(path.stat().st_dev, path)
    for path in disks.values():
        free = shutil.disk_usage(path).free
        if free < _MIN_FREE:
            yield Finding(
                subject=str(path),
                problem=f"its disk has only {free / 1e6:,.1f} MB left",
                advice="free some space: runs fail when the disk is full",
            )
