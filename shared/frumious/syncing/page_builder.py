"""What a job publishes: the compared page, without what could not be stored. Pure."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import Reason
from frumious.model import layout
from frumious.model.blobs import MirroredFile, keys_of
from frumious.model.pages import Publication
from frumious.simple import render
from frumious.syncing.comparison import link_to
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.state.page_store import Manifest
    from frumious.syncing.comparison import Change, CurrentPage
    from frumious.syncing.recovery import Recovery

logger = logging.getLogger(__name__)

_MAX_LOGGED: Final = 20  # files that are left out, in one log record


class BuiltPage(Value, frozen=True):
    """A page of the mirror's, and the files on it that are stored."""

    page: ProjectPage
    files: Sequence[MirroredFile]
    refused: Mapping[str, str]  # filename -> why it is not on the page, with details

    @property
    def error(self) -> str | None:
        """Why the first file is not on the page, and how many more are not; None: all are."""
        if not self.refused:
            return None
        more = f" (and {len(self.refused) - 1} more files)" if len(self.refused) > 1 else ""
        return f"{next(iter(self.refused.values()))}{more}"

    def log_refused(self, project: NormalizedName) -> None:
        """Log what is left out."""
        if self.refused:
            whys = dict(islice(self.refused.items(), _MAX_LOGGED))
            extra = {"project": project, "files": len(self.refused), "errors": whys}
            logger.warning("files are left out", extra=extra)


def build_page(
    change: Change,
    failed: Mapping[Key, str],
    current: CurrentPage,
    recovery: Recovery,
    config: Config,
) -> BuiltPage:
    """Return the page that the mirror publishes: without what could not be stored.

    `failed` says why blobs were not stored; `current` is the mirror's page now.
    """
    published = tuple(_published_files(change, failed, current.files, config))
    mirrored = published if config.release_files else ()
    stored = keys_of(mirrored)
    added = {blob.key for blob in change.new}
    removed = {*keys_of(current.files), *keys_of(current.foreign)}
    removed.update(added - failed.keys())  # what belongs to a file that could not be stored
    if recovery.report:
        added |= recovery.added
        removed |= recovery.removed
    refused = {
        **change.refused,
        **{key.removeprefix("web/"): why for key, why in failed.items()},
    }
    page = replace(
        change.page,
        files=tuple(each.file for each in published),
        publication=Publication(
            run=recovery.run,
            selection=change.fingerprint,
            etag=change.etag,
            added=tuple(sorted(added & stored)),
            removed=tuple(sorted(removed - stored)),
            refused={name: Reason.public(why).value for name, why in refused.items()},
            stored=config.release_files,
            private=_identities(change, published, failed),
            compressed=config.page_layout.has_json_variants,
        ),
    )
    return BuiltPage(page, mirrored, refused)


def shows_the_same(manifest: Manifest, page: ProjectPage) -> bool:
    """Return whether publishing `page` would show readers nothing new.

    Serials do not show it: projects are archived, and files get core metadata, without an event.
    """
    before, now = manifest.page.publication, page.publication
    if before is None or now is None:
        return False
    if (before.selection, before.etag, before.refused, before.stored) != (
        now.selection,
        now.etag,
        now.refused,
        now.stored,
    ):
        return False
    return render.project_page_json(replace(page, publication=before)) == manifest.stored.body


def _identities(
    change: Change, published: Iterable[MirroredFile], failed: Mapping[Key, str]
) -> dict[str, str]:
    """Return which private files are published; without an identity: those of before."""
    if change.identities is None:
        return {}
    new = {
        name: identity for name, identity in change.identities.items() if name not in change.refused
    }
    kept = {each.file.filename for each in change.files if each.key in failed}
    names = (each.file.filename for each in published)
    return {name: "" if name in kept else new.get(name, "") for name in names}


def _published_files(
    change: Change, failed: Mapping[Key, str], current: Sequence[MirroredFile], config: Config
) -> Iterator[MirroredFile]:
    stored = {mirrored.file.filename: mirrored for mirrored in current}
    for mirrored in change.files:
        file, key = mirrored.file, mirrored.key
        if key not in failed:
            core_metadata = False if mirrored.metadata_key in failed else file.core_metadata
            yield mirrored.showing(
                replace(
                    file,
                    url=link_to(mirrored, config),
                    core_metadata=core_metadata,
                    provenance=_published_provenance(mirrored, failed, config),
                )
            )
        elif (old := stored.get(file.filename)) is not None:  # upstream's is not available
            # At the same key, its metadata may be that of the new one.
            core_metadata = old.file.core_metadata if old.key != key else False
            url = layout.file_url(old.key, config.root_uri)
            yield old.showing(replace(old.file, url=url, core_metadata=core_metadata))


def _published_provenance(
    mirrored: MirroredFile, failed: Mapping[Key, str], config: Config
) -> str | None:
    """Return the provenance's address: the mirror's own where `root_uri` is configured.

    PEP 740 asks for an absolute address, so that it stays upstream's otherwise.
    """
    provenance = mirrored.file.provenance
    if provenance is None:
        return None
    provenance = provenance.partition("?")[0]  # the query may be a signature for the mirror alone
    if not config.release_files:
        return provenance
    key = mirrored.blobs[-1].key  # provenance comes last
    if key in failed:
        return None
    return layout.file_url(key, config.root_uri) if config.root_uri else provenance
