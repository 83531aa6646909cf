"""Opens the configured storage, and imports no other."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from frumious.config.choices import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage


@asynccontextmanager
async def open_storage(config: Config, *, probe: bool = True) -> AsyncIterator[Storage]:
    """Open the configured storage; close it at the end of the block.

    Without `probe` nothing is written to find out what it supports: it is to be read alone.
    """
    match config.backend:
        case Backend.FILESYSTEM:
            from frumious.storage.filesystem.storage import FilesystemStorage  # noqa: PLC0415

            folder = FilesystemStorage(
                Path(config.directory), manage_permissions=config.manage_permissions
            )
            async with aclosing(folder):
                yield folder
        case Backend.S3:
            from frumious.storage.s3.storage import S3Storage  # noqa: PLC0415

            async with aclosing(S3Storage(config)) as bucket:
                if probe:
                    await bucket.prepare()
                yield bucket
        case Backend.SWIFT:
            from frumious.storage.swift.storage import SwiftStorage  # noqa: PLC0415

            async with aclosing(SwiftStorage(config)) as container:
                yield container
