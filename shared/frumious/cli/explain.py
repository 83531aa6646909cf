"""`frumious explain`: which filter lets a project and its files in, or keeps them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.selection.subject import Context, Subject

_FOR_GOOD: Final = " for good: uploaded after not-after, or nobody knows when"


@click.command(short_help="Show which filter keeps a project or its files out.")
@click.argument("project")
@click.argument("filenames", nargs=-1, metavar="[FILE]...")
@json_option
@pass_options
def explain(options: Options, project: str, filenames: tuple[str, ...], *, as_json: bool) -> None:
    """Ask upstream for a project, and show what the filters make of it and of its files.

    Exit status 1 where the project, or one of the named files, is kept out.
    """
    from frumious.cli.process import with_mirror
    from frumious.planning.lists import follow_lists
    from frumious.planning.named import InvalidProject, parse_names

    try:
        (name,) = parse_names([project])
    except InvalidProject as error:
        raise click.BadParameter(str(error)) from error

    async def work(mirror: Mirror) -> Explanation:
        return await _explain(name, filenames, await follow_lists(mirror, store=False))

    explanation = with_mirror(options, work)
    if as_json:
        import json

        payload = {"project": name, **explanation._asdict()}
        for key in ("held_back", "simple_all", "attestations", "needed", "needed_files"):
            if not payload[key]:
                del payload[key]
        click.echo(json.dumps(payload, indent=1))
    else:
        for line in _lines(name, explanation):
            click.echo(line)
    if explanation.excluded_by or (filenames and any(explanation.files.values())):
        raise SystemExit(1)


class Explanation(NamedTuple):
    """What the filters make of a project."""

    excluded_by: str  # what keeps the project out; empty: it is selected
    files: Mapping[str, str]  # filename -> what keeps it out; empty: it is selected
    private: bool = False  # it comes from the private directory, past all filters
    held_back: Mapping[str, str | None] = {}  # by the cooldown -> until when; None: for good
    simple_all: Sequence[str] = ()  # those of them that the index without the cooldown shows
    reported: Mapping[str, Sequence[str]] = {}  # filename -> advisories that do not keep it out
    attestations: Mapping[str, str] = {}  # filename -> its publisher, or what is wrong
    needed: Sequence[str] = ()  # why it is in the closure, and what of that is a problem
    needed_files: Mapping[str, str] = {}  # filename -> the requirement that it satisfies


async def _explain(
    project: NormalizedName, filenames: Collection[str], mirror: Mirror
) -> Explanation:
    import math

    from frumious.clock import utc
    from frumious.private.refresh import refresh
    from frumious.selection.advisories import reason
    from frumious.selection.subject import Subject
    from frumious.syncing.exclusion import read_legacy_json, selection_context

    named = await mirror.ledger.named()
    cursor = await mirror.ledger.known_cursor()
    advisories = (await mirror.advisories.read(cursor.advisories.digest)).of(project)
    if project in named.deleted:
        return Explanation("frumious delete", {})
    if mirror.private is not None:
        await refresh(mirror)
    private = mirror.selection.private
    if private.has(project):
        selected = {file.filename: "" for file in private.listing.files(project)}
        kept_out = "" if selected else "[private]: upstream is not asked for this name"
        return Explanation(kept_out, _asked(filenames, selected, "[private] directory"), True)  # noqa: FBT003
    if advisories.blocker is not None:
        return Explanation(reason(advisories.blocker), {})
    requested = project in named.requested
    filter_ = "" if requested else mirror.selection.name_excluded_by(project)
    if filter_:
        bar = mirror.selection.needed.left_out.get(project)
        return Explanation(f"{bar}, though others need it" if bar else filter_, {})
    parsed = await mirror.upstream.project_page(project, at_least=0)
    if parsed is None:
        return Explanation("upstream, which has no such project", {})
    legacy = await read_legacy_json(project, parsed.page, mirror)
    context = selection_context(legacy, mirror, advisories, named=requested)
    decision = mirror.selection.decide(project, parsed.page, context)
    selected = dict(decision.files)
    attestations = await _attestations(project, parsed.page, selected, mirror)
    files = _asked(filenames, selected, "upstream")
    held_back = {
        filename: None if until == math.inf else utc(until)
        for filename, until in decision.held_back.items()
        if filename in files
    }
    subject = Subject.of(project, parsed.page, context)
    reported = {
        each.file.filename: [advisory.id for advisory in found]
        for each in subject.files
        if each.file.filename in files
        and (found := advisories.reporters_of(each.release, each.file.hashes.get("sha256")))
    }
    needed, needed_by = await _closure(project, subject, mirror)
    return Explanation(
        decision.excluded_by,
        files,
        held_back=held_back,
        simple_all=_in_simple_all(project, parsed.page, held_back, context, mirror),
        reported=reported,
        attestations={name: text for name, text in attestations.items() if name in files},
        needed=needed,
        needed_files={name: why for name, why in needed_by.items() if not files.get(name, "out")},
    )


def _in_simple_all(
    project: NormalizedName,
    page: ProjectPage,
    held_back: Collection[str],
    context: Context,
    mirror: Mirror,
) -> Sequence[str]:
    """Return the files that wait, and that the index without the cooldown shows."""
    if not mirror.selection.simple_all:
        return ()
    import math

    from msgspec.structs import replace

    anytime = mirror.selection.select(project, page, replace(context, now=math.inf))
    names = () if anytime is None else (file.filename for file in anytime.files)
    return [name for name in names if name in held_back]


async def _closure(
    project: NormalizedName, subject: Subject, mirror: Mirror
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return why a project is needed, and which of its files satisfy which requirement."""
    if mirror.selection.closure is None:
        return (), {}
    from frumious.cli.chains import chain_lines, needed_files

    lines = await chain_lines(project, mirror)
    return lines, needed_files(project, subject.releases(subject.files), mirror.selection)


async def _attestations(
    project: NormalizedName, page: ProjectPage, files: dict[str, str], mirror: Mirror
) -> Mapping[str, str]:
    """Return what the last job found out about the selected files, and note what it keeps out."""
    from msgspec.structs import replace

    from frumious.config.attestations import Mode
    from frumious.selection.attestations import Judgement
    from frumious.selection.subject import NO_CONTEXT, Subject
    from frumious.state.attestations import AttestationRecord

    policy = mirror.config.attestations
    mode = None if policy is None else policy.mode(project)
    if policy is None or mode is None:
        return {}
    record = AttestationRecord(project, mirror.storage)
    await record.read()
    known = record.known
    selected = tuple(file for file in page.files if not files[file.filename])
    entries = {
        file.filename: entry
        for file in selected
        if (entry := known.files.get(file.filename)) is not None
        and entry.sha256 == file.hashes.get("sha256", "")
    }
    subject = Subject.of(project, replace(page, files=selected), NO_CONTEXT)
    judgement = Judgement.of(subject, policy, entries, known.publishers)
    found: dict[str, str] = {}
    for name in (file.filename for file in selected):
        entry = entries.get(name)
        text = "not verified yet" if entry is None else entry.publisher or "none"
        found[name] = judgement.faults.get(name, text)
        if mode is Mode.REQUIRE and name in judgement.unproved:
            files[name] = f"[attestations]: {found[name]}"
    return found


def _asked(filenames: Collection[str], files: Mapping[str, str], source: str) -> Mapping[str, str]:
    """Return what becomes of the files that were asked for; of all, if none was."""
    unknown = f"{source}, which has no such file"
    return {name: files.get(name, unknown) for name in filenames} if filenames else files


def _lines(project: NormalizedName, explanation: Explanation) -> Iterator[str]:
    if explanation.excluded_by:
        yield f"{project}: kept out by {explanation.excluded_by}"
        return
    selected = sum(not each for each in explanation.files.values())
    what = "private" if explanation.private else "selected"
    yield f"{project}: {what}, with {selected} of {len(explanation.files)} files"
    for line in explanation.needed:
        yield f"  {line}"
    for filename, filter_ in explanation.files.items():
        until = explanation.held_back.get(filename, "")
        when = _FOR_GOOD if until is None else until and f" until {until}"
        known = explanation.reported.get(filename, ())
        why = explanation.needed_files.get(filename)
        needed = f", by {why}" if why else ""
        more = f", though affected by {', '.join(known)}" if known and not filter_ else ""
        if filename in explanation.attestations and not filter_:
            more += f"; attestations: {explanation.attestations[filename]}"
        shown = "; /simple-all/ has it" if filename in explanation.simple_all else ""
        out = f"kept out by {filter_}{when}{shown}"
        yield f"  {filename}: " + (out if filter_ else f"selected{needed}{more}")
