"""What a job does for the index without the cooldown where there is none: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.model.blobs import MirroredFile
    from frumious.model.jobs import Result
    from frumious.model.pages import ProjectPage
    from frumious.simple.values import ParsedPage
    from frumious.state.page_store import Manifest
    from frumious.state.removed_files import RemovedFiles
    from frumious.syncing.attestations import Verified
    from frumious.syncing.comparison import CurrentPage
    from frumious.syncing.page_builder import BuiltPage
    from frumious.syncing.transfer import Transfer


class LiveAlone:
    """A project that only the live index has; `SimpleAllPage` says what the methods mean."""

    own: Sequence[MirroredFile] = ()
    wanted: ParsedPage | None = None

    def joined(self, current: ProjectPage | None) -> ProjectPage | None:
        """Return the live page."""
        return current

    def want(self, live: ParsedPage, anytime: ProjectPage | None, transfer: Transfer) -> None:
        """Note nothing."""

    def known_bytes(self, removed: RemovedFiles) -> RemovedFiles:
        """Return what is known of removed files."""
        return removed

    def concerns(self, live: Manifest, page: ProjectPage) -> bool:  # noqa: ARG002
        """Return that the live page says all that it has to."""
        return False

    def marked(self, built: BuiltPage) -> BuiltPage:
        """Return the live page as it is."""
        return built

    def dropped(self, live: ProjectPage) -> Sequence[MirroredFile]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def reported(self, result: Result) -> Result:
        """Return the result as it is."""
        return result

    async def publish(
        self, live: BuiltPage, current: CurrentPage, transfer: Transfer, verified: Verified
    ) -> None:
        """Publish nothing."""

    async def remove(self) -> None:
        """Remove nothing."""


LIVE_ALONE: Final = LiveAlone()
