"""`frumious status`: how far the mirror is, by what it keeps itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.config.settings import Config
    from frumious.finalizing.status import Freshness
    from frumious.mirror import Mirror
    from frumious.model.advisories import Feed
    from frumious.model.attestations import UnverifiedProjects
    from frumious.model.closure import Needed
    from frumious.model.cooldown import HeldBackFile
    from frumious.model.named import NamedProjects
    from frumious.model.notices import Notices
    from frumious.model.private import PrivateListing
    from frumious.model.runs import Cursor, Lagging
    from frumious.model.snapshots import Snapshots
    from frumious.model.types import JsonObject
    from frumious.state.bundle_records import Imported


_SHOWN: Final = 20  # projects


@click.command(short_help="Show how fresh the mirror is, and what is lagging.")
@json_option
@pass_options
def status(options: Options, *, as_json: bool) -> None:
    """Show how fresh and how large the mirror is, and which projects are lagging, and why.

    Upstream is not asked: the state that runs leave in the mirror's storage is read. Of a mirror
    that bundles keep in step, the last imported one is shown.

    Exit status 1 where projects are lagging, upstream's changes are not followed, the allowlist has
    a name that upstream does not have, removals wait for a confirmation, attestations have faults,
    or there is no mirror yet.
    """
    from frumious.cli.process import with_mirror

    state = with_mirror(options, _read)
    from frumious.errors import Reason
    from frumious.finalizing.status import Freshness

    cursor, lagging, master = state.cursor, state.lagging, state.config.master
    freshness = Freshness.of(cursor, state.now)
    if cursor.is_foreign(state.config.master_fingerprint):
        freshness = replace(freshness, problem=Reason.ANOTHER_UPSTREAM)
    if as_json:
        import json

        payload = _payload(cursor, freshness, lagging, master) | _named_payload(state)
        click.echo(json.dumps(payload, indent=1))
    elif not options.quiet:
        lines = _lines(cursor, freshness, lagging, state.now, master)
        for line in lines if state.imported is None else _imported_lines(state.imported):
            click.echo(line)
        for line in _named_lines(state):
            click.echo(line)
    notices = state.notices
    waits = notices.absent or notices.withheld or notices.lists or state.unverified.projects
    problem = freshness.problem or freshness.advisories.problem
    imported = state.imported is not None and state.imported.began is None
    if lagging or waits or problem or not (cursor.asked or imported):
        raise SystemExit(1)


class _State(NamedTuple):
    """What runs leave in the mirror's storage."""

    cursor: Cursor
    lagging: Mapping[NormalizedName, Lagging]
    named: NamedProjects
    held_back: HeldBackFile | None  # None: there is no cooldown
    now: float
    config: Config
    listing: PrivateListing
    notices: Notices
    unverified: UnverifiedProjects
    needed: Needed
    snapshots: Snapshots
    imported: Imported | None  # the last bundle, of a mirror that has never asked upstream

    @property
    def private(self) -> list[str]:
        """The private projects."""
        return [*self.config.private.packages, *sorted(self.listing.projects)]


async def _read(mirror: Mirror) -> _State:
    from msgspec import structs

    from frumious.finalizing.root_index import read_totals
    from frumious.model.attestations import UnverifiedProjects
    from frumious.model.notices import Notices
    from frumious.model.private import PrivateListing
    from frumious.state.attestations import read_unverified
    from frumious.state.bundle_records import read_imported
    from frumious.state.held_back import read_held_back
    from frumious.state.notices import read_notices
    from frumious.state.private_listing import read_listing
    from frumious.state.snapshots import read_snapshots

    cursor, config = await mirror.ledger.cursor(), mirror.config
    if cursor.asked and cursor.projects is None:  # state was lost, and nothing changed since
        totals = await read_totals(mirror.pages)
        cursor = structs.replace(
            cursor, projects=totals.projects, files=totals.files, bytes_=totals.bytes_
        )
    lagging = await mirror.ledger.lagging() if cursor.lagging else {}
    named = await mirror.ledger.named()
    held_back = await read_held_back(mirror.storage) if cursor.ripening.revision else None
    listing = await read_listing(mirror.storage) if config.private.directory else None
    listing = listing or PrivateListing()
    notices = await read_notices(mirror.storage) if cursor.notices else None
    notices = notices or Notices()
    unverified = UnverifiedProjects()
    if cursor.unverified:
        unverified = await read_unverified(mirror.storage)
    return _State(
        cursor,
        lagging,
        named,
        held_back,
        mirror.clock.now(),
        config,
        listing,
        notices,
        unverified,
        mirror.selection.needed,
        await read_snapshots(mirror.storage),
        None if cursor.asked else await read_imported(mirror.storage),
    )


def _named_payload(state: _State) -> JsonObject:
    """Return the projects that people or the configuration name, and those that wait, as JSON."""
    from frumious.cli.outcome import held_back_payload

    named, held_back = state.named, state.held_back
    return {
        "requested": [*named.requested],
        "deleted": [*named.deleted],
        "private": [*state.private],
        "private_problems": {**state.listing.problems},
        **state.notices.payload,
        "unverified": {
            project: {"files": each.files, "fault": each.fault}
            for project, each in sorted(state.unverified.projects.items())
        },
        **({} if held_back is None else {"held_back": held_back_payload(held_back)}),
        **({"imported": _imported_payload(state.imported)} if state.imported else {}),
        **({"snapshots": state.snapshots.payload} if state.snapshots.snapshots else {}),
    }


def _named_lines(state: _State) -> Iterator[str]:
    """Yield the same as text."""
    from frumious.cli.outcome import held_back_lines
    from frumious.cli.snapshot_texts import snapshot_lines
    from frumious.planning.absent_names import absent_texts

    private, named = state.private, state.named
    if private:
        yield f"Private, never asked upstream: {_names(private)}"
    yield from state.listing.problem_lines
    for what, projects in (("Requested", named.requested), ("Deleted", named.deleted)):
        if projects:
            yield f"{what} by name: {_names(sorted(projects))}"
    if state.held_back is not None:
        yield from held_back_lines(state.held_back)
    yield from _closure_lines(state.needed)
    yield from state.notices.list_texts
    yield from absent_texts(state.notices.absent, state.config.selection)
    yield from _withheld_lines(state.notices)
    yield from _unverified_lines(state.unverified)
    yield from snapshot_lines(state.snapshots)


def _imported_payload(imported: Imported) -> JsonObject:
    return {
        "serial": imported.serial,
        "number": imported.sequence,
        "complete": imported.began is None,
    }


def _imported_lines(imported: Imported) -> Iterator[str]:
    if imported.sequence:
        yield f"Serial: {imported.serial}, by the imported bundle number {imported.sequence}"
    if imported.began is not None:
        yield "The import of a bundle was not finished: run 'frumious import' with it again"


def _withheld_lines(notices: Notices) -> Iterator[str]:
    from frumious.cli.sizes import count

    if not notices.withheld:
        return
    option = f"'frumious mirror --confirm-removals {notices.unconfirmed}' confirms"
    yield f"Waiting for a confirmation: {count(notices.unconfirmed, 'removal')}; {option}"
    for project, reason in islice(sorted(notices.withheld.items()), _SHOWN):
        yield f"  {project}: {reason}"
    if len(notices.withheld) > _SHOWN:
        yield f"  and {len(notices.withheld) - _SHOWN:,} more projects"


def _unverified_lines(unverified: UnverifiedProjects) -> Iterator[str]:
    from frumious.cli.sizes import count

    projects = unverified.projects
    if projects:
        yield f"Attestations: {count(len(projects), 'project')} with faults"
    for project, each in islice(sorted(projects.items()), _SHOWN):
        yield f"  {project}: {count(each.files, 'file')}; {each.fault}"
    if len(projects) > _SHOWN:
        yield f"  and {len(projects) - _SHOWN:,} more projects"


def _names(projects: Sequence[str]) -> str:
    more = f" and {len(projects) - _SHOWN} more" if len(projects) > _SHOWN else ""
    return f"{', '.join(projects[:_SHOWN])}{more}"


def _payload(
    cursor: Cursor, freshness: Freshness, lagging: Mapping[NormalizedName, Lagging], master: str
) -> JsonObject:
    from frumious.cli.outcome import lagging_payload
    from frumious.finalizing.status import closure_payload, feed_payload

    return {
        "master": master,
        "serial": freshness.serial,
        "upstream_serial": freshness.upstream_serial,
        "checked": round(freshness.checked) or None,
        "lag_seconds": freshness.known_lag_seconds,
        "lag_serials": freshness.lag_serials,
        "problem": freshness.problem,
        "projects": cursor.projects,
        "files": cursor.files,
        "bytes": cursor.bytes_,
        "open_runs": [{"run": run.run, "jobs": run.jobs} for run in cursor.runs],
        "lagging": lagging_payload(lagging),
        **feed_payload(freshness.advisories),
        **closure_payload(freshness.closure),
    }


def _lines(
    cursor: Cursor,
    freshness: Freshness,
    lagging: Mapping[NormalizedName, Lagging],
    now: float,
    master: str,
) -> Iterator[str]:
    from frumious.cli.outcome import lagging_lines
    from frumious.cli.sizes import count, duration, size

    if not cursor.asked:
        yield f"There is no mirror of {master} yet: run 'frumious mirror'."
        return
    yield f"Upstream: {master}, asked {duration(now - freshness.checked)} ago"
    behind = freshness.lag_serials
    if freshness.problem is not None:
        yield f"Serial: {freshness.serial}; {freshness.problem}"
    elif freshness.serial is not None:
        lack = f"{count(behind, 'change')} behind" if behind else "all changes"
        yield f"Serial: {freshness.serial}, {lack} as of then"
    if freshness.first_run:
        yield "Age: the first run is not done yet"
    else:
        yield f"Age: the mirror had all changes {duration(freshness.lag_seconds)} ago"
    projects = count(cursor.projects or 0, "project")
    yield f"Size: {projects}, {count(cursor.files, 'file')}, {size(cursor.bytes_)}"
    if cursor.runs:
        jobs = sum(run.jobs for run in cursor.runs)
        runs = count(len(cursor.runs), "run")
        yield f"Open: {runs} of {count(jobs, 'job')}; the next run continues"
    yield from _feed_lines(freshness.advisories, now)
    yield f"Lagging: {count(len(lagging), 'project')}"
    yield from lagging_lines(lagging, (), now)


def _closure_lines(needed: Needed) -> Iterator[str]:
    from frumious.cli.sizes import count

    if not needed.basis:
        return
    yield f"Closure: {count(len(needed.projects), 'project')} needed by others"
    for reason in sorted({*needed.left_out.values()}):
        names = sorted(name for name, why in needed.left_out.items() if why == reason)
        yield f"Closure: kept out by {reason}, though others need them: {_names(names)}"
    for project, problems in sorted(needed.problems.items())[:_SHOWN]:
        yield f"Closure: {project}: {problems[0]}"
    if len(needed.problems) > _SHOWN:
        yield f"Closure: and {len(needed.problems) - _SHOWN} others; 'frumious explain' shows each"


def _feed_lines(feed: Feed, now: float) -> Iterator[str]:
    from frumious.cli.sizes import count, duration
    from frumious.finalizing.status import NO_FEED

    if feed == NO_FEED:
        return
    age = f"read {duration(now - feed.read)} ago" if feed.read else "never read"
    projects = count(feed.projects, "project")
    blocking = f"{feed.malware:,} of malware and {feed.blocking:,} others block {projects}"
    yield f"Advisories: {age}; {blocking}, mirrored or not"
    if feed.problem is not None:
        yield f"Advisories: {feed.problem}; the last good one counts"
