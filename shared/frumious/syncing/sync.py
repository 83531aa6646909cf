"""One job: its project is brought in step with upstream.

The mirror's own JSON page is the manifest: what it names is stored and verified. It is published
last, and replaced only as it was read, so that a job can be killed anywhere and done again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.errors import FrumiousError, Reason
from frumious.model import layout
from frumious.model.jobs import AllowedRemoval, Result
from frumious.storage.protocol import Conflict
from frumious.syncing.attestations import verify_attestations
from frumious.syncing.blocking import Blocked, remove_blocked, remove_if_all_is_blocked
from frumious.syncing.comparison import (
    CurrentPage,
    MassLoss,
    check_losses,
    check_selection,
    compare,
    with_refused_files,
)
from frumious.syncing.current_page import has_moved, read_current_page, read_manifest
from frumious.syncing.deletion import delete_due, delete_files, settle_removed
from frumious.syncing.dependencies import read_dependencies
from frumious.syncing.exclusion import read_legacy_json, remove_excluded, select_files
from frumious.syncing.feed_digests import PageAhead, check_digest
from frumious.syncing.legacy_copy import store_legacy_json
from frumious.syncing.losses import (
    announced_removal,
    book_loss,
    check_beginning,
    check_delisted,
    check_last_event,
    require_root_index,
    unannounced_losses,
)
from frumious.syncing.page_builder import BuiltPage, build_page, shows_the_same
from frumious.syncing.page_publisher import PagePublisher
from frumious.syncing.recovery import Attempt, Recovery, find_recovery
from frumious.syncing.release_copies import lacks_releases
from frumious.syncing.removal import remove_project
from frumious.syncing.results import result_of, unchanged_result

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.simple.values import ParsedPage
    from frumious.state.page_store import Manifest
    from frumious.syncing.comparison import Change
    from frumious.syncing.live_alone import LiveAlone
    from frumious.syncing.transfer import Transfer

logger = logging.getLogger(__name__)

_MAX_RACES = 3  # that are lost in a row before the job is retried later


class ForeignUpstream(FrumiousError):
    """`master` is another index than the one that the mirror follows."""

    reason = Reason.ANOTHER_UPSTREAM


async def sync_project(attempt: Attempt, mirror: Mirror, transfer: Transfer) -> Result:
    """Bring one project in step with upstream.

    Raises:
        StalePage: upstream's CDN has not reached the job's serial yet.
        UpstreamUnavailable: upstream did not answer in time.
        StorageUnavailable: the storage did not.
        InvalidPage, TooLarge, HostRefused: upstream's answer is no project page.
        MassLoss: upstream's page lacks most of the files, and no event says why.
        ForeignUpstream: upstream is not the one that the mirror follows.
        NothingSelected: the configuration selects none of the files.
        TooManyLosses: upstream has taken away too many files of all projects.
        Conflict: others publish the same project again and again.
    """
    project = attempt.job.project
    for _ in range(_MAX_RACES):
        try:
            result = await _sync_once(attempt, mirror, transfer)
            at_once = attempt.job.quarantined or attempt.deleted
            if attempt.job.due or at_once:
                hours = None if at_once else attempt.job.due
                now, delay = mirror.clock.now(), mirror.config.delete_after
                await delete_due(project, hours, now, mirror.pages, delay)
            return result  # noqa: TRY300
        except Conflict:
            logger.info("lost the race for a project page", extra={"project": project})
            attempt = replace(attempt, resuming=True)
            transfer.resuming = True
        except PageAhead:
            if attempt.resuming:  # an earlier attempt may have changed what nobody has reported
                raise
            _, current = await read_manifest(attempt.job, mirror.pages)
            return unchanged_result(PagePublisher.of(attempt, mirror), current)
        except FrumiousError:
            removed = await remove_if_all_is_blocked(attempt, mirror)
            if removed is None:
                raise
            return removed
    msg = f"others replaced the page of {project!r} {_MAX_RACES} times in a row"
    raise Conflict(msg)


async def _sync_once(attempt: Attempt, mirror: Mirror, transfer: Transfer) -> Result:
    project = attempt.job.project
    manifest, current = await read_manifest(attempt.job, mirror.pages)
    if manifest is not None and manifest.damaged:
        attempt = replace(attempt, resuming=True, damaged=True)
        transfer.resuming = True  # what is stored already is found again
    publisher = await PagePublisher.open(attempt, current, mirror)
    second = publisher.second
    blocked = Blocked.of(attempt, second.joined(current))
    attempt = blocked.at_once(attempt)
    result = await _remove_unselected(attempt, blocked, current, publisher, mirror)
    if result is not None:
        return result
    moved = has_moved(project, current, mirror)
    # Upstream does not decide on what it never had, and what is blocked is no loss.
    known = None if moved else blocked.without(second.joined(current))
    parsed, legacy = await _read_source(attempt, known, mirror)
    if parsed is None:
        booked = await book_loss(attempt, None, known, mirror)
        return await remove_project(attempt, current, publisher, mirror.clock.now(), booked)
    parsed = with_refused_files(
        parsed, None if moved else current, mirror.config, mirror.fingerprint(project)
    )
    chosen = select_files(attempt.job, parsed.page, legacy, mirror, attempt.advisories, known)
    if chosen.page is None:
        result = await remove_excluded(attempt, parsed.page, legacy, current, publisher, mirror)
        return chosen.reported(result)
    check_selection(project, parsed.page, chosen.anytime, known, mirror.selection)
    selected = blocked.refuse(replace(parsed, page=chosen.page))
    second.want(selected, chosen.anytime, transfer)
    wanted = selected.page if second.wanted is None else second.wanted.page
    current_page = replace(
        await read_current_page(project, wanted, current, mirror, moved=moved),
        damaged=manifest is not None and manifest.damaged,
    )
    compared = _compare(project, selected, current_page, second, mirror)
    verified = await verify_attestations(compared, current_page, transfer, mirror)

    def reported(result: Result) -> Result:
        return second.reported(verified.reported(chosen.reported(result)))

    failed = await _store(attempt, verified.change, current_page, transfer)
    change = verified.change.with_sha256(transfer.sha256)
    recovery = await find_recovery(attempt, current, mirror.storage)
    built = second.marked(build_page(change, failed, current_page, recovery, mirror.config))
    needed = read_dependencies(project, parsed.page, built.files, chosen.problem, mirror)
    chosen = replace(chosen, dependencies=await needed)
    shown = {file.filename for file in parsed.page.files} - chosen.hidden - verified.withheld
    if (
        manifest is not None
        and shows_the_same(manifest, built.page)
        and not lacks_releases(project, manifest.page, mirror)
        and not second.concerns(manifest, built.page)
    ):
        await publisher.snapshots.restrict(built.page)
        await second.publish(built, current_page, transfer, verified)
        unchanged = replace(built, page=replace(built.page, publication=manifest.page.publication))
        if recovery.own:
            return reported(await _finish(unchanged, current_page, publisher))
        if not (attempt.resuming and recovery.report):
            if attempt.resuming:
                unchanged = await store_legacy_json(
                    attempt, legacy, shown, unchanged, current, mirror
                )
            return reported(await _keep(unchanged, attempt, manifest, recovery, publisher))
    built.log_refused(project)
    booked = await book_loss(attempt, parsed, known, mirror)
    built = await store_legacy_json(attempt, legacy, shown, built, current, mirror)
    others = second.dropped(built.page)
    built = await settle_removed(attempt.job, built, current_page, others, recovery, booked, mirror)
    await publisher.publish(built, manifest, recovery.leftovers)
    await second.publish(built, current_page, transfer, verified)
    return reported(blocked.note(await _finish(built, current_page, publisher)))


def _compare(
    project: NormalizedName,
    selected: ParsedPage,
    current_page: CurrentPage,
    second: LiveAlone,
    mirror: Mirror,
) -> Change:
    """Compare what is selected with what the mirror has; names of held back files are taken."""
    known = replace(current_page, removed=second.known_bytes(current_page.removed))
    return compare(project, selected, known, mirror.config, mirror.fingerprint(project))


async def _store(
    attempt: Attempt, change: Change, current_page: CurrentPage, transfer: Transfer
) -> dict[Key, str]:
    """Store what is new, and return why some of it cannot be stored."""
    project = attempt.job.project
    if change.new:
        sizes = (blob.expected.size or 0 for blob in change.new if blob.expected is not None)
        files = layout.count_files(blob.key for blob in change.new)
        new = {"new_files": files, "new_bytes": sum(sizes)}
        logger.debug("project selected", extra={"project": project, **new})
    transfer.undeleted = current_page.removed.undeleted
    return attempt.budget.refuse(project, change.new) or await transfer.store(change.new)


async def _remove_unselected(
    attempt: Attempt,
    blocked: Blocked,
    current: ProjectPage | None,
    publisher: PagePublisher,
    mirror: Mirror,
) -> Result | None:
    """Remove a project that is not selected whatever its page says; None: it may be selected."""
    project, selection = attempt.job.project, mirror.selection
    is_wanted = attempt.job.named and not selection.private.has(project)
    is_wanted = is_wanted or selection.wants(project)
    is_blocked = attempt.advisories.blocker is not None or (blocked.files and not is_wanted)
    if is_blocked and not attempt.deleted:
        return await remove_blocked(attempt, None, current, publisher, mirror)
    if attempt.deleted or not is_wanted:
        return await _remove_unwanted(attempt, current, publisher, mirror)
    return None


async def _remove_unwanted(
    attempt: Attempt, current: ProjectPage | None, publisher: PagePublisher, mirror: Mirror
) -> Result:
    """Remove a project that is deleted by name, or not selected if the job was planned for that.

    It stays where the job has another purpose. Its removal waits for an operator's confirmation, or
    somebody requested it by name, and only its removed files are due.
    """
    permitted = attempt.job.allowed_removal is AllowedRemoval.PROJECT and not attempt.job.due
    if current is not None and not permitted and not attempt.deleted:
        recovery = await find_recovery(attempt, current, mirror.storage)
        return unchanged_result(publisher, current, report=recovery.report)
    return await remove_project(attempt, current, publisher, mirror.clock.now())


async def _read_source(
    attempt: Attempt, current: ProjectPage | None, mirror: Mirror
) -> tuple[ParsedPage | None, bytes | None]:
    """Return the project's page, of the private directory or of upstream, and its legacy JSON.

    Raises as `read_upstream` and `read_legacy_json`.
    """
    project = attempt.job.project
    if mirror.private is not None and mirror.selection.private.has(project):
        return await mirror.private.project_page(project, current), None
    parsed = await read_upstream(attempt, current, mirror)
    legacy = None if parsed is None else await read_legacy_json(project, parsed.page, mirror)
    return parsed, legacy


async def read_upstream(
    attempt: Attempt, current: ProjectPage | None, mirror: Mirror
) -> ParsedPage | None:
    """Return upstream's page, once it is credible; None where the project is gone.

    Raises:
        StalePage: it is older than the job, a page of the mirror's, or the project's last event.
        MassLoss: it lacks most of the files, and no event says why.
        ForeignUpstream: it is another upstream's: their files and serials do not mix.
    """
    job = attempt.job
    if attempt.foreign:
        msg = (
            f"master is another index than the one that the mirror follows: {job.project!r} stays"
            " as it is until master is corrected, or the serials are counted anew"
        )
        raise ForeignUpstream(msg)
    min_serial = 0 if job.delisted else job.serial
    if not job.rewinding:
        min_serial = max(min_serial, (current and current.serial) or 0)
        if attempt.resuming:  # an earlier attempt may have published a later page but for its JSON
            first_page = await mirror.pages.read_first_page(job.project)
            min_serial = max(min_serial, (first_page and first_page.serial) or 0)
    parsed = await mirror.upstream.project_page(job.project, at_least=min_serial, room=attempt.room)
    check_digest(job, parsed)
    if current is None:
        await check_beginning(job, parsed, mirror.upstream)
    elif attempt.damaged and current.serial is None and parsed is not None and not job.rewinding:
        await check_last_event(job.project, parsed.page.serial or 0, mirror.upstream)
    page = parsed.page if parsed is not None else None
    if job.delisted:
        check_delisted(job, page)
    earlier = await unannounced_losses(job, parsed, current, mirror)
    try:
        check_losses(job, page, current, earlier)
    except MassLoss:
        since = (current and current.serial) or 0
        allowed = await announced_removal(job.project, since, mirror.upstream)
        check_losses(replace(job, allowed_removal=allowed), page, current, earlier)
    if parsed is None and current is not None and job.named and job.confirmed:
        await require_root_index(mirror.upstream)
    return parsed


async def _keep(
    unchanged: BuiltPage,
    attempt: Attempt,
    manifest: Manifest,
    recovery: Recovery,
    publisher: PagePublisher,
) -> Result:
    """Keep the JSON page as it is.

    An earlier attempt may have been killed after it wrote HTML: then all is published again.
    """
    if attempt.resuming:
        await publisher.publish(unchanged, manifest, recovery.leftovers)
        await publisher.tidy(unchanged.page)
    else:
        await publisher.delete_other_names(unchanged.page)
    return result_of(publisher, unchanged, report=recovery.report)


async def _finish(built: BuiltPage, before: CurrentPage, publisher: PagePublisher) -> Result:
    """Delete what the published page no longer names, unless that is done later.

    That may have been left undone by an earlier delivery of the job. Returns what the job achieved.
    """
    await publisher.tidy(built.page)
    publication = built.page.publication
    if publication is not None and publication.removed and not publication.delayed:
        await delete_files(publisher.project, publication.removed, publisher.pages)
    return result_of(publisher, built, report=True, before=before.files)
