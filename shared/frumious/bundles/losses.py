"""What a bundle takes away from a mirror, before any of it is visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.bundles.errors import InvalidBundle, LossesWait
from frumious.model.losses import NOTHING, Loss, Losses
from frumious.simple import parse_json
from frumious.simple.values import InvalidPage
from frumious.state.page_store import UnreadableManifest
from frumious.syncing.comparison import lost_files

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.finalizing.root_index import Totals
    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage


class LossCounter:
    """Counts the files that the mirror's pages stop naming.

    A mirror without projects loses nothing: then no page is read.
    """

    def __init__(self, mirror: Mirror, totals: Totals) -> None:
        self._mirror = mirror
        self._totals = totals
        self._loss = NOTHING

    async def add(self, project: NormalizedName, body: bytes | None) -> None:
        """Count what a project loses whose JSON page has that body afterwards; None: it goes.

        Raises:
            InvalidBundle: the page is invalid.
        """
        if not self._totals.projects:
            return
        try:
            manifest = await self._mirror.pages.read_manifest(project)
        except UnreadableManifest:
            return  # it is replaced in any case
        if manifest is None:
            return
        page: ProjectPage | None = None
        if body is not None:
            try:
                page = parse_json.manifest(body, manifest.key)
            except InvalidPage as error:
                msg = f"the page of {project} is invalid: {error}"
                raise InvalidBundle(msg) from error
        lost = lost_files(page, manifest.page)
        self._loss += Loss(len(lost), sum(each.size or 0 for each in lost))

    async def book(self, confirmed: int) -> None:
        """Book the losses with those of jobs, if `max-losses` permits them.

        An import that was killed and is done again books what is left.

        Raises:
            LossesWait: it permits fewer, and nobody has confirmed them.
        """
        loss, now = self._loss, self._mirror.clock.now()
        if loss == NOTHING or loss.files <= confirmed:
            return
        limit = self._mirror.config.max_losses.of(Loss(self._totals.files, self._totals.bytes_))
        permitted = False

        def book(losses: Losses) -> Losses:
            nonlocal permitted
            after, permitted = losses.booking(loss, limit, now)
            return after

        await self._mirror.ledger.change_losses(book)
        if not permitted:
            raise LossesWait(loss, limit)
