"""Files from upstream into the storage: several at once, none of them ever whole in memory."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from frumious.backoff import Backoff
from frumious.concurrency import run_all
from frumious.errors import explain
from frumious.meter import Meter
from frumious.model import layout
from frumious.model.checksums import MAX_FILE_SIZE, FileStream, WrongBytes
from frumious.simple.values import InvalidPage
from frumious.storage.protocol import ObjectRefused, StorageUnavailable
from frumious.syncing.passage import Passage
from frumious.upstream.addresses import HostRefused
from frumious.upstream.download import DownloadInterrupted, DownloadTooSlow, FileMissing
from frumious.upstream.failures import TooLarge, UpstreamUnavailable
from frumious.value import Mutable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from packaging.utils import NormalizedName

    from frumious.clock import Clock
    from frumious.errors import FrumiousError, Retryable
    from frumious.mirror import Mirror
    from frumious.model.blobs import Blob
    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key
    from frumious.private.source import PrivateSource
    from frumious.storage.protocol import Storage
    from frumious.syncing.recovery import Attempt
    from frumious.upstream.download import Download
    from frumious.upstream.upstream import Upstream

logger = logging.getLogger(__name__)

# Faults that concern one file alone: the others are stored and published.
FILE_FAULTS: Final = (
    DownloadInterrupted,
    FileMissing,
    HostRefused,
    InvalidPage,
    ObjectRefused,
    TooLarge,
    WrongBytes,
)
_TURNS: Final = 2  # of a file that is too slow; other files have theirs in between
_MAX_SLOW: Final = 20  # transfers in a row that are too slow; the job ends before its deadline
_MAX_FAULTS: Final = 20  # in a row that may pass; more of them take only time
# Bytes. Core metadata has no known size, and a limit that is lower.
_LARGE: Final = 16 * 1024**2


class Transfer(Mutable):
    """Stores the files of one project, and counts them.

    Attributes:
        resuming: Earlier attempts may have stored some.
        final: What cannot be fetched or stored now is left out.
        on_last_file: Called when no file waits for its turn any more.
        undeleted: Files that the page does not name, and that are stored nevertheless.
        verified: Provenance that was stored when it was verified.
        stored: How many have been stored.
        slow: How many in a row were too slow.
        faults: How many in a row failed for a reason that may pass.
        fault: The last such reason.
        waiting: How many blobs wait for their turn.
        meter: Counts what passes.
        sha256: Of the stored files for which upstream publishes none.
        copies: What another part of the mirror has of them, by the same keys: copied from there.
        copied_from: Where that is.
        max_file_size: Bytes after which the transfer of a file without a known size ends.
    """

    project: NormalizedName
    upstream: Upstream | PrivateSource
    storage: Storage
    clock: Clock
    resuming: bool = False
    final: bool = False
    on_last_file: Callable[[], None] | None = None
    undeleted: frozenset[Key] = frozenset()
    verified: set[Key] = field(default_factory=set)
    stored: int = 0
    slow: int = 0
    faults: int = 0
    fault: Retryable | None = None
    waiting: int = 0
    meter: Meter = field(default_factory=Meter)
    sha256: dict[Key, str] = field(default_factory=dict)
    copies: frozenset[Key] = frozenset()
    copied_from: Storage | None = None
    max_file_size: int = MAX_FILE_SIZE

    @classmethod
    def of(
        cls,
        attempt: Attempt,
        mirror: Mirror,
        on_last_file: Callable[[], None] | None = None,
        meter: Meter | None = None,
    ) -> Transfer:
        """Prepare the transfer of a job's files."""
        project, private = attempt.job.project, mirror.private
        is_private = private is not None and mirror.selection.private.has(project)
        return cls(
            project,
            private if is_private and private is not None else mirror.upstream,
            mirror.storage,
            mirror.clock,
            resuming=attempt.resuming,
            final=attempt.final,
            on_last_file=on_last_file,
            meter=meter or Meter(),
            max_file_size=mirror.selection.max_file_size,
        )

    async def store(self, blobs: Collection[Blob]) -> dict[Key, str]:
        """Store the blobs, and return why some of them cannot be stored.

        After a fault that may pass, what is under way goes on to its end, and nothing else begins,
        unless this is the last chance of the others.

        Raises:
            UpstreamUnavailable, StorageUnavailable: the rest cannot be stored for now.
        """
        self.waiting = len(blobs)
        self.meter.begun += 1
        self.meter.expected += sum(map(_known_size, blobs))
        errors = await run_all(self._store(blob) for blob in blobs)
        if self.fault is not None and not self.final:
            raise self.fault
        return {blob.key: error for blob, error in zip(blobs, errors, strict=True) if error}

    async def _store(self, blob: Blob) -> str:
        """Store a blob when its turn comes; large ones do not take all slots from small ones."""
        if not _is_large(blob):
            return await self._store_in_turn(blob)
        async with self.upstream.large_downloads.use(self.project):
            return await self._store_in_turn(blob)

    async def _store_in_turn(self, blob: Blob) -> str:
        """Store a blob, and return why it cannot be stored; empty: it is."""
        for turn in range(1, _TURNS + 1):
            async with self.upstream.downloads.use(self.project):
                self._count_begun(turn)
                if self.fault is not None and not self.final:
                    return self._leave_out(blob, self.fault)
                try:
                    known = self.resuming or blob.key in self.undeleted or blob.key in self.verified
                    if known and await self._is_stored(blob):
                        self.meter.expected -= _known_size(blob)
                        return ""
                    if self.slow >= _MAX_SLOW:
                        msg = f"upstream sent {_MAX_SLOW} files of {self.project!r} too slowly"
                        raise UpstreamUnavailable(msg)  # noqa: TRY301 (as others may raise it)
                    if blob.expected is None:
                        await self._store_provenance(blob)
                    elif not await self._copy(blob.key, blob.expected):
                        await self._store_file(blob, blob.expected)
                    break
                except FILE_FAULTS as error:
                    is_slow = isinstance(error, DownloadTooSlow)
                    self.slow += is_slow
                    if turn == _TURNS or not is_slow:
                        return self._leave_out(blob, error)
                    extra = {"project": self.project, "error": str(error)}
                    logger.warning("file is fetched later", extra=extra)
                except (StorageUnavailable, UpstreamUnavailable) as error:
                    self._note_fault(error)
                    return self._leave_out(blob, error)
        self.stored += 1
        self.slow = self.faults = 0
        logger.debug("file stored", extra={"project": self.project, "key": blob.key})
        return ""

    def _leave_out(self, blob: Blob, error: FrumiousError) -> str:
        self.meter.expected -= _known_size(blob)
        return explain(error)

    def _note_fault(self, error: StorageUnavailable | UpstreamUnavailable) -> None:
        """Note a fault that may pass.

        Raises:
            StorageUnavailable, UpstreamUnavailable: the fault itself, as there were too many.
        """
        self.fault = error
        self.faults += 1
        # Upstream may lack many files of one host; without its storage, the mirror can do nothing.
        is_left_out = self.final and isinstance(error, UpstreamUnavailable)
        if self.faults >= _MAX_FAULTS and not is_left_out:
            raise error

    def _count_begun(self, turn: int) -> None:
        self.waiting -= turn == 1
        if self.waiting == 0 and self.on_last_file is not None:
            self.on_last_file()

    async def _is_stored(self, blob: Blob) -> bool:
        """Return whether the storage has the blob: it is visible only once it was verified."""
        if blob.expected is None:
            return blob.key in self.verified  # of the others nothing says whether it is the same
        head = await self.storage.head(blob.key)
        if head is None:
            return False
        if blob.expected.sha256 is not None:
            # Size alone will not do: a page may promise another hash than the verified one.
            return head.sha256 == blob.expected.sha256
        if head.size != blob.expected.size or head.sha256 is None:
            return False  # the page is to have the sha256
        self.sha256[blob.key] = head.sha256
        return True

    async def _store_provenance(self, blob: Blob) -> None:
        await self.storage.write(blob.key, await self.fetch_provenance(blob))

    async def fetch_provenance(self, blob: Blob) -> bytes:
        """Return a file's provenance from upstream.

        Raises:
            FileMissing: upstream does not have it.
            UpstreamUnavailable, InvalidPage, TooLarge, HostRefused: as `Upstream.provenance`.
        """
        if not layout.is_provenance_url(blob.url, blob.key):
            msg = f"{blob.url} is not the URL of a file's provenance"
            raise InvalidPage(msg)
        body = await self.upstream.provenance(blob.url)
        if body is None:
            msg = f"upstream names {blob.url} but does not have it"
            raise FileMissing(msg)
        return body

    async def _copy(self, key: Key, expected: ExpectedContent) -> bool:
        """Store what another part of the mirror has of a file, if it is there, and right."""
        if self.copied_from is None or key not in self.copies:
            return False
        opened = await self.copied_from.stream(key)
        if opened is None:
            return False
        try:
            async with aclosing(opened.chunks) as chunks:
                await self._store_content(key, chunks, expected, key)
        except WrongBytes as error:
            extra = {"project": self.project, "error": str(error)}
            logger.warning("file is fetched, as the mirror's own copy is damaged", extra=extra)
            return False
        return True

    async def _store_file(self, blob: Blob, expected: ExpectedContent) -> None:
        """Stream one file from the first source that delivers it right.

        A source that fails is followed by the next. The last one is asked once more, from the
        start, when its bytes were wrong; after a failure of the storage the same one is. A slow
        one is not: that would take its slot for as long as the first attempt.
        """
        if expected.max_size > self.max_file_size:
            expected = replace(expected, max_size=self.max_file_size)
        backoff = Backoff(self.clock)
        source, *others = self.upstream.sources(blob.url)
        repeated = False
        while True:
            try:
                return await self._stream(blob.key, source, expected)
            except StorageUnavailable as error:
                await backoff.wait(error)
                continue
            except (DownloadTooSlow, FileMissing, HostRefused, UpstreamUnavailable):
                if not others:
                    raise
            except (DownloadInterrupted, WrongBytes) as error:
                if repeated and not others:
                    raise
                repeated = not others
                extra = {"project": self.project, "error": str(error)}
                logger.warning("file is fetched again", extra=extra)
            if others:
                source = others.pop(0)

    async def _stream(self, key: Key, url: str, expected: ExpectedContent) -> None:
        """Store the bytes that upstream sends, or what they are when they are decompressed.

        Content-Encoding is on stored archives as well as on what a server compresses although it
        was asked not to. Installers hash the bytes as they are sent (pip, uv), so that these count
        first.
        """
        async with self.upstream.download(url, expected.size) as download:
            try:
                with_length = _with_length(expected, download)
                return await self._store_content(key, download.chunks, with_length, url)
            except WrongBytes:
                if not download.can_decode:
                    raise
        async with self.upstream.download(url, expected.size) as download:
            return await self._store_content(key, download.decoded(), expected, url)

    async def _store_content(
        self, key: Key, content: AsyncIterator[bytes], expected: ExpectedContent, url: str
    ) -> None:
        passage = Passage(content, self.project, self.meter)
        stream = FileStream(passage, expected, url)
        try:
            await self.storage.store(key, stream)
        except BaseException:
            self.meter.transferred -= passage.bytes_
            raise
        if layout.count_files([key]):
            self.meter.count(self.project, passage.bytes_)
        if expected.sha256 is None:
            self.sha256[key] = stream.sha256


def _known_size(blob: Blob) -> int:
    """Return the size that upstream publishes; 0: none."""
    return (blob.expected.size or 0) if blob.expected is not None else 0


def _is_large(blob: Blob) -> bool:
    """Return whether a blob is large, or may be."""
    expected = blob.expected
    if expected is None:
        return False
    return (expected.max_size if expected.size is None else expected.size) > _LARGE


def _with_length(expected: ExpectedContent, download: Download) -> ExpectedContent:
    """Return what is expected, with the size that upstream announces if its page has none.

    Raises:
        WrongBytes: upstream announces another size than the page, or too large a one.
    """
    length = download.length
    if length is None or length == expected.size:
        return expected
    if expected.size is not None:
        msg = f"{download.url} announces {length} bytes, its page promises {expected.size}"
        raise WrongBytes(msg)
    if length > expected.max_size:
        msg = f"{download.url} announces {length} bytes, more than {expected.max_size}"
        raise WrongBytes(msg)
    return replace(expected, size=length)
